import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { applyKernelRules, readKernelRules } from '../../../src/serve/boot-files/kernel-rules.ts';
import { type BootSite, makeBootSite, removeBootSite, write } from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite();
});
afterEach(() => removeBootSite(site));

const read = (text: string) => {
  write(site.image, { 'etc/ltsp/update-kernels.conf': text });
  return readKernelRules(site.image);
};

describe('readKernelRules', () => {
  it('an image without the file has none', () => {
    expect(readKernelRules(site.image)).toEqual({ kernelNames: null, initrdName: null });
  });

  it('reads the two, and an empty one is none', () => {
    expect(read('# names\nexport KERNEL_NAMES=\'s/a/b/p\'\nINITRD_NAME=""\n')).toEqual({
      kernelNames: 's/a/b/p',
      initrdName: null,
    });
  });

  it('passes over shell around them, and runs none of it', () => {
    const marker = path.join(site.directory, 'ran');
    const text = `ARCH=$(touch ${marker})\ntouch ${marker}\nif true; then\n  KERNEL_NAMES='s/a/b/p'\nfi\n`;
    expect(read(text).kernelNames).toBe('s/a/b/p');
    expect(fs.existsSync(marker)).toBe(false);
  });

  it('refuses one of the two that would run something, with file and line', () => {
    const text = '# first\nif true; then\nKERNEL_NAMES="$(touch /tmp/ran)"\nfi\n';
    expect(() => read(text)).toThrow(
      "cannot use the image's kernel names: etc/ltsp/update-kernels.conf:3: $( would run a command",
    );
  });

  it('refuses a file that is a link, which could lead anywhere', () => {
    write(site.image, { 'etc/ltsp/': '' });
    fs.symlinkSync('/etc/passwd', path.join(site.image, 'etc/ltsp/update-kernels.conf'));
    expect(() => readKernelRules(site.image)).toThrow('cannot read etc/ltsp/update-kernels.conf of the image');
  });
});

describe('applyKernelRules', () => {
  const names = ['config-5.4-a', 'vmlinuz-5.4-1-a', 'vmlinuz-5.4-2-b'];

  it.each([
    ['prints by itself', 's/^vmlinuz-[^-]*-[^-]*-\\(.*\\)$/& \\1/p'],
    ['is printed by sed', 's/^vmlinuz-[^-]*-[^-]*-\\(.*\\)$/& \\1/'],
    ['gives the flavour alone', 's/^vmlinuz-[^-]*-[^-]*-\\(.*\\)$/\\1/p'],
  ])('takes an expression that %s', async (_, kernelNames) => {
    expect(await applyKernelRules({ kernelNames, initrdName: null }, names, [])).toEqual([
      { file: 'vmlinuz-5.4-1-a', flavour: 'a' },
      { file: 'vmlinuz-5.4-2-b', flavour: 'b' },
    ]);
  });

  it('takes an expression that only selects', async () => {
    expect(await applyKernelRules({ kernelNames: '/-b$/p', initrdName: null }, names, [])).toEqual([
      { file: 'vmlinuz-5.4-2-b' },
    ]);
  });

  it("makes the initrd's name of the kernel's", async () => {
    const rules = { kernelNames: null, initrdName: 's/vmlinuz/initramfs/;s/$/.img/' };
    expect(await applyKernelRules(rules, names, [{ file: 'vmlinuz-5.4-1-a' }])).toEqual([
      { file: 'vmlinuz-5.4-1-a', initrd: 'initramfs-5.4-1-a.img' },
    ]);
  });

  it.each(['e', 'e touch MARKER', 's|.*|touch MARKER|e', 'w MARKER', 's/a/b/w MARKER', 'r /etc/passwd', 'W MARKER'])(
    'refuses the expression %s, which would run, write or read something',
    async (expression) => {
      const marker = path.join(site.directory, 'ran');
      const rules = { kernelNames: expression.replace('MARKER', marker), initrdName: null };
      await expect(applyKernelRules(rules, names, [])).rejects.toThrow(
        /^cannot use KERNEL_NAMES in etc\/ltsp\/update-kernels.conf of the image: .*sandbox/,
      );
      expect(fs.existsSync(marker)).toBe(false);
    },
  );

  it.each([
    ['has no end', ':a;ba'],
    ['grows without end', ':a;G;h;ba'],
    ['is no sed', 's/'],
  ])('ends with an error for an expression that %s', async (_, kernelNames) => {
    await expect(applyKernelRules({ kernelNames, initrdName: null }, names, [])).rejects.toThrow(
      'cannot use KERNEL_NAMES in etc/ltsp/update-kernels.conf of the image',
    );
  });
});
