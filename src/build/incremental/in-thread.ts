import { CancelledError } from '../../errors.ts';
import { buildIncrementally, type ImageWriter } from '../incremental.ts';

/** Builds in this thread, which is busy for most of that time: for a command, which has nothing else to do. */
export const incrementalInThread: ImageWriter = async (request, signal) => {
  if (signal?.aborted === true) throw new CancelledError('the build was stopped');
  return await buildIncrementally(request, signal);
};
