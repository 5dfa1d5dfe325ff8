import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mksquashfs } from '../../src/build/mksquashfs.ts';
import { CancelledError } from '../../src/errors.ts';

let directory: string;
beforeEach(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mksquashfs-'));
  fs.mkdirSync(path.join(directory, 'tree/etc'), { recursive: true });
  fs.writeFileSync(path.join(directory, 'tree/etc/hostname'), 'client\n');
  fs.writeFileSync(path.join(directory, 'tree/etc/secret'), 'secret\n');
  fs.writeFileSync(path.join(directory, 'tree/#notes'), 'notes\n');
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

function options(overrides: Partial<Parameters<typeof mksquashfs>[0]> = {}): Parameters<typeof mksquashfs>[0] {
  return {
    source: path.join(directory, 'tree'),
    image: path.join(directory, 'it.img'),
    compression: { type: 'gzip', level: 6 },
    excludes: [],
    nice: true,
    signal: new AbortController().signal,
    onPercent: () => {},
    ...overrides,
  };
}

function list(image: string): string[] {
  const output = execFileSync('unsquashfs', ['-l', '-d', '', image], { encoding: 'utf8' });
  return output
    .split('\n')
    .filter((line) => line.startsWith('/'))
    .sort();
}

describe('mksquashfs', () => {
  it.each(['gzip', 'zstd', 'lz4', 'xz', 'lzo', 'none'] as const)('makes an image with %s', async (type) => {
    const asked = options({ compression: { type, level: 0 } });
    await mksquashfs(asked);
    expect(list(asked.image)).toEqual(['/#notes', '/etc', '/etc/hostname', '/etc/secret']);
    const said = execFileSync('unsquashfs', ['-s', asked.image], { encoding: 'utf8' });
    expect(said).toContain(type === 'none' ? 'Data is uncompressed' : `Compression ${type}`);
  });

  it('uses the level', async () => {
    const asked = options({ compression: { type: 'zstd', level: 6 } });
    await mksquashfs(asked);
    expect(execFileSync('unsquashfs', ['-s', asked.image], { encoding: 'utf8' })).toContain('compression-level 6');
  });

  it('leaves out what the patterns name, one that begins with # too, and no file of its own stays', async () => {
    const asked = options({ excludes: ['etc/sec*', '#notes'] });
    await mksquashfs(asked);
    expect(list(asked.image)).toEqual(['/etc', '/etc/hostname']);
    expect(fs.readdirSync(directory).sort()).toEqual(['it.img', 'tree']);
  });

  it('refuses a pattern that would be read as two', async () => {
    const asked = options({ excludes: ['a\nb'] });
    await expect(mksquashfs(asked)).rejects.toThrow('cannot exclude "a\\nb": it has a line break in it');
  });

  it('tells the progress in rising percents up to 100', async () => {
    const percents: number[] = [];
    await mksquashfs(options({ onPercent: (percent) => percents.push(percent) }));
    expect(percents.at(-1)).toBe(100);
    expect(percents).toEqual([...new Set(percents)].sort((a, b) => a - b));
  });

  it('leaves no part of an image when it is stopped', async () => {
    fs.writeFileSync(path.join(directory, 'tree/big'), Buffer.alloc(100_000_000, 'abcdefg'));
    const stop = new AbortController();
    const asked = options({ signal: stop.signal, compression: { type: 'xz', level: 0 } });
    const building = mksquashfs(asked);
    while (!fs.existsSync(asked.image)) await new Promise((resolve) => setTimeout(resolve, 5));
    stop.abort();
    await expect(building).rejects.toThrow(CancelledError);
    expect(fs.readdirSync(directory)).toEqual(['tree']);
  });

  it('says what mksquashfs said when it fails', async () => {
    const asked = options({ source: path.join(directory, 'nowhere') });
    await expect(mksquashfs(asked)).rejects.toThrow(/cannot finish mksquashfs: .*nowhere/);
    expect(fs.existsSync(asked.image)).toBe(false);
  });
});
