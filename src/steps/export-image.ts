import fs from 'node:fs';
import { type ChrootConfig, configOf } from '../config/config.ts';
import { messageOf } from '../errors.ts';
import { servedByNfs } from '../serve/image-access.ts';
import { announceExport } from '../serve/nbd/announce.ts';
import { type Announcement, announcementLine } from '../serve/nbd/announcement.ts';
import { type ExportPlan, exportPlan, namesInConfDir } from '../serve/nbd/export.ts';
import { type NbdServer, readNbdServer } from '../serve/nbd/server.ts';
import { starterOf } from '../serve/nbd/starter.ts';
import {
  type ExportWrite,
  exportWriteOf,
  exportWriteSchema,
  undoExport,
  writeExport,
} from '../serve/nbd/write-export.ts';
import { note, type RebuildJob, type Site } from './site.ts';
import { defineStep } from './step.ts';

/** Milliseconds that one answer of nbd-server may take, and all of them together. */
const ANSWER = 5000;
const PATIENCE = 10_000;

/**
 * nbd-server gets an export for the image where it is to have one, and is told of it without losing a client. An image
 * that is published is good whether it is exported or not: that clients cannot get it by NBD yet is told, and takes
 * nothing back.
 */
export const exportImage = defineStep<Site, RebuildJob, ExportWrite>({
  name: 'export-image',
  plan: exportWriteSchema,
  prepare: (job) => {
    const { name } = job.chroot;
    try {
      const server = readNbdServer(job.config);
      if (server.kind === 'unreadable') note(job, 'export.problem', name, unreadable(server));
      const plan = planOf(job, name, job.settings.serve, server);
      // who asks for an export has to hear why there is none
      if (plan.kind === 'skip' && job.settings.serve.nbd === 'on') note(job, 'export.problem', name, plan.reason);
      else if (plan.kind === 'skip' && plan.because !== 'off') tellOnce(job, name, plan.reason);
      return exportWriteOf(plan);
    } catch (error) {
      note(job, 'export.problem', name, messageOf(error));
      return null;
    }
  },
  act: async (job, write) => {
    if (write === null) return;
    const { name } = job.chroot;
    const problem = await exported(job, name, write, job.settings.serve, job.signal);
    if (problem !== null) note(job, 'export.problem', name, problem);
  },
  undo: (_, write) => undoExport(write),
});

/** Sees to it that an export which has gone is there again; says in the log what came of it. Never throws but for `signal`. */
export async function mendExport(site: Site, name: string, signal: AbortSignal): Promise<void> {
  const { serve } = configOf(site.config, name);
  const write = exportWriteOf(planOf(site, name, serve, readNbdServer(site.config)));
  const problem = await exported(site, name, write, serve, signal);
  if (problem !== null) site.log.warn('export.problem', { name }, `${name}: ${problem}`);
}

/** Writes an export and has nbd-server serve it; null when clients get it, else in words why not and what to do. */
async function exported(
  site: Site,
  name: string,
  write: ExportWrite,
  serve: ChrootConfig['serve'],
  signal: AbortSignal,
): Promise<string | null> {
  try {
    writeExport(write);
    // as it reads its config with the new file in it
    const server = readNbdServer(site.config);
    const plan = planOf(site, name, serve, server);
    if (server.kind !== 'configured' || plan.kind === 'skip') return null;
    const options = { answer: ANSWER, patience: PATIENCE, signal };
    const announcement = await announceExport(server, plan.section, starterOf(site.config), options);
    return toldOf(site, name, plan.section, announcement);
  } catch (error) {
    if (signal.aborted) throw error;
    return messageOf(error);
  }
}

function toldOf({ log }: Site, name: string, section: string, announcement: Announcement): string | null {
  const line = announcementLine(section, announcement);
  if (announcement.kind !== 'served') return line;
  log.info('export.served', { name, ...announcement }, `${name}: ${line}`);
  return null;
}

function planOf({ config }: Site, name: string, serve: ChrootConfig['serve'], server: NbdServer): ExportPlan {
  const { nbd, nbdConfDir, nbdAuthfile } = serve;
  return exportPlan({
    config,
    name,
    settings: { confDir: nbdConfDir, authfile: nbdAuthfile },
    server,
    asked: nbd,
    present: namesInConfDir(nbdConfDir),
    servedByNfs: servedByNfs(config),
    authfile: fs.existsSync(nbdAuthfile) ? 'there' : 'missing',
  });
}

function unreadable({ file, why }: Extract<NbdServer, { kind: 'unreadable' }>): string {
  return `cannot read nbd-server's config ${file}: ${why} (clients get the image once nbd-server can read it)`;
}

/** Once while the program runs: a site that serves by NFS has chosen so. */
const told = new Set<string>();
function tellOnce({ log }: Site, name: string, reason: string): void {
  if (told.has(`${name}: ${reason}`)) return;
  told.add(`${name}: ${reason}`);
  log.info('export.skipped', { name }, `${name}: no export for nbd-server: ${reason}`);
}
