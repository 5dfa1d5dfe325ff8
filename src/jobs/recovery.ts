import { messageOf } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { appendHistory } from '../store/history.ts';
import { readRecord } from '../store/records.ts';
import { sweep } from '../store/sweep.ts';
import { fault } from '../system/faults.ts';
import { rememberPublished } from './aftermath.ts';
import { type LeftJournal, openJournals } from './journal.ts';
import { REBUILD_STEPS } from './rebuild.ts';
import { REVERT_STEPS } from './revert.ts';
import { recover, type Telling } from './runner.ts';

/**
 * Undoes what a crash left half done. Only under the images' lock: a job that runs in another program must not be taken
 * for one that crashed. A job that cannot be undone now keeps its journal for the next time.
 */
export async function recoverJobs(site: Site): Promise<void> {
  for (const journal of openJournals(site.config.paths)) {
    const { kind, name } = journal.header;
    try {
      fault('recovery.journal');
      const outcome = await recoverJob(site, journal);
      fault('recovery.remember');
      if (outcome === 'done') {
        finish(site, journal);
        continue;
      }
      const message = `${name}: a ${kind} was interrupted; what clients get is what they got before it`;
      const at = new Date(site.now()).toISOString();
      const reason = 'the program or the machine stopped';
      appendHistory(site.config.paths, { at, name, event: 'recovered', id: null, reason, message });
      site.log.warn('recovery.done', { name, kind }, message);
    } catch (error) {
      site.log.error('recovery.failed', { name, kind }, messageOf(error));
    }
  }
  if (openJournals(site.config.paths).length > 0) return;
  fault('recovery.sweep');
  for (const file of sweep(site.config.paths))
    site.log.info('recovery.done', { file }, `removed ${file}, left by a crash`);
}

/** A job that was done, except for what is remembered of it. */
function finish(site: Site, { header }: LeftJournal): void {
  const record = header.kind === 'rebuild' ? readRecord(site.config.paths, header.name, header.id) : undefined;
  if (record !== undefined) rememberPublished(site, record);
}

function recoverJob(site: Site, journal: LeftJournal): Promise<'undone' | 'done'> {
  const log: Telling['log'] = (message) => site.log.error('recovery.failed', { name: journal.header.name }, message);
  return journal.header.kind === 'rebuild'
    ? recover({ steps: REBUILD_STEPS, site, journal, log })
    : recover({ steps: REVERT_STEPS, site, journal, log });
}
