import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { asideOf, type BootPlan, bootPlan, savedOf } from '../../../src/serve/boot-files/plan.ts';
import { type Exchange, removeFormer, switchBootDirectory, undoSwitch } from '../../../src/serve/boot-files/switch.ts';
import { exchange } from '../../../src/system/posix.ts';
import { withPowerCut } from './power-cut.ts';
import {
  addReferenceKernels,
  type BootSite,
  contentsOf,
  makeBootSite,
  prepared,
  REGENERATED,
  removeBootSite,
  write,
} from './site.ts';

let site: BootSite;
beforeEach(() => {
  site = makeBootSite('memory');
  addReferenceKernels(site.image);
  for (const name of ['config', 'System.map']) {
    for (const abi of [1, 2]) fs.rmSync(path.join(site.image, `boot/${name}-6.1.0-${abi}-amd64`));
  }
  write(site.image, { 'boot/yaboot': 'y', 'boot/gone/file': 'x' });
});
afterEach(() => removeBootSite(site, 'memory'));

const live = (): string => path.join(site.tftp, 'ltsp/amd64');

const STARTS: Record<string, () => Promise<void>> = {
  nothing: async () => {},
  "LTSP's own directory": async () => {
    write(live(), {
      'vmlinuz-5.10.0-1-amd64': 'kernel 5',
      'initrd.img-5.10.0-1-amd64': 'initrd 5',
      'lts.conf': 'x',
      'pxelinux.cfg/default': REGENERATED,
      'pxelinux.cfg/01-aa': 'x',
      'own/deep/file': 'x',
    });
    fs.symlinkSync('vmlinuz-5.10.0-1-amd64', path.join(live(), 'vmlinuz-amd64'));
    fs.symlinkSync('initrd.img-5.10.0-1-amd64', path.join(live(), 'initrd.img-amd64'));
  },
  'a directory of ours': async () => {
    const { plan, boot, layout } = await prepared(site);
    await makeNext(plan, boot, layout);
    switchBootDirectory(plan, layout);
    removeFormer(plan);
    write(live(), { 'lts.conf': 'x', 'pxelinux.cfg/01-aa': 'x', 'own/deep/file': 'x' });
    write(site.image, {
      'boot/vmlinuz-6.1.0-3-amd64': 'kernel 3',
      'boot/initrd.img-6.1.0-3-amd64': 'initrd 3',
      'lib/modules/6.1.0-3-amd64/modules.dep': '',
    });
    for (const name of ['boot/gone', 'boot/vmlinuz-6.1.0-1-amd64']) {
      fs.rmSync(path.join(site.image, name), { recursive: true });
    }
    write(site.image, { 'boot/initrd.img-6.1.0-2-amd64': 'initrd made anew' });
  },
};

const WAYS: Record<string, (exchange: Exchange) => Exchange> = {
  'by exchange': (exchange) => exchange,
  'file by file': () => () => {
    throw Object.assign(new Error('EINVAL'), { code: 'EINVAL' });
  },
};

describe.each(Object.keys(STARTS))('from %s', (start) => {
  it.each(Object.keys(WAYS))(
    '%s: undo takes back what a crash at any point left, and clients never miss a kernel',
    async (way) => {
      await STARTS[start]?.();
      const before = contentsOf(site.tftp);
      for (let at = 1, outcome = 'cut'; outcome === 'cut'; at++) {
        const { plan, cut } = await switchWithCut(way, at);
        outcome = cut;
        undoSwitch(plan, wayOf(way));
        expect(contentsOf(site.tftp), `after a cut at change ${at}`).toEqual(before);
        undoSwitch(plan, wayOf(way));
        expect(contentsOf(site.tftp)).toEqual(before);
        if (outcome === 'done') expect(at).toBeGreaterThan(20);
      }
    },
  );

  it.each(Object.keys(WAYS))('%s: so does undo after a crash at any point of undo itself', async (way) => {
    await STARTS[start]?.();
    const before = contentsOf(site.tftp);
    for (let at = 1, switched = 'cut'; switched === 'cut'; at += 23) {
      for (let undoAt = 1, undone = 'cut'; undone === 'cut'; undoAt++) {
        const { plan, cut } = await switchWithCut(way, at);
        switched = cut;
        undone = await withPowerCut(undoAt, (exchange) => undoSwitch(plan, wayOf(way, exchange)));
        expectClientsServed();
        undoSwitch(plan, wayOf(way));
        expect(contentsOf(site.tftp), `switch cut at change ${at}, undo at ${undoAt}`).toEqual(before);
      }
    }
  });

  it.each(Object.keys(WAYS))(
    '%s: removeFormer ends what a crash of it left, and until the former state is gone undo brings it back',
    async (way) => {
      await STARTS[start]?.();
      const before = contentsOf(site.tftp);
      const saved = path.join(site.directory, 'start');
      fs.cpSync(site.tftp, saved, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      const whole = (await switchWithCut(way, Number.POSITIVE_INFINITY)).plan;
      removeFormer(whole);
      const after = seen();
      let undone = 0;
      for (let at = 1, outcome = 'cut'; outcome === 'cut'; at++) {
        for (const end of ['undo', 'repeat']) {
          fs.rmSync(site.tftp, { recursive: true });
          fs.cpSync(saved, site.tftp, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
          const { plan } = await switchWithCut(way, Number.POSITIVE_INFINITY);
          outcome = await withPowerCut(at, () => removeFormer(plan));
          expectClientsServed();
          const hasFormer = [asideOf(plan), savedOf(plan)].some((former) => fs.existsSync(former));
          if (end === 'undo' && hasFormer) {
            undone += 1;
            undoSwitch(plan, wayOf(way));
            expect(contentsOf(site.tftp), `removeFormer cut at change ${at}, then undo`).toEqual(before);
          } else {
            removeFormer(plan);
            expect(seen(), `removeFormer cut at change ${at}, then repeated`).toEqual(after);
          }
        }
      }
      expect(undone > 0).toBe(start !== 'nothing');
    },
  );

  /** What clients see; what waits beside it for the next run to clear does not count. */
  function seen(): Record<string, string> {
    const all = Object.entries(contentsOf(site.tftp));
    return Object.fromEntries(all.filter(([name]) => !/(^|\/)\.(ltsp-autoimage\.json|amd64\.boot-.*)$/.test(name)));
  }

  async function switchWithCut(way: string, at: number): Promise<{ plan: BootPlan; cut: string }> {
    const { plan, boot, layout } = await prepared(site);
    const cut = await withPowerCut(at, async (exchange) => {
      await makeNext(plan, boot, layout);
      switchBootDirectory(plan, layout, wayOf(way, exchange));
    });
    expectClientsServed();
    // as it comes back from the journal
    return { plan: bootPlan.parse(JSON.parse(JSON.stringify(plan))), cut };
  }

  function expectClientsServed(): void {
    if (start === 'nothing') return;
    const read = (name: string): string => fs.readFileSync(path.join(live(), name), 'utf8');
    expect(read('vmlinuz-amd64')).toMatch(/^kernel /);
    expect(read('initrd.img-amd64')).toMatch(/^initrd /);
    expect(read('lts.conf')).toBe('x');
  }
});

function wayOf(way: string, inner: Exchange = exchange): Exchange {
  return WAYS[way]?.(inner) ?? inner;
}
