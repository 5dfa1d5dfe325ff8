import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BusyError } from '../../src/errors.ts';
import { FileLock, holderOf } from '../../src/system/file-lock.ts';

let directory: string;
let file: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'file-lock-'));
  file = path.join(directory, 'lock');
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

const holder = { pid: process.pid, program: 'ltsp-autoimage', what: 'build amd64' };

describe('FileLock', () => {
  it('is taken once, and free again after release', () => {
    const lock = FileLock.take(file, holder);
    expect(() => FileLock.take(file, { ...holder, what: 'revert amd64' })).toThrow(
      `cannot revert amd64: ltsp-autoimage (pid ${process.pid}) holds ${file}`,
    );
    lock.release();
    FileLock.take(file, holder).release();
  });

  it('stays when the file is read and closed elsewhere in the process', () => {
    const lock = FileLock.take(file, holder);
    expect(holderOf(file)).toEqual(holder);
    expect(() => FileLock.take(file, holder)).toThrow(BusyError);
    lock.release();
  });

  it('holds off a record lock, as dpkg takes one, and is held off by it', async () => {
    const script = `
import fcntl, sys
f = open(sys.argv[1], 'a')
try:
    fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print('taken', flush=True); sys.stdin.read()
except OSError:
    print('refused', flush=True)`;
    const other = (): Promise<{ said: string; end: () => Promise<void> }> =>
      new Promise((resolve) => {
        const child = spawn('python3', ['-c', script, file], { stdio: ['pipe', 'pipe', 'inherit'] });
        const ended = new Promise<void>((done) => child.once('close', () => done()));
        child.stdout.once('data', (data) => {
          const end = (): Promise<void> => {
            child.stdin.end();
            return ended;
          };
          resolve({ said: String(data).trim(), end });
        });
      });
    const lock = FileLock.take(file, holder);
    const refused = await other();
    expect(refused.said).toBe('refused');
    await refused.end();
    lock.release();
    const taken = await other();
    expect(taken.said).toBe('taken');
    expect(() => FileLock.take(file, holder)).toThrow(BusyError);
    await taken.end();
    FileLock.take(file, holder).release();
  });

  it('does not follow a link', () => {
    fs.symlinkSync(path.join(directory, 'elsewhere'), file);
    expect(() => FileLock.take(file, holder)).toThrow('ELOOP');
    expect(fs.readdirSync(directory)).toEqual(['lock']);
  });
});
