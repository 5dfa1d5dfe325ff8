import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { program, Server } from '../end-to-end/server.ts';
import { addKernel } from '../serve/boot-files/site.ts';
import { type Call, readTrace } from './trace.ts';

/** What a power cut leaves is decided by the order of system calls; killing a process never loses a page. */
let server: Server;
let generations: string;
let tftp: string;
beforeAll(() => {
  server = new Server();
  server.configure(
    '[watch]\nquiet = "0s"\n[schedule]\nnightly = ""\n[check]\nnbd = "off"\n[keep]\ngenerations = 2\ngrace = "0s"\n',
  );
  generations = path.join(server.images, '.generations/amd64');
  tftp = path.join(server.root, 'srv/tftp/ltsp');
  fs.mkdirSync(tftp, { recursive: true });
  server.makeSmallChroot('amd64');
  for (const version of ['1', '2']) {
    change(version);
    expect(server.run('build').status).toBe(0);
  }
});
afterAll(() => server.remove());

function change(version: string): void {
  const chroot = path.join(server.base, 'amd64');
  for (const directory of ['boot', 'lib/modules'])
    fs.rmSync(path.join(chroot, directory), { recursive: true, force: true });
  addKernel(chroot, `6.1.0-${version}-amd64`);
}

/** The calls of a command that make, name and secure files, in the order in which they ended. */
function trace(...args: string[]): Call[] {
  const file = path.join(server.root, 'trace');
  const calls =
    'openat,open,creat,close,dup,dup2,dup3,fsync,fdatasync,rename,renameat,renameat2,link,linkat,unlink,unlinkat,rmdir,write,pwrite64,writev,pwritev,copy_file_range,sendfile';
  const [command = '', ...rest] = args;
  const argv = ['-f', '-y', '-qq', '-s', '64', '-o', file, '-e', `trace=${calls}`, process.execPath];
  const { status, stderr } = spawnSync('strace', [...argv, program, command, `--root=${server.root}`, ...rest], {
    encoding: 'utf8',
  });
  expect(status, stderr).toBe(0);
  const read = readTrace(fs.readFileSync(file, 'utf8'));
  expect(read.unread).toEqual([]);
  fs.rmSync(file);
  return read.calls;
}

/** Where in the trace a call is: the first at or after `from`. Fails where there is none. */
function find(calls: readonly Call[], what: string, wanted: (call: Call) => boolean, from = 0): number {
  const at = calls.findIndex((call, index) => index >= from && wanted(call));
  expect(at, `${what} is in the trace`).toBeGreaterThanOrEqual(from);
  return at;
}

const isSync = (file: string | RegExp) => (call: Call) => call.kind === 'sync' && matches(call.file, file);
const isNaming = (to: string | RegExp) => (call: Call) =>
  (call.kind === 'rename' || call.kind === 'exchange' || call.kind === 'link') && matches(call.to, to);
const isWrite = (file: string) => (call: Call) => call.kind === 'write' && call.file === file;

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === 'string' ? text === wanted : wanted.test(text);
}

/**
 * Every file that is renamed to a name that stays was synced under the name it had, after its last byte was written; and
 * the directory is synced afterwards.
 */
function expectSafeRenames(calls: readonly Call[], within: string): void {
  const renames = calls.flatMap((call, index) =>
    call.kind === 'rename' && call.to.startsWith(within) ? [{ ...call, index }] : [],
  );
  expect(renames.length).toBeGreaterThan(0);
  for (const { from, to, index } of renames) {
    if (calls.slice(index).some((call) => call.kind === 'unlink' && call.file === to)) continue;
    const before = calls.slice(0, index);
    const written = before.findLastIndex(isWrite(from));
    if (written >= 0) {
      const synced = before.findLastIndex(isSync(from));
      expect(synced, `${from} is synced before it is ${to}, after its last write`).toBeGreaterThan(written);
    }
    find(calls, `sync of the directory of ${to}`, isSync(path.dirname(to)), index);
  }
}

