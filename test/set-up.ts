import { buildIfStale } from '../scripts/build.mjs';

/** Once before all tests: those that start the programs start what is built of the sources as they are now. */
export default async function setUp(): Promise<void> {
  await buildIfStale();
}
