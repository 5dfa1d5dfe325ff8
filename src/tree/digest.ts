import { createHash } from 'node:crypto';
import { type Entry, hasContent } from './entry.ts';

/** Chars that go into the hash at a time: one by one would cost more than the hashing. */
const CHUNK = 65_536;

/**
 * SHA-256 (hex) over everything of a tree that decides on a rebuild; ignored entries are left out.
 *
 * A directory's times are left out as well: they change when a name in it comes or goes, which the names themselves say,
 * and also when a lock or a temporary file came and went, or an ignored entry did, which is no reason. Those of devices,
 * FIFOs and sockets change when they are used. Device, inode number and link count are left out since a copy or a remount
 * changes them and the image stays the same.
 */
export function treeDigest(entries: readonly Entry[]): string {
  const hash = createHash('sha256');
  let text = '';
  for (const entry of entries) {
    if (entry.ignored) continue;
    const { path, type, mode, uid, gid, size, rdev, target } = entry;
    const times = hasContent(entry) ? `${entry.mtime} ${entry.ctime}` : '-';
    // paths and targets hold no NUL, so that no two trees make one text
    text += `${path}\0${type} ${mode} ${uid} ${gid} ${size} ${rdev} ${times} ${target}\0`;
    if (text.length < CHUNK) continue;
    hash.update(text, 'latin1');
    text = '';
  }
  return hash.update(text, 'latin1').digest('hex');
}
