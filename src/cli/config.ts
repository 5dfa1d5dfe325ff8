import { describeConfig } from '../config/show.ts';
import { configFor } from './connect.ts';
import type { GlobalOptions } from './exit.ts';

/** `config check` */
export async function checkConfig(globals: GlobalOptions): Promise<number> {
  const config = configFor(globals);
  process.stdout.write(`the config is valid: images of the chroots in ${config.base} go to ${config.paths.images}\n`);
  return 0;
}

/** `config show` */
export async function showConfig(globals: GlobalOptions): Promise<number> {
  process.stdout.write(describeConfig(configFor(globals)));
  return 0;
}
