import { execFileSync, spawnSync } from 'node:child_process';
import type { Xattr } from '../../src/squashfs/xattrs.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { excludeNothing } from '../../src/tree/excludes.ts';
import { walk } from '../../src/tree/walk.ts';

export function walkAll(root: string): Entry[] {
  return walk(root, { exclude: excludeNothing, ignore: excludeNothing });
}

/** All that stat(2) and the rest say of each name of a tree, a line each; hard links by the first name they have. */
export function listing(root: string): string[] {
  const xattrs = xattrsBelow(root);
  const firsts = new Map<bigint, string>();
  return walkAll(root).map((entry) => {
    const { path, type, mode, uid, gid, size, mtime, rdev, nlink, target, ino } = entry;
    if (!firsts.has(ino)) firsts.set(ino, path);
    const attributes = (xattrs.get(path) ?? []).map(({ name, value }) => `${name}=${value.toString('hex')}`).sort();
    return JSON.stringify([
      path,
      type,
      mode,
      uid,
      gid,
      size,
      String(mtime),
      rdev,
      nlink,
      target,
      firsts.get(ino),
      attributes,
    ]);
  });
}

/**
 * What rsync would have to change to make the tree of one image that of the other; it compares contents as well. Both
 * are mounted where only rsync sees it: it takes a path through /proc for an empty directory.
 */
export function rsyncDifferences(one: string, other: string, mountPoints: readonly [string, string]): string {
  const script = `mount -o loop,ro "$1" "$3" && mount -o loop,ro "$2" "$4" &&
    rsync -aHAXn --checksum --delete --itemize-changes "$3/" "$4/"`;
  const args = ['-m', 'sh', '-c', script, 'sh', one, other, ...mountPoints];
  return execFileSync('unshare', args, { encoding: 'latin1', maxBuffer: 100_000_000 });
}

/** The extended attributes of all below a directory, by path (latin1), without `system.*`. */
export function xattrsBelow(root: string): Map<string, Xattr[]> {
  const args = ['-R', '-P', '-h', '-d', '-m', '^(user|trusted|security)\\.', '-e', 'hex', '--absolute-names', root];
  const {
    status,
    stdout: output,
    stderr,
  } = spawnSync('getfattr', args, { encoding: 'latin1', maxBuffer: 500_000_000 });
  // an image in which nothing has any
  const unsupported = stderr.split('\n').every((line) => line === '' || line.endsWith(': Operation not supported'));
  if (status !== 0 && !unsupported) throw new Error(stderr);
  const result = new Map<string, Xattr[]>();
  for (const part of output.split('\n\n')) {
    const [head = '', ...lines] = part.split('\n');
    if (!head.startsWith('# file: ')) continue;
    const file = unescaped(head.slice('# file: '.length));
    const list = lines.filter(Boolean).map((line): Xattr => {
      const [name = '', value = ''] = line.split(/=(.*)/s);
      return { name: unescaped(name), value: Buffer.from(value.slice(2), 'hex') };
    });
    result.set(file.slice(root.length + 1), list);
  }
  return result;
}

function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
