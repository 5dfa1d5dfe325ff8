import { execFileSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { hasCode } from '../../../src/errors.ts';

/** One change of a tree; what `one`, `other` and `amount` mean is the kind's. */
export type Edit = { kind: keyof typeof EDITS; one: string; other: string; amount: number };

type Places = { one: string; other: string; n: number; target: string };

const { O_WRONLY, O_NOFOLLOW, O_NONBLOCK, O_CREAT, O_TRUNC, O_APPEND, COPYFILE_EXCL } = fs.constants;
const FLAGS = O_WRONLY | O_NOFOLLOW | O_NONBLOCK;

const EDITS = {
  create: ({ one, n }: Places) => {
    fs.mkdirSync(path.dirname(one), { recursive: true });
    // of one size the same content: it is there already wherever else it turns up
    withFile(one, FLAGS | O_CREAT | O_TRUNC, (fd) => fs.writeSync(fd, content(n)));
  },
  overwrite: ({ one }: Places) => withFile(one, FLAGS, (fd) => fs.writeSync(fd, crypto.randomBytes(10), 0, 10, 0)),
  append: ({ one, n }: Places) => withFile(one, FLAGS | O_APPEND, (fd) => fs.writeSync(fd, content(n))),
  truncate: ({ one, n }: Places) => withFile(one, FLAGS, (fd) => fs.ftruncateSync(fd, n)),
  sparse: ({ one, n }: Places) => withFile(one, FLAGS | O_CREAT, (fd) => fs.ftruncateSync(fd, n + 500_000)),
  copy: ({ one, other }: Places) => {
    if (fs.lstatSync(one).isFile()) fs.copyFileSync(one, other, COPYFILE_EXCL);
  },
  rename: ({ one, other }: Places) => fs.renameSync(one, other),
  link: ({ one, other }: Places) => fs.linkSync(one, other),
  symlink: ({ one, target }: Places) => fs.symlinkSync(target, one),
  fifo: ({ one }: Places) => {
    const isFree = fs.lstatSync(one, { throwIfNoEntry: false }) === undefined;
    if (isFree && fs.statSync(path.dirname(one)).isDirectory()) execFileSync('mknod', [one, 'p']);
  },
  mkdir: ({ one }: Places) => fs.mkdirSync(one, { recursive: true }),
  delete: ({ one }: Places) => fs.rmSync(one, { recursive: true }),
  chmod: ({ one, n }: Places) => {
    if (!fs.lstatSync(one).isSymbolicLink()) fs.chmodSync(one, n & 0o7777);
  },
  chown: ({ one, n }: Places) => fs.lchownSync(one, n, 2 * n),
  mtime: ({ one, n }: Places) => fs.lutimesSync(one, n, 1000 * n),
  xattr: ({ one, n }: Places) => {
    fs.lstatSync(one);
    execFileSync('setfattr', ['-h', '-n', `trusted.n${n % 3}`, '-v', `${n}`, one]);
  },
};

const KINDS = [
  'create',
  'overwrite',
  'append',
  'truncate',
  'sparse',
  'copy',
  'rename',
  'link',
  'symlink',
  'fifo',
  'mkdir',
  'delete',
  'chmod',
  'chown',
  'mtime',
  'xattr',
] as const satisfies (keyof typeof EDITS)[];

const name = fc.constantFrom('a', 'a-b', 'b', 'c', 'n\xe4me', ' ');
const place = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'));
/** About the sizes at which something changes: nothing, a piece of a block, blocks. */
const amount = fc.oneof(fc.nat(3000), fc.constantFrom(0, 131_071, 131_072, 131_073, 300_000));

export const edit: fc.Arbitrary<Edit> = fc.record({
  kind: fc.constantFrom(...KINDS),
  one: place,
  other: place,
  amount,
});

/** A file is where a directory would have to be, nothing is there, or something is. */
const CANNOT = ['ENOENT', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENOTEMPTY', 'EINVAL', 'EPERM', 'ENXIO', 'ELOOP'];

/** Makes the changes below a directory, those that can be made. */
export function apply(root: string, edits: readonly Edit[]): void {
  for (const { kind, one, other, amount: n } of edits) {
    try {
      EDITS[kind]({ one: path.join(root, one), other: path.join(root, other), n, target: other });
    } catch (error) {
      if (!hasCode(error, ...CANNOT, 'ERR_FS_EISDIR')) throw error;
    }
  }
}

function withFile(file: string, flags: number, use: (fd: number) => unknown): void {
  const fd = fs.openSync(file, flags);
  try {
    if (fs.fstatSync(fd).isFile()) use(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function content(size: number): Buffer {
  const lines = Array.from({ length: Math.ceil(size / 10) }, (_, i) => String((i * 7919 + size) % 99_991).padStart(9));
  return Buffer.from(lines.join('\n').padEnd(size)).subarray(0, size);
}
