import { messageOf } from '../errors.ts';
import type { Site } from '../steps/site.ts';
import { appendHistory } from '../store/history.ts';
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
      if ((await recoverJob(site, journal)) === 'done') continue;
      const message = `${name}: a ${kind} was interrupted; what clients get is what they got before it`;
      const at = new Date(site.now()).toISOString();
      const reason = 'the program or the machine stopped';
      appendHistory(site.config.paths, { at, name, event: 'recovered', id: null, reason, message });
      site.log.warn('recovery.done', { name, kind }, message);
    } catch (error) {
      site.log.error('recovery.failed', { name, kind }, messageOf(error));
    }
  }
}

function recoverJob(site: Site, journal: LeftJournal): Promise<'undone' | 'done'> {
  const log: Telling['log'] = (message) => site.log.error('recovery.failed', { name: journal.header.name }, message);
  return journal.header.kind === 'rebuild'
    ? recover({ steps: REBUILD_STEPS, site, journal, log })
    : recover({ steps: REVERT_STEPS, site, journal, log });
}
