import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { type Contents, readContents } from '../../src/squashfs/contents.ts';
import { openImage } from '../../src/squashfs/image-file.ts';
import type { FileData } from '../../src/squashfs/inode.ts';
import { contentsOfImage } from '../../src/squashfs/known-contents.ts';
import type { SourceAccess } from '../../src/squashfs/source-file.ts';
import { readTree } from '../../src/squashfs/tree.ts';
import { copyImage, type FileSource, type WrittenImage, writeImage } from '../../src/squashfs/write-image.ts';
import type { Entry } from '../../src/tree/entry.ts';
import { walkAll, xattrsBelow } from './same-trees.ts';

/** Makes an image; what mksquashfs says of attributes that no squashfs holds is of no interest. */
export function mksquashfs(source: string, image: string, args: readonly string[]): void {
  execFileSync('mksquashfs', [source, image, '-noappend', '-quiet', '-no-progress', ...args], { stdio: 'pipe' });
}

export function accessTo(root: string): SourceAccess {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = fs.constants;
  return {
    open: ({ path }) => {
      const file = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
      return fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    },
  };
}

export type Rebuilt = WrittenImage & { read: string[] };

/** What a test may want otherwise. */
export type RebuildOptions = { known: 'old contents' | 'nothing'; keep: 'same content' | 'nothing' };

/**
 * Makes an image of a tree from a former one; files that have the content that they have there are kept.
 * @returns also the paths of the files that were read
 */
export async function rebuild(
  source: string,
  former: string,
  target: string,
  options: RebuildOptions,
): Promise<Rebuilt> {
  const base = openImage(former);
  try {
    const tree = readTree(base);
    const contents = readContents(base);
    const old = new Map<string, FileData>();
    const kept = new Set<string>();
    for (let index = 0; index < tree.count; index++) {
      const inode = tree.inode(index);
      if (inode.type === 'file') old.set(tree.path(index), inode.data);
    }
    const entries = walkAll(source);
    const access = accessTo(source);
    const xattrs = xattrsBelow(source);
    const read = new Set<string>();
    const fileSource = (entry: Entry, index: number): FileSource => {
      const data = old.get(entry.path);
      const isSame =
        options.keep === 'same content' && data !== undefined && sameContent(contents, data, access.open(entry, index));
      if (isSame) {
        kept.add(entry.path);
        return { kind: 'kept', data: () => data };
      }
      read.add(entry.path);
      return { kind: 'read' };
    };
    function* unused(): Generator<FileData, void> {
      for (const [path, data] of old) if (!kept.has(path)) yield data;
    }
    await copyImage(former, target);
    const written = await writeImage({
      base,
      target,
      entries,
      fileSource,
      xattrs: ({ path }) => xattrs.get(path) ?? [],
      access,
      ...(options.known === 'nothing' ? {} : { known: contentsOfImage(tree, contents) }),
      unused: unused(),
      time: 1_700_000_000,
    });
    return { ...written, read: [...read] };
  } finally {
    base.close();
  }
}

function sameContent(contents: Contents, data: FileData, fd: number): boolean {
  try {
    if (fs.fstatSync(fd).size !== data.size) return false;
    for (const block of contents.blocks(data)) {
      const now = Buffer.alloc(block.length);
      fs.readSync(fd, now, 0, block.length, null);
      if (!now.equals(block)) return false;
    }
    return true;
  } finally {
    fs.closeSync(fd);
  }
}
