import type { ChrootConfig } from '../config/config.ts';
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
    try {
      const server = readNbdServer(job.config);
      if (server.kind === 'unreadable') note(job, 'export.problem', job.chroot.name, unreadable(server));
      const plan = planOf(job, server);
      if (plan.kind === 'skip' && plan.because !== 'off') tellOnce(job, plan.reason);
      return exportWriteOf(plan);
    } catch (error) {
      note(job, 'export.problem', job.chroot.name, messageOf(error));
      return null;
    }
  },
  act: async (job, write) => {
    if (write === null) return;
    const { name } = job.chroot;
    try {
      writeExport(write);
      // as it reads its config with the new file in it
      const server = readNbdServer(job.config);
      const plan = planOf(job, server);
      if (server.kind !== 'configured' || plan.kind === 'skip') return;
      const options = { answer: ANSWER, patience: PATIENCE, signal: job.signal };
      tell(job, plan.section, await announceExport(server, plan.section, starterOf(job.config), options));
    } catch (error) {
      if (job.signal.aborted) throw error;
      note(job, 'export.problem', name, messageOf(error));
    }
  },
  undo: (_, write) => undoExport(write),
});

function planOf({ config, chroot, settings }: RebuildJob, server: NbdServer): ExportPlan {
  const { nbd, nbdConfDir, nbdAuthfile }: ChrootConfig['serve'] = settings.serve;
  return exportPlan({
    config,
    name: chroot.name,
    settings: { confDir: nbdConfDir, authfile: nbdAuthfile },
    server,
    asked: nbd,
    present: namesInConfDir(nbdConfDir),
    servedByNfs: servedByNfs(config),
  });
}

function unreadable({ file, why }: Extract<NbdServer, { kind: 'unreadable' }>): string {
  return `cannot read nbd-server's config ${file}: ${why} (clients get the image once nbd-server can read it)`;
}

function tell(job: RebuildJob, section: string, announcement: Announcement): void {
  const line = announcementLine(section, announcement);
  const { name } = job.chroot;
  if (announcement.kind === 'served') job.log.info('export.served', { name, ...announcement }, `${name}: ${line}`);
  else note(job, 'export.problem', name, line);
}

/** Once while the program runs: a site that serves by NFS has chosen so. */
const told = new Set<string>();
function tellOnce({ log, chroot: { name } }: RebuildJob, reason: string): void {
  if (told.has(`${name}: ${reason}`)) return;
  told.add(`${name}: ${reason}`);
  log.info('export.skipped', { name }, `${name}: no export for nbd-server: ${reason}`);
}