describe('a publish', () => {
  let calls: Call[];
  let id: string;
  beforeAll(() => {
    change('3');
    calls = trace('build', 'amd64');
    id = path.basename(
      fs
        .readdirSync(generations)
        .filter((file) => file.endsWith('.img'))
        .sort()
        .at(-1) ?? '',
      '.img',
    );
  });

  it('has all that it shows on the disk before, and the names after it', () => {
    const candidate = path.join(generations, `${id}.partial`);
    const image = server.image('amd64');
    const copies = ['vmlinuz', 'initrd.img'].map((name) =>
      find(calls, `the data of ${name}`, isSync(new RegExp(`/\\.amd64\\.boot-[0-9a-f]{12}/${name}-`))),
    );
    const lastCopy = calls[Math.max(...copies)];
    const inOrder = [
      ['the data of the image', isSync(candidate)],
      ['the data of the record', isSync(new RegExp(`/\\.${id}\\.json\\.[0-9a-f]{12}\\.tmp$`))],
      ['the record', isNaming(path.join(generations, `${id}.json`))],
      ['the directory with the record', isSync(generations)],
      ['the generation', isNaming(path.join(generations, `${id}.img`))],
      ['the directory with the generation', isSync(generations)],
      ['the last byte of the boot files', (call: Call) => call === lastCopy],
      ['the directory with them', isSync(/\.amd64\.boot-[0-9a-f]{12}$/)],
      ['the boot files', isNaming(path.join(tftp, 'amd64'))],
      ['the directory above the boot files', isSync(tftp)],
      ['.old', isNaming(`${image}.old`)],
      ['the directory with .old', isSync(server.images)],
      ['the image', isNaming(image)],
      ['the directory with the image', isSync(server.images)],
      ['the end of the journal', isCommit],
    ] as const;
    let at = 0;
    for (const [what, wanted] of inOrder) at = find(calls, what, wanted, at) + 1;
    // in particular nothing is written to it any more
    const synced = calls.findIndex(isSync(candidate));
    expect(calls.findLastIndex(isWrite(candidate))).toBeLessThan(synced);
    const manifest = path.join(generations, `${id}.manifest`);
    expect(find(calls, 'the manifest', isSync(manifest))).toBeGreaterThan(calls.findLastIndex(isWrite(manifest)));
    expectSafeRenames(calls, server.root);
  });

  it('has each plan on the disk before it has its effect', () => {
    const begin = find(calls, 'the journal', isNaming(/\/journal\/\d{8}-[0-9a-f]{8}\.jsonl$/));
    const journal = calls[begin];
    if (journal?.kind !== 'rename') throw new Error('the journal is not renamed into place');
    find(calls, 'the directory with the journal', isSync(path.dirname(journal.to)), begin);
    // each line is followed by a sync before anything else is written or named, other programs aside
    for (const [index, call] of calls.entries()) {
      if (call.kind !== 'write' || call.file !== journal.to) continue;
      const next = calls.findIndex((other, at) => at > index && other.pid === call.pid && other.kind !== 'close');
      expect(calls[next], `after ${call.text}`).toMatchObject({ kind: 'sync', file: journal.to });
    }
    const effects = [
      [
        'build',
        find(calls, 'the candidate', (call) => 'file' in call && call.file === path.join(generations, `${id}.partial`)),
      ],
      ['publish', find(calls, 'the record', isNaming(path.join(generations, `${id}.json`)))],
    ] as const;
    for (const [step, effect] of effects) {
      const line = find(
        calls,
        `the plan of ${step}`,
        (call) => call.kind === 'write' && call.file === journal.to && call.text.includes(`\\"step\\":\\"${step}\\"`),
      );
      expect(find(calls, 'its sync', isSync(journal.to), line)).toBeLessThan(effect);
    }
  });

  it('removes what is pruned, and only when the job has been committed', () => {
    const pruned = find(
      calls,
      'a pruned image',
      (call) => call.kind === 'unlink' && /\/\d{8}T\d{6}Z\.img$/.test(call.file),
    );
    expect(pruned).toBeGreaterThan(find(calls, 'the end of the journal', isCommit));
  });
});

describe('a revert', () => {
  it('has hold and plan on the disk before clients get something else, and the names after it', () => {
    const calls = trace('revert', 'amd64');
    const image = server.image('amd64');
    const inOrder = [
      ['the plan', (call: Call) => call.kind === 'write' && /\\"step\\":\\"switch-back\\"/.test(call.text)],
      ['its sync', isSync(/\.jsonl$/)],
      ['the hold', isNaming(/\/chroots\/amd64\.json$/)],
      ['the directory with the hold', isSync(/\/chroots$/)],
      ['the data of the kernel', isSync(/\.amd64\.boot-[0-9a-f]{12}\/vmlinuz-/)],
      ['the directory with it', isSync(/\.amd64\.boot-[0-9a-f]{12}$/)],
      ['the boot files', isNaming(path.join(tftp, 'amd64'))],
      ['the directory above the boot files', isSync(tftp)],
      ['.old', isNaming(`${image}.old`)],
      ['the directory with .old', isSync(server.images)],
      ['the image', isNaming(image)],
      ['the directory with the image', isSync(server.images)],
      ['the end of the journal', isCommit],
    ] as const;
    let at = 0;
    for (const [what, wanted] of inOrder) at = find(calls, what, wanted, at) + 1;
    expectSafeRenames(calls, server.root);
  });
});

function isCommit(call: Call): boolean {
  return call.kind === 'write' && /\.jsonl$/.test(call.file) && call.text.includes('\\"committed\\"');
}
