import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { openInside } from '../../chroot/open-inside.ts';
import { CancelledError, UserError } from '../../errors.ts';
import { syncDirectory } from '../../system/durable.ts';
import { fault } from '../../system/faults.ts';
import type { Boot } from './boot.ts';
import { bootError } from './boot-error.ts';
import { giveLike, removeIfEmpty, syncTree } from './directory-tree.ts';
import type { Layout } from './layout.ts';
import { writeManifest } from './manifest.ts';
import { asideOf, type BootPlan, leftoversOf } from './plan.ts';

const MEGABYTE = 1_000_000;

/**
 * Makes the next directory beside the present one, with all that comes from the image, durably. Clients see nothing of
 * it. What a crash left of an earlier one goes first. Needs the images' lock.
 * @param boot of the mounted image; its files are read now
 * @throws UserError when the TFTP directory is full or read-only; nothing stays of what was made
 */
export async function makeNext(plan: BootPlan, boot: Boot, layout: Layout, signal?: AbortSignal): Promise<void> {
  try {
    fault('boot.clear');
    for (const leftover of leftoversOf(plan.directory)) fs.rmSync(leftover, { recursive: true, force: true });
    for (const directory of plan.missing) if (!fs.existsSync(directory)) makeReadable(directory);
    requireRoom(path.dirname(plan.directory), layout);
    await fill(plan, boot, layout, signal);
  } catch (error) {
    removeNext(plan);
    throw bootError(`write boot files for ${plan.directory}`, path.dirname(plan.directory), error);
  }
}

/** Removes all that the plan has beside the directory, whole or in parts, and directories above it that it made. */
export function removeNext(plan: BootPlan): void {
  fault('boot.next-remove');
  for (const leftover of leftoversOf(plan.directory)) {
    if (leftover.startsWith(asideOf(plan))) fs.rmSync(leftover, { recursive: true, force: true });
  }
  if (plan.before === 'directory') return;
  for (const directory of [...plan.missing].reverse()) {
    // others may have put something there meanwhile
    if (!removeIfEmpty(directory)) return;
  }
}

/** Before clients' kernels are half written; also for a sparse file of the image, which would fill the disk. */
function requireRoom(directory: string, { files }: Layout): void {
  const { bavail, bsize } = fs.statfsSync(directory);
  const needed = files.reduce((sum, { size }) => sum + Math.ceil(size / bsize) * bsize, 0);
  if (bavail * bsize >= needed) return;
  const words = `${Math.ceil(needed / MEGABYTE)} MB needed, ${Math.floor((bavail * bsize) / MEGABYTE)} MB free`;
  throw new UserError(`cannot write boot files into ${directory}: ${words} (make room there)`);
}

async function fill(plan: BootPlan, boot: Boot, layout: Layout, signal: AbortSignal | undefined): Promise<void> {
  const next = asideOf(plan);
  fault('boot.make');
  fs.mkdirSync(next, 0o700);
  for (const directory of layout.directories) makeReadable(path.join(next, directory));
  for (const file of layout.files) await copyOut(boot, file, path.join(next, file.path), signal);
  for (const { path: link, target } of layout.links) fs.symlinkSync(target, path.join(next, link));
  const paths = [...layout.directories, ...[...layout.files, ...layout.links].map((one) => one.path)];
  writeManifest(next, { id: plan.id, layout: layout.kind, paths, yielding: [...layout.yieldingLinks], going: [] });
  if (plan.before === 'directory') giveLike(fs.statSync(plan.directory), next);
  else fs.chmodSync(next, 0o755);
  syncTree(next);
  for (const above of [next, ...plan.missing]) syncDirectory(path.dirname(above));
}

/** Whatever the umask is: TFTP servers read as nobody. */
function makeReadable(directory: string): void {
  fs.mkdirSync(directory);
  fs.chmodSync(directory, 0o755);
}

const read = promisify(fs.read);

/**
 * Copies a file of boot/ with its mode and time, and readable for all. Its owner stays in the image, whose users are not
 * the server's; so do setuid bits and the right of others to write.
 */
async function copyOut(
  { root }: Boot,
  { from, size }: Layout['files'][number],
  to: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const fd = openInside(root, path.join('boot', from), fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
  if (fd === null) throw new Error(`boot/${from} is not in the image any more`);
  try {
    const stats = fs.fstatSync(fd);
    if (!stats.isFile() || stats.size !== size) throw new Error(`boot/${from} of the image has changed`);
    fault('boot.copy');
    const target = await fs.promises.open(to, 'wx', 0o600);
    try {
      const buffer = Buffer.alloc(1024 * 1024);
      for (let left = size; left > 0; ) {
        if (signal?.aborted === true) throw new CancelledError('writing boot files was stopped');
        const { bytesRead } = await read(fd, buffer, 0, Math.min(buffer.length, left), null);
        if (bytesRead === 0) throw new Error(`boot/${from} of the image ends too early`);
        await target.writeFile(buffer.subarray(0, bytesRead));
        left -= bytesRead;
      }
      await target.chmod((stats.mode & 0o755) | 0o444);
      await target.utimes(stats.atime, stats.mtime);
      fault('boot.copy-sync');
      await target.sync();
    } finally {
      await target.close();
    }
  } finally {
    fs.closeSync(fd);
  }
}
