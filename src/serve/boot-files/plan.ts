import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import type { Layout } from './layout.ts';
import type { BootPlace } from './place.ts';
import { type TopLink, topLink, topLinks } from './top-links.ts';

/** What the switch of one TFTP boot directory and its undo need to know; plain JSON, for the journal. */
export const bootPlan = z.object({
  /** In the manifest of the directory that the plan makes: by it the two are told apart. */
  id: z.string(),
  /** For example /srv/tftp/ltsp/amd64. */
  directory: z.string(),
  /** Whether there is one yet. */
  before: z.enum(['directory', 'absent']),
  /** Directories above it that are missing, topmost first. */
  missing: z.array(z.string()),
  topLinks: z.array(topLink),
});

export type BootPlan = {
  id: string;
  directory: string;
  before: 'directory' | 'absent';
  missing: string[];
  topLinks: TopLink[];
};

/** Looks at a place and says how it will be switched; has no effect. */
export function planSwitch(place: BootPlace, layout: Layout): BootPlan {
  const missing: string[] = [];
  for (let above = path.dirname(place.directory); !fs.existsSync(above); above = path.dirname(above)) {
    missing.unshift(above);
  }
  return {
    id: randomBytes(6).toString('hex'),
    directory: place.directory,
    before: fs.existsSync(place.directory) ? 'directory' : 'absent',
    missing,
    topLinks: topLinks(place, layout.atTop),
  };
}

/** Beside the directory, on its file system: the next one until the switch, the former one after it. */
export function asideOf({ directory, id }: BootPlan): string {
  return path.join(path.dirname(directory), `.${path.basename(directory)}.boot-${id}`);
}

/** The former state where directories cannot change places: hard links to all that was there. */
export function savedOf(plan: BootPlan): string {
  return `${asideOf(plan)}.saved`;
}

/** Everything that this plan and those before it leave beside the directory has a name of this form. */
export function leftoversOf(directory: string): string[] {
  const prefix = `.${path.basename(directory)}.boot-`;
  const above = path.dirname(directory);
  const names = fs.existsSync(above) ? fs.readdirSync(above) : [];
  return names
    .filter((name) => name.startsWith(prefix) && /^[0-9a-f]{12}(\.[a-z]+)*$/.test(name.slice(prefix.length)))
    .map((name) => path.join(above, name));
}
