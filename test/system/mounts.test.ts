import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountImage, mounts, parseMountinfo } from '../../src/system/mounts.ts';

let directory: string;
let image: string;
let mountPoint: string;

beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mounts-'));
  image = path.join(directory, 'it.img');
  mountPoint = path.join(directory, 'mnt');
  fs.mkdirSync(path.join(directory, 'tree'));
  fs.mkdirSync(mountPoint);
  fs.writeFileSync(path.join(directory, 'tree/hello'), 'hello');
  execFileSync('mksquashfs', [path.join(directory, 'tree'), image, '-quiet', '-no-progress']);
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

/** Loop devices whose backing file is the image; the kernel clears one shortly after its last user has gone. */
function loopDevices(): string[] {
  const output = execFileSync('losetup', ['--associated', image], { encoding: 'utf8' });
  return output.split('\n').filter(Boolean);
}

async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('mountImage', () => {
  it('shows the image under root and nobody else sees the mount', async () => {
    const mounted = await mountImage(image, mountPoint);
    expect(fs.readFileSync(path.join(mounted.root, 'hello'), 'utf8')).toBe('hello');
    expect(() => fs.writeFileSync(path.join(mounted.root, 'x'), '')).toThrow('EROFS');
    expect(fs.readdirSync(mountPoint)).toEqual([]);
    expect(mounts().map((mount) => mount.target)).not.toContain(mountPoint);
    expect(loopDevices()).toHaveLength(1);
    await mounted.close();
    await until(() => loopDevices().length === 0);
  });

  it('two jobs may mount on one directory at a time', async () => {
    const [one, other] = await Promise.all([mountImage(image, mountPoint), mountImage(image, mountPoint)]);
    expect(fs.readdirSync(one.root)).toEqual(['hello']);
    await one.close();
    expect(fs.readdirSync(other.root)).toEqual(['hello']);
    await other.close();
    await until(() => loopDevices().length === 0);
  });

  it('says what mount said of a file that is no image', async () => {
    const bad = path.join(directory, 'bad.img');
    fs.writeFileSync(bad, 'x'.repeat(10_000));
    await expect(mountImage(bad, mountPoint)).rejects.toThrow(
      /cannot mount .*bad\.img: mount: .*(wrong fs type|SQUASHFS superblock)/s,
    );
  });

  it('goes away when the program that made it is killed', async () => {
    // The mount's keeper is tied to its parent; this stands for the daemon.
    const script = `
      const { spawn } = require('node:child_process');
      const [file, args] = JSON.parse(process.argv[1]);
      spawn(file, args, { stdio: ['pipe', 'inherit', 'inherit'] });
      setInterval(() => {}, 1000);`;
    const { confined } = await import('../../src/system/processes.ts');
    const command = confined('sh', [
      '-c',
      'mount -t squashfs -o loop,ro "$1" "$2" && echo ok && exec cat',
      'sh',
      image,
      mountPoint,
    ]);
    const parent = spawn(process.execPath, ['-e', script, JSON.stringify(command)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => parent.stdout.once('data', resolve));
    expect(loopDevices()).toHaveLength(1);
    parent.kill('SIGKILL');
    await until(() => loopDevices().length === 0);
  });
});

describe('parseMountinfo', () => {
  it('reads optional fields and octal escapes', () => {
    const line = '36 35 98:0 /mnt1 /mnt\\040two rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n';
    expect(parseMountinfo(line)).toEqual([{ target: '/mnt two', type: 'ext3', device: '98:0' }]);
  });
});
