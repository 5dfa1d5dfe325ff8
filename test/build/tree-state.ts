import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

/** A line for each entry of a tree: name, type and mode, owner, links, times, symlink target or digest of the content. */
export function stateOf(root: string, directory = ''): string[] {
  return fs
    .readdirSync(path.join(root, directory))
    .sort()
    .flatMap((name) => {
      const relative = path.join(directory, name);
      const file = path.join(root, relative);
      const { mode, uid, gid, nlink, ino, size, mtimeNs, ctimeNs } = fs.lstatSync(file, { bigint: true });
      const kind = fs.lstatSync(file);
      const content = kind.isFile() ? createHash('sha256').update(fs.readFileSync(file)).digest('hex') : '';
      const target = kind.isSymbolicLink() ? fs.readlinkSync(file) : '';
      const line = [relative, mode, uid, gid, nlink, ino, size, mtimeNs, ctimeNs, content, target].join(' ');
      return kind.isDirectory() ? [line, ...stateOf(root, relative)] : [line];
    });
}
