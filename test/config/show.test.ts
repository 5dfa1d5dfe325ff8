import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { Config } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { describeConfig } from '../../src/config/show.ts';
import { siteWith } from './site.ts';

const checkCron = (): undefined => undefined;

/** The config that its own description gives under the same root, with the files of the first (they differ by the path). */
function readBack(config: Config): Config {
  const file = path.join(siteWith({}), 'shown.toml');
  fs.writeFileSync(file, describeConfig(config));
  return { ...loadConfig({ root: config.root, file, checkCron }), files: config.files };
}

test('what is shown is TOML that gives the same config', () => {
  const root = siteWith({
    '/etc/ltsp/ltsp-server.conf': 'BASE=/data',
    '/etc/ltsp/ltsp-update-image.conf': 'EXCLUDE="one two" NO_BACKUP=true COMPRESSION=xz',
    '/etc/ltsp/ltsp-autoimage.toml':
      'chroots = ["/", "/a \\"b\\" \\u007f"]\n[paths]\nrun = "/r"\n[schedule]\ntimezone = "Europe/Berlin"\n' +
      'quiet_hours = "Mon-Fri 8:00-16:00,Sat  22:00-06:00"\nin_quiet_hours = "wait"\nurgent = ["linux-*"]\n' +
      '[notify]\nmail = "a@b"\nwebhook = "https://x/{token}"\nwebhook_shape = "slack"\ntoken_file = "/t"\nevents = []\n' +
      '[build]\njobs = 2\nexclude = ["three\\\\*"]\n[serve]\nmode = "0600"\ngroup = "backup"\n' +
      '[chroot."fat.x"]\nwatch.quiet = "1500ms"\nbuild.exclude = ["four"]\n[chroot.thin]\nkeep.grace = "0s"',
  });
  const config = loadConfig({ root, checkCron });
  expect(readBack(config)).toEqual(config);
  expect(describeConfig(config)).toContain('compression = "xz"');
});

test('the defaults without a root read back as well', () => {
  const file = path.join(siteWith({ '/empty.toml': '' }), 'empty.toml');
  const config = loadConfig({ file, checkCron });
  expect(readBack(config)).toEqual(config);
});

test('the files it comes from are named', () => {
  const config = loadConfig({ root: siteWith({}), checkCron });
  for (const file of config.files) expect(describeConfig(config)).toContain(`#   ${file}\n`);
});
