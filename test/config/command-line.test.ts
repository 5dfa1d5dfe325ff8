import { describe, expect, test } from 'vitest';
import { type CommandLineSettings, withCommandLine } from '../../src/config/command-line.ts';
import { type Config, configOf } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { siteWith } from './site.ts';

const TOML = `
chroots = ["/srv/a"]
[build]
compression = "zstd"
level = 19
exclude = ["tmp/*"]
[chroot.i386.build]
compression = "xz"
exclude = ["opt"]
[chroot.i386.keep]
backup = true
`;

function over(settings: CommandLineSettings): { below: Config; above: Config } {
  const below = loadConfig({ root: siteWith({ '/etc/ltsp/ltsp-autoimage.toml': TOML }), checkCron: () => undefined });
  return { below, above: withCommandLine(below, settings) };
}

describe('withCommandLine', () => {
  test('is over all files and over the sections of single chroots; excludes add up', () => {
    const { above } = over({ compression: 'gzip', exclude: ['home', 'tmp/*'], backup: false });
    expect(configOf(above, 'amd64').build).toMatchObject({ compression: 'gzip', level: 0, exclude: ['tmp/*', 'home'] });
    expect(configOf(above, 'i386').build.compression).toBe('gzip');
    expect(configOf(above, 'i386').build.exclude).toEqual(['tmp/*', 'opt', 'home']);
    expect([configOf(above, 'amd64').keep.backup, configOf(above, 'i386').keep.backup]).toEqual([false, false]);
  });

  test('keeps the level of the compressor it was configured for', () => {
    const { above } = over({ compression: 'zstd' });
    expect(configOf(above, 'amd64').build).toMatchObject({ compression: 'zstd', level: 19 });
  });

  test('what it does not say stays as it is', () => {
    const { below, above } = over({});
    expect(above).toEqual(below);
    expect(Object.isFrozen(above) && Object.isFrozen(above.defaults.build)).toBe(true);
  });

  test('paths are taken as they are, also below another root', () => {
    const { below, above } = over({ chroots: ['/srv/b'], base: '/srv/other' });
    expect(above.chroots).toEqual([`${below.root}/srv/a`, '/srv/b']);
    expect(above.base).toBe('/srv/other');
  });

  test('another base directory has journals, lock and images of its own; the same one has not', () => {
    const { below, above } = over({ base: '/srv/other' });
    expect(above.paths).toEqual({
      ...below.paths,
      images: '/srv/other/images',
      lock: '/srv/other/images/.lock',
      state: '/srv/other/images/.state',
    });
    expect(withCommandLine(below, { base: below.base }).paths).toEqual(below.paths);
  });
});
