import { fileURLToPath } from 'node:url';
import { Command, CommanderError, Option } from 'commander';
import { version } from '../version.ts';
import { exitOf, type GlobalOptions, report } from './exit.ts';

/** Entry of `ltsp-autoimage`: says what the commands are; what a command does is loaded when it is called. */
async function main(argv: readonly string[]): Promise<number> {
  const program = new Command('ltsp-autoimage')
    .description('Keeps the netboot images of an LTSP server current by itself.')
    .version(version)
    .option('--root <dir>', 'work on the system below this directory')
    .option('--config <file>', 'read this file instead of /etc/ltsp/ltsp-autoimage.toml')
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'ltsp-autoimage: ')) });
  let status = 0;
  /** Runs a command's module with the options of the program and its own. */
  const running = <Args extends unknown[]>(call: (globals: GlobalOptions, ...args: Args) => Promise<number>) =>
    async function (this: Command, ...args: Args): Promise<void> {
      status = await call(this.optsWithGlobals<GlobalOptions>(), ...args);
    };

  program
    .command('watch')
    .description('look after all chroots until told to stop (the service)')
    .action(
      running(async (globals) =>
        (await import('./watch.ts')).watch(globals, {
          walker: besideThis('tree-walker.js'),
          comparer: besideThis('content-comparer.js'),
          writer: besideThis('image-writer.js'),
        }),
      ),
    );
  program
    .command('build')
    .description('look now, and build what has changed')
    .argument('[name...]', 'chroots, by name or path')
    .option('--all', 'every chroot')
    .option('--force', 'also when nothing changed, in quarantine, on hold, or with unfinished packages')
    .option('--no-wait', 'do not wait for dpkg, apt or another build: exit with 1')
    .action(
      running(async (globals, names: string[], options: { all?: true; force?: true; wait: boolean }) =>
        (await import('./build.ts')).build(globals, names, options),
      ),
    );
  program
    .command('revert')
    .description('make the previous image the current one, and hold it')
    .argument('<name>', 'chroot')
    .option('--to <id>', 'the generation to go to (see history)')
    .action(
      running(async (globals, name: string, options: { to?: string }) =>
        (await import('./revert.ts')).revert(globals, name, options),
      ),
    );
  program
    .command('release')
    .description('end a hold')
    .argument('<name>', 'chroot')
    .action(running(async (globals, name: string) => (await import('./release.ts')).release(globals, name)));
  program
    .command('hold')
    .description('publish nothing for a chroot, until release, build or a moment')
    .argument('<name>', 'chroot')
    .option('--until <time>', 'when it ends by itself: 16:00, 2026-12-24, "2026-12-24 16:00", 2h, 3d')
    .action(
      running(async (globals, name: string, options: { until?: string }) =>
        (await import('./hold.ts')).hold(globals, name, options),
      ),
    );
  program
    .command('verify')
    .description('check an image as if it was to be published')
    .argument('<image>', 'chroot, for the image that its clients get, or an image file')
    .option('--json', 'as JSON')
    .action(
      running(async (globals, image: string, options: { json?: true }) =>
        (await import('./verify.ts')).verify(globals, image, options),
      ),
    );
  program
    .command('status')
    .description('whether the images are current, in one sentence and a table')
    .option('--json', 'as JSON')
    .action(
      running(async (globals, options: { json?: true }) => (await import('./status.ts')).status(globals, options)),
    );
  program
    .command('history')
    .description('what happened to the images, newest last')
    .argument('[name]', 'chroot')
    .option('--json', 'as JSON')
    .action(
      running(async (globals, name: string | undefined, options: { json?: true }) =>
        (await import('./history.ts')).history(globals, name, options),
      ),
    );
  const config = program.command('config').description('the configuration');
  config
    .command('check')
    .description('whether the config files are valid')
    .action(running(async (globals) => (await import('./config.ts')).checkConfig(globals)));
  config
    .command('show')
    .description('every setting in force, as TOML')
    .action(running(async (globals) => (await import('./config.ts')).showConfig(globals)));
  for (const command of [...program.commands, ...config.commands]) {
    command
      .exitOverride()
      .addOption(new Option('--root <dir>').hideHelp())
      .addOption(new Option('--config <file>').hideHelp());
  }

  try {
    await program.parseAsync(argv, { from: 'user' });
    return status;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    report('ltsp-autoimage', error);
    return exitOf(error);
  }
}

/** Another of the bundled programs. */
function besideThis(file: string): string {
  return fileURLToPath(new URL(`./${file}`, import.meta.url));
}

process.exitCode = await main(process.argv.slice(2));
