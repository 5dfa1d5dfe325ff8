import { version } from '../version.ts';

/**
 * Entry of `ltsp-update-image`, the drop-in for the LTSP 5 program of that name.
 * Its options come with the next version; until then it says so and changes nothing.
 */
function main(argv: readonly string[]): number {
  if (argv.includes('--version')) {
    process.stdout.write(`ltsp-update-image ${version}\n`);
    return 0;
  }
  if (argv.includes('-h') || argv.includes('--help')) {
    process.stdout.write(
      'Usage: ltsp-update-image [--help] [--version]\n\nTo build an image: ltsp-autoimage build [NAME]\n',
    );
    return 0;
  }
  process.stderr.write('ltsp-update-image: not available in this version: use ltsp-autoimage build [NAME]\n');
  return 1;
}

process.exitCode = main(process.argv.slice(2));
