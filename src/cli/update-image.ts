import { messageOf, UserError } from '../errors.ts';
import { version } from '../version.ts';
import { report } from './exit.ts';
import { PROGRAM, parseCommandLine } from './update-image/command-line.ts';

/** Entry of `ltsp-update-image`, the drop-in for the LTSP 5 program of that name. Exits with 0 or 1, as that does. */
async function main(argv: readonly string[]): Promise<0 | 1> {
  try {
    const order = process.env.POSIXLY_CORRECT === undefined ? 'permute' : 'posix';
    const commandLine = parseCommandLine(argv, order);
    if (commandLine.kind === 'help') process.stdout.write((await import('./update-image/usage.ts')).USAGE);
    if (commandLine.kind === 'version') process.stdout.write(`${PROGRAM} ${version}\n`);
    if (commandLine.kind !== 'run') return 0;
    if (process.geteuid?.() !== 0) throw new UserError('Superuser privileges are needed.');
    return await (await import('./update-image/run.ts')).updateImages(commandLine);
  } catch (error) {
    // LTSP's messages have no program's name before them
    if (error instanceof UserError) process.stderr.write(`${messageOf(error)}\n`);
    else report(PROGRAM, error);
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
