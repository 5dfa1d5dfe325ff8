import * as z from 'zod';
import { configOf } from '../config/config.ts';
import { messageOf, UserError } from '../errors.ts';
import { type Boot, readBoot } from '../serve/boot-files/boot.ts';
import { detectLayout } from '../serve/boot-files/detect.ts';
import { type Layout, type LayoutKind, planBootDirectory } from '../serve/boot-files/layout.ts';
import { makeNext } from '../serve/boot-files/next.ts';
import { type BootPlace, bootPlaces } from '../serve/boot-files/place.ts';
import { bootPlan, planSwitch } from '../serve/boot-files/plan.ts';
import { hasBootFiles } from '../serve/boot-files/same.ts';
import { removeFormer, switchBootDirectory, undoSwitch } from '../serve/boot-files/switch.ts';
import { makeMountPoint } from '../store/mount-point.ts';
import { switchTo } from '../store/switch.ts';
import { mountImage } from '../system/mounts.ts';
import type { Site } from './site.ts';

const links = z.object({ current: z.string().nullable(), previous: z.string().nullable() });

/** How what clients get is switched as one unit: image, `.old` and the boot files in each TFTP directory. */
export const unitPlan = z.object({
  name: z.string(),
  before: links,
  after: links,
  /** The directories whose boot files become others. */
  boot: z.array(bootPlan),
});
export type UnitPlan = z.infer<typeof unitPlan>;

/** Which image the boot files come from: always the one that is to be current. `file` is where it is now. */
export type UnitSource = { file: string; signal: AbortSignal };

/**
 * Looks at what there is and at the image, and says what is to be switched; has no effect.
 * @param onNote told of what stays as it is, though the image should decide about it
 */
export async function planUnit(
  site: Site,
  { name, before, after }: Omit<UnitPlan, 'boot'>,
  { file, signal }: UnitSource,
  onNote: (text: string) => void,
): Promise<UnitPlan> {
  const plan: UnitPlan = { name, before, after, boot: [] };
  const { tftpDirs, tftpBootDir } = configOf(site.config, name).serve;
  const places = bootPlaces(tftpDirs, tftpBootDir, name);
  if (places.length === 0) return plan;
  await withBoot(site, name, { file, signal }, async (boot, layout) => {
    if (layout.kernels.size === 0) {
      onNote(`boot files in ${places.map((place) => place.directory).join(', ')} stay as they are: ${whyNone(layout)}`);
      return;
    }
    for (const place of places) {
      if (await isUpToDate(place, boot, layout, signal)) continue;
      plan.boot.push(planSwitch(place, layout));
    }
  });
  return plan;
}

/**
 * Gives clients what the plan says. All that takes time or room is made before the first of them can see anything; then
 * boot files are switched, each directory at once, and the image last.
 */
export async function switchUnit(site: Site, plan: UnitPlan, { file, signal }: UnitSource): Promise<void> {
  const { name, after, boot: directories } = plan;
  if (directories.length > 0) {
    await withBoot(site, name, { file, signal }, async (boot, layout) => {
      for (const one of directories) await makeNext(one, boot, layout, signal);
      for (const one of directories) {
        const { dropped } = switchBootDirectory(one, layout);
        const message = `${name}: boot files in ${one.directory} are those of the image`;
        site.log.info('boot.switched', { name, directory: one.directory, dropped }, message);
      }
    });
  }
  switchTo(site.config.paths, name, after, site.now());
}

/** Takes back whatever of it has been done. What goes wrong with one part does not keep the others from it. */
export function undoUnit(site: Site, { name, before, boot }: UnitPlan): void {
  const errors: unknown[] = [];
  for (const undo of [
    () => switchTo(site.config.paths, name, before, site.now()),
    ...[...boot].reverse().map((one) => () => undoSwitch(one)),
  ]) {
    try {
      undo();
    } catch (error) {
      errors.push(error);
    }
  }
  const [first, ...more] = errors;
  if (more.length > 0) throw new UserError(errors.map(messageOf).join('; '), { cause: first });
  if (first !== undefined) throw first;
}

/** Nothing of it is to be undone any more: the former boot files go. */
export function finishUnit({ boot }: UnitPlan): void {
  for (const one of boot) removeFormer(one);
}

/** Reads the boot files of an image, mounted for as long as `use` takes. */
async function withBoot(
  { config }: Site,
  name: string,
  { file, signal }: UnitSource,
  use: (boot: Boot, layout: Layout) => Promise<void>,
): Promise<void> {
  const { layout, tftpDirs, tftpBootDir } = configOf(config, name).serve;
  const mountPoint = makeMountPoint(config.paths);
  const mounted = await mountImage(file, mountPoint, signal);
  try {
    const boot = await readBoot(mounted.root, signal);
    const kind = layout === 'auto' ? layoutOf(detectLayout(tftpDirs, tftpBootDir, name), boot) : layout;
    await use(boot, planBootDirectory(boot, { layout: kind }));
  } finally {
    await mounted.close();
  }
}

/** Where the site does not tell, an image that LTSP 5 is installed in does: that has a config for pxelinux in boot/. */
function layoutOf(detected: LayoutKind, { entries }: Boot): LayoutKind {
  const isLtsp5 = entries.some((entry) => entry.path === 'pxelinux.cfg/ltsp');
  return detected === 'both' && isLtsp5 ? 'ltsp5' : detected;
}

async function isUpToDate(place: BootPlace, boot: Boot, layout: Layout, signal: AbortSignal): Promise<boolean> {
  return planSwitch(place, layout).topLinks.length === 0 && (await hasBootFiles(place.directory, boot, layout, signal));
}

function whyNone({ problems: [first] }: Layout): string {
  return first ?? 'the image has no kernel';
}
