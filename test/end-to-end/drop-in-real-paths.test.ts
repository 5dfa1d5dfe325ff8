import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { host, RealPaths, updateImage } from './real-paths.ts';
import { leftovers, listImage, type Ran, readInImage } from './server.ts';
import type { Files } from './small-chroot.ts';

let site: RealPaths;
beforeEach(async () => {
  site = await RealPaths.open();
});
afterEach(() => site.close());

const BASE = '/opt/ltsp';
const OTHER = '/srv/other';
const SERVER_CONF = '/etc/ltsp/ltsp-server.conf';
const CONF = '/etc/ltsp/ltsp-update-image.conf';
const CONF_D = '/etc/ltsp/ltsp-update-image.conf.d';
const TOML = '/etc/ltsp/ltsp-autoimage.toml';

type ConfigFiles = Readonly<Record<string, string>>;

const PASSWD = 'root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/home/anna:/bin/sh\n';
const LETTERS = ['a', 'b', 'c', 'd'];

/** What of a chroot shows which options an image was built with. */
const TELLING: Files = {
  'etc/passwd': PASSWD,
  'etc/long': 'text '.repeat(10_000),
  ...Object.fromEntries(LETTERS.map((letter) => [`etc/${letter}`, letter])),
};

/** What a run did: where the image is, how it was made and what became of the former one. */
type Effect = {
  base: string;
  compression: string;
  letters: string;
  accounts: 'cleaned up' | 'as they are';
  old: 'the former image' | 'none';
};

const USUAL: Effect = {
  base: BASE,
  compression: 'gzip',
  letters: 'abcd',
  accounts: 'as they are',
  old: 'the former image',
};

/** The same chroot in both base directories, with an image in each that another program has made. */
function twoBases(): void {
  for (const base of [BASE, OTHER]) {
    site.makeChroot(host, TELLING, base);
    site.write(path.join(base, `images/${host}.img`), 'former');
  }
}

function effect(): Effect {
  const made = [BASE, OTHER].filter((base) => site.read(`${base}/images/${host}.img`) !== 'former');
  expect(made.length).toBe(1);
  const [base = ''] = made;
  const image = site.at(`${base}/images/${host}.img`);
  const found = listImage(image);
  return {
    base,
    compression: compressionOf(image),
    letters: LETTERS.filter((letter) => found.includes(`/etc/${letter}`)).join(''),
    accounts: readInImage(image, 'etc/passwd') === PASSWD ? 'as they are' : 'cleaned up',
    old: site.exists(`${base}/images/${host}.img.old`) ? 'the former image' : 'none',
  };
}

/** The compressor that the superblock names, and whether anything is compressed. */
function compressionOf(image: string): string {
  const text = execFileSync('unsquashfs', ['-s', image], { encoding: 'utf8' });
  return text.includes('Data is uncompressed') ? 'none' : (/^Compression (\S+)/m.exec(text)?.[1] ?? '');
}

/** Runs it where it has to succeed and has nothing to complain about. */
function done(...args: string[]): Ran {
  const ran = site.update(...args);
  expect({ status: ran.status, stderr: ran.stderr }, args.join(' ')).toEqual({ status: 0, stderr: '' });
  return ran;
}

/** The one line on standard error with which it ends with 1. */
function refused(...args: string[]): string {
  const { status, stderr } = site.update(...args);
  expect(status, stderr).toBe(1);
  expect(stderr.split('\n').length, stderr).toBe(2);
  return stderr.trim();
}

describe('an option', () => {
  const rows: [string[], Partial<Effect>][] = [
    [[], {}],
    [['-m'], { compression: 'none' }],
    [['--no-comp', host], { compression: 'none' }],
    [['--compression', 'lzo'], { compression: 'lzo' }],
    [['--compr=xz', `${BASE}/${host}/`], { compression: 'xz' }],
    [['--compression=lz4'], { compression: 'lz4' }],
    [['-e', 'etc/a etc/[bc]', '-m', host], { letters: 'd', compression: 'none' }],
    [['-eetc/a,etc/b', '--excl', 'etc/c'], { letters: 'd' }],
    [['--exclude=etc/?'], { letters: '' }],
    [['-n'], { old: 'none' }],
    [['--no-b'], { old: 'none' }],
    [['-c'], { accounts: 'cleaned up' }],
    [['--cl', '--no-backup'], { accounts: 'cleaned up', old: 'none' }],
    [['-cmneetc/a', host], { accounts: 'cleaned up', compression: 'none', old: 'none', letters: 'bcd' }],
    [['-b', `${OTHER}/`], { base: OTHER }],
    [[`-nb${OTHER}`], { base: OTHER, old: 'none' }],
    [['--base', OTHER, host], { base: OTHER }],
    [[`--ba=${OTHER}`, '--', host], { base: OTHER }],
    [[host, '-m'], { compression: 'none' }],
  ];
  test.each(rows)('%j does what it says', (args, changed) => {
    twoBases();
    done(...args);
    expect(effect()).toEqual({ ...USUAL, ...changed });
  });

  it('is not needed for chroots of other names: they are listed, named, or all of them meant', () => {
    for (const name of ['one', 'two.chroot', 'three']) site.makeChroot(name);
    expect(refused()).toBe(`Chroot ${host} does not exist. There are: one, three, two (name one, or give --all)`);
    done('one/', `${BASE}/two.chroot/`);
    expect(site.tree('/opt/ltsp/images')).toEqual(['one.img', 'two.img']);
    done('--al');
    expect(site.tree('/opt/ltsp/images')).toContain('three.img');
  });
});

describe('a config file', () => {
  const rows: [string, ConfigFiles, string[], Partial<Effect>][] = [
    ['BASE of every LTSP tool', { [SERVER_CONF]: `BASE="${OTHER}/"\n` }, [], { base: OTHER }],
    [
      'references and export',
      { [SERVER_CONF]: `# where\nTOP='/srv'\nexport BASE="\${TOP}/other"\n`, [CONF]: 'EXCLUDE=etc/a\\ etc/b' },
      [],
      { base: OTHER, letters: 'cd' },
    ],
    [
      'every wish of a build',
      { [CONF]: 'CLEANUP="true"\nNO_COMPRESS="true"\nNO_BACKUP="true"\nEXCLUDE="etc/a etc/d"\n' },
      [],
      { accounts: 'cleaned up', compression: 'none', old: 'none', letters: 'bc' },
    ],
    ['no wish at all', { [CONF]: 'CLEANUP=""\nNO_COMPRESS=\nNO_BACKUP="false"\nCOMPRESSION=""\n' }, [], {}],
    [
      'a directory of files, the last of which wins, and those of other names are not read',
      {
        [CONF]: 'COMPRESSION="xz"\nBASE="/nowhere"\n',
        [`${CONF_D}/10-site`]: 'COMPRESSION="zstd"\nEXCLUDE="etc/a"\n',
        [`${CONF_D}/20_more`]: `COMPRESSION="lzo"\nBASE="${OTHER}"\n`,
        [`${CONF_D}/30.conf`]: 'COMPRESSION="lz4"\n',
        [`${CONF_D}/40~`]: '$(touch /opt/executed)\n',
      },
      [],
      { compression: 'lzo', letters: 'bcd', base: OTHER },
    ],
    [
      'the command line over all',
      { [CONF]: `COMPRESSION="xz"\nBASE="/nowhere"\nEXCLUDE="etc/a"\n`, [TOML]: '[build]\ncompression = "zstd"\n' },
      ['--compression=lzo', '-b', OTHER, '-e', 'etc/b'],
      { compression: 'lzo', base: OTHER, letters: 'cd' },
    ],
    [
      'our own over LTSP’s, exclude lists added up',
      { [CONF]: 'COMPRESSION="xz"\nEXCLUDE="etc/a"\n', [TOML]: '[build]\ncompression = "lzo"\nexclude = ["etc/b"]\n' },
      [],
      { compression: 'lzo', letters: 'cd' },
    ],
  ];
  test.each(rows)('sets %s', (_, files, args, changed) => {
    twoBases();
    for (const [file, text] of Object.entries(files)) site.write(file, text);
    done(...args);
    expect(effect()).toEqual({ ...USUAL, ...changed });
    expect(site.exists('/opt/executed')).toBe(false);
  });

  it('REVERT="true" swaps, and with it build options on the command line are ignored with a warning', () => {
    twoBases();
    done();
    const made = site.state(site.image(host));
    site.write(CONF, 'REVERT="true"\nCLEANUP="true"\n');
    done();
    expect(site.read(site.image(host))).toBe('former');
    const { status, stderr } = site.update('-cn', '--compression=xz', host);
    const options = '--cleanup, --compression, --no-backup';
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `warning: build options are ignored with REVERT="true" in the config: ${options}\n`,
    });
    expect(site.read(`${site.image(host)}.old`)).toBe('former');
    expect(site.state(site.image(host))).toBe(made);
  });

  it('EXCLUDED_MOUNTS leaves out what is mounted there', () => {
    const chroot = site.makeChroot(host, { 'data/below': 'x', 'more/below': 'x' });
    for (const directory of ['data', 'more']) {
      site.mountDisk(path.join(chroot, directory));
      site.write(path.join(chroot, directory, 'mounted'), 'x');
    }
    site.write(CONF, 'EXCLUDED_MOUNTS="/data"\n');
    done();
    const found = listImage(site.at(site.image(host))).filter((file) => /^\/(data|more)/.test(file));
    expect(found).toEqual(['/data', '/more', '/more/lost+found', '/more/mounted']);
  });
});

describe('excludes', () => {
  it('of list and file together leave out what mksquashfs leaves out by the same patterns', () => {
    const names = ['x', 'x.bak', 'y', 'z.tmp', '.hidden', 'deep/x', 'deep/er/z.tmp', 'keep/z.tmp', '# odd'];
    const files = Object.fromEntries(['etc', 'srv'].flatMap((top) => names.map((name) => [`${top}/${name}`, name])));
    const chroot = site.makeChroot(host, files);
    const list = ['etc/y', 'srv/[x-z]', 'etc/keep/*'];
    const patterns = ['# a comment', 'srv/*.bak', '... z.tmp', 'etc/deep/e?', '', 'srv/!(deep|*.bak|x|y)'];
    site.write('/etc/ltsp/ltsp-update-image.excludes', `${patterns.join('\n')}\n`);
    site.write('/mnt/reference.excludes', `${patterns.filter((line) => !/^#|^$/.test(line)).join('\n')}\n`);
    const options = ['-quiet', '-no-progress', '-wildcards', '-ef', '/mnt/reference.excludes', '-e', ...list];
    const reference = site.run('mksquashfs', chroot, '/mnt/reference.img', ...options);
    expect(reference.status, reference.stderr).toBe(0);
    done('-e', list.slice(0, 2).join(' '), `--exclude=${list[2]}`, host);
    const wanted = listImage(site.at('/mnt/reference.img'));
    expect(wanted).toContain('/etc/x');
    expect(wanted).not.toContain('/etc/deep/er/z.tmp');
    expect(listImage(site.at(site.image(host)))).toEqual(wanted);
  });
});

/** A chroot's files of kernels of these versions. */
function kernels(...versions: string[]): Files {
  const each = (version: string): Files => ({
    [`boot/vmlinuz-${version}`]: `kernel ${version}`,
    [`boot/initrd.img-${version}`]: `initrd ${version}`,
    [`boot/config-${version}`]: 'CONFIG_SQUASHFS=y\n',
    [`lib/modules/${version}/modules.dep`]: '',
  });
  return Object.assign({ 'boot/pxelinux.cfg/ltsp': 'default ltsp\n' }, ...versions.map(each));
}

const [OLDER, NEWER] = ['6.1.0-1-amd64', '6.1.0-2-amd64'];

/** What LTSP 5 leaves of the two. */
const REFERENCE = [
  `config-${OLDER}`,
  `config-${NEWER}`,
  `initrd.img-${OLDER}`,
  `initrd.img-${NEWER}`,
  `initrd.img-amd64 -> initrd.img-${NEWER}`,
  'pxelinux.cfg/',
  'pxelinux.cfg/default -> ltsp',
  'pxelinux.cfg/ltsp',
  `vmlinuz-${OLDER}`,
  `vmlinuz-${NEWER}`,
  `vmlinuz-amd64 -> vmlinuz-${NEWER}`,
];

/** What it says of kernels that are stand-ins is another test's. */
function succeeds(...args: string[]): void {
  const { status, stderr } = site.update(...args);
  expect(status, stderr).toBe(0);
}

/** Image and boot files; what we note beside them has inode numbers in it. */
function bootState(tftp: string): string {
  const lines = site.state(site.image(host), tftp).split('\n');
  return lines.filter((line) => !line.includes('/.ltsp-autoimage.json ')).join('\n');
}

describe('kernels', () => {
  it('of two versions leave exactly the files and links that LTSP 5 leaves, and a revert takes them along', () => {
    const chroot = site.makeChroot(host, kernels(OLDER, NEWER));
    site.write(`/srv/tftp/ltsp/${host}/lts.conf`, 'the admin’s own');
    const tftp = `/srv/tftp/ltsp/${host}`;
    succeeds();
    expect(site.tree(tftp)).toEqual([...REFERENCE, 'lts.conf'].sort());
    expect(site.read(`${tftp}/vmlinuz-amd64`)).toBe(`kernel ${NEWER}`);
    const first = bootState(tftp);

    for (const file of ['vmlinuz', 'initrd.img', 'config']) {
      site.must('rm', `${chroot}/boot/${file}-${NEWER}`);
    }
    site.must('rm', '-r', `${chroot}/lib/modules/${NEWER}`);
    succeeds();
    const second = site.tree(tftp);
    expect(second).toEqual(
      [
        ...REFERENCE.filter((name) => !name.includes(NEWER)),
        `vmlinuz-amd64 -> vmlinuz-${OLDER}`,
        `initrd.img-amd64 -> initrd.img-${OLDER}`,
        'lts.conf',
      ].sort(),
    );
    succeeds('-r');
    expect(site.tree(tftp)).toEqual([...REFERENCE, 'lts.conf'].sort());
    expect(bootState(tftp)).toBe(first);
    succeeds('--revert');
    expect(site.tree(tftp)).toEqual(second);
  });

  it('go into every directory of TFTP_DIRS that is there, under TFTP_BOOT_DIR', () => {
    site.makeChroot(host, kernels(NEWER));
    site.write('/srv/tftp/pxelinux.0', '');
    site.write(SERVER_CONF, 'TFTP_DIRS="/srv/tftp /var/lib/tftpboot /srv/none"\nTFTP_BOOT_DIR="boot/ltsp"\n');
    site.write('/var/lib/tftpboot/pxelinux.0', '');
    succeeds();
    const own = site.tree('/srv/tftp');
    expect(own).toContain(`boot/ltsp/${host}/vmlinuz-amd64 -> vmlinuz-${NEWER}`);
    expect(site.tree('/var/lib/tftpboot')).toEqual(own);
    expect(site.exists('/srv/none')).toBe(false);
  });
});

/** nbd-server's config, with a port where nobody listens. */
function nbdServer(): void {
  const generic = ['[generic]', 'port = 1', 'allowlist = true', 'includedir = /etc/nbd-server/conf.d'];
  site.write('/etc/nbd-server/config', `${generic.join('\n')}\n`);
}

const NOT_RUNNING =
  `warning: ${host}: cannot let nbd-server serve /opt/ltsp/${host}: nbd-server does not run ` +
  '(run: service nbd-server start)\n';
const EXPORT = [
  `[/opt/ltsp/${host}]`,
  `exportname = /opt/ltsp/images/${host}.img`,
  'readonly = true',
  'authfile = /etc/ltsp/nbd-server.allow',
];

describe('the export', () => {
  const file = `/etc/nbd-server/conf.d/ltsp_${host}.conf`;

  it('is written as LTSP 5 writes it, and one that the admin changed is left alone', () => {
    site.makeChroot(host);
    nbdServer();
    expect(site.update()).toMatchObject({ status: 0, stderr: NOT_RUNNING });
    expect(site.read(file)).toBe(`${EXPORT.join('\n')}\n`);
    const changed = `${EXPORT.join('\n')}\ncopyonwrite = true\n`;
    site.write(file, changed);
    site.update('-f');
    expect(site.read(file)).toBe(changed);
    expect(site.tree('/etc/nbd-server')).toEqual(['conf.d/', `conf.d/ltsp_${host}.conf`, 'config']);
  });

  const rows: [string, ConfigFiles, string[], 'written' | 'refused'][] = [
    ['NFS serves', {}, [], 'refused'],
    ['NFS serves and LTSP’s swap is exported', { '/etc/nbd-server/conf.d/ltsp_swap.conf': '' }, [], 'refused'],
    ['NFS serves and -f is given', {}, ['-f'], 'written'],
    ['NFS serves and --config is given', {}, ['--config', host], 'written'],
    ['NFS serves and CONFIG_NBD is true', { [CONF]: 'CONFIG_NBD="true"\n' }, [], 'written'],
    ['NFS serves and another export is there', { '/etc/nbd-server/conf.d/ltsp_fat.conf': '' }, [], 'written'],
  ];
  test.each(rows)('where %s: %j %j is %s', (_, files, args, wanted) => {
    site.makeChroot(host);
    nbdServer();
    site.write('/etc/exports', '# clients\n/opt/ltsp *(ro,no_root_squash)\n');
    for (const [name, text] of Object.entries(files)) site.write(name, text);
    const { status, stderr } = site.update(...args);
    const nfs = 'cannot update images: NFS serves /opt/ltsp to the clients (to go over to NBD give --config-nbd)\n';
    expect({ status, stderr }).toEqual(
      wanted === 'written' ? { status: 0, stderr: NOT_RUNNING } : { status: 1, stderr: nfs },
    );
    expect(site.exists(file)).toBe(wanted === 'written');
    expect(site.exists(site.image(host))).toBe(wanted === 'written');
  });
});

/** What clients get, with all that was made for them. */
function live(): string {
  const served = ['/srv/tftp', '/etc/nbd-server', '/var/lib/tftpboot'];
  return [site.state(`/opt/ltsp/images/.generations`, ...served), ...[host, 'fat'].map(imageState)].join('\n');
}

function imageState(name: string): string {
  const files = [site.image(name), `${site.image(name)}.old`].filter((file) => site.exists(file));
  return site.run('sha256sum', '--', ...files).stdout;
}

/** A chroot with kernels, its image and its boot files. */
function published(): void {
  site.makeChroot(host, kernels(OLDER, NEWER));
  site.write(`/srv/tftp/ltsp/${host}/lts.conf`, 'the admin’s own');
  succeeds();
}

describe('what is refused, with the state before:', () => {
  it('what cannot be meant', () => {
    published();
    const before = live();
    expect(refused('--frob')).toBe("ltsp-update-image: unrecognized option '--frob'");
    expect(refused('nowhere')).toBe('Chroot nowhere does not exist.');
    expect(refused(host, '/srv/nowhere/')).toBe('Chroot /srv/nowhere/ does not exist.');
    expect(refused('--compression=bz2')).toContain('cannot compress with "bz2"');
    expect(refused('-b', '/srv/nowhere')).toContain('cannot update images: there is no directory /srv/nowhere (');
    expect(refused('-r')).toContain(`cannot revert ${host}`);
    expect(live()).toBe(before);
  });

  test.each([
    [CONF, 'EXCLUDE="etc/a"\nBASE="$(touch /opt/executed)"\n', 2],
    [SERVER_CONF, 'BASE=`touch /opt/executed`\n', 1],
    [`${CONF_D}/10-x`, '#\n\nNO_BACKUP=true; touch /opt/executed\n', 3],
    [CONF, 'touch /opt/executed\n', 1],
  ])('a line of %s that would execute: %j', (file, text, line) => {
    site.makeChroot(host);
    site.write(file, text);
    expect(refused()).toMatch(new RegExp(`^${file}:${line}: `));
    expect(site.exists('/opt/executed')).toBe(false);
    expect(site.exists('/opt/ltsp/images')).toBe(false);
    expect(site.update('--help').status).toBe(0);
  });

  it('another user than root', () => {
    site.makeChroot(host);
    const { status, stdout, stderr } = site.run(
      ...['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', process.execPath, updateImage],
    );
    expect({ status, stdout, stderr }).toEqual({ status: 1, stdout: '', stderr: 'Superuser privileges are needed.\n' });
  });

  it('no chroot in the base directory', () => {
    expect(refused()).toBe('No chroots found in /opt/ltsp');
  });

  it('a TFTP directory that is full', () => {
    site.mountTmpfs('/srv/tftp', '256k');
    published();
    const before = live();
    site.write(`/opt/ltsp/${host}/boot/initrd.img-${NEWER}`, 'x'.repeat(200_000));
    const said = refused();
    expect(said).toContain('/srv/tftp');
    expect(said).toMatch(/no space left|room|free/i);
    expect(live()).toBe(before);
  });

  it('a TFTP directory that is read-only', () => {
    site.mountTmpfs('/srv/tftp');
    published();
    const before = live();
    site.write(`/opt/ltsp/${host}/boot/initrd.img-${NEWER}`, 'another');
    site.must('mount', '-o', 'remount,ro', '/srv/tftp');
    expect(refused()).toMatch(/\/srv\/tftp.*read-only/i);
    expect(live()).toBe(before);
  });

  it('cleanup where the kernel has no overlay file system, and what mksquashfs cannot make', () => {
    published();
    const before = live();
    site.fake(
      'mount',
      'case "$*" in *overlay*) echo "mount: view: unknown filesystem type \'overlay\'." >&2; exit 32;; esac; exec "$REAL" "$@"',
    );
    expect(refused('-c')).toContain(
      'this kernel has no overlay file system (modprobe overlay, or build without cleanup)',
    );
    expect(live()).toBe(before);
    site.fake('mksquashfs', 'echo "FATAL ERROR: something" >&2; exit 1');
    expect(refused()).toContain('something');
    expect(live()).toBe(before);
  });

  it('an image that a check rejects, while the other chroot’s is built', () => {
    published();
    const image = imageState(host);
    site.makeChroot('fat', kernels(OLDER));
    site.must('rm', `/opt/ltsp/${host}/sbin/init`);
    const { status, stderr } = site.update(host, 'fat');
    expect(status).toBe(1);
    expect(stderr).toContain(`the new image of ${host} was rejected and the old one is live: sbin/init is missing`);
    expect(imageState(host)).toBe(image);
    expect(site.exists(site.image('fat'))).toBe(true);
  });
});

it('a config of nbd-server that cannot be read is told, and the image is published', () => {
  site.makeChroot(host);
  site.write('/etc/nbd-server/config/a-directory', '');
  const { status, stderr } = site.update();
  expect(status).toBe(0);
  expect(stderr).toMatch(/^warning: .*cannot read nbd-server's config \/etc\/nbd-server\/config: /);
  expect(stderr.split('\n').length).toBe(2);
  expect(site.exists(site.image(host))).toBe(true);
});

it('/ is named after the architecture, and cleaned up without being asked for', () => {
  // all but a few directories of the machine
  const rest = site.names('/').filter((name) => !['boot', 'dev', 'opt', 'sys'].includes(name));
  site.write(TOML, '[check]\nrequired = []\nboot_chain = "off"\n');
  site.makeChroot('fat');
  const { status, stdout, stderr } = site.update('-m', '-e', rest.join(' '), '/');
  expect(status, stderr).toBe(0);
  expect(stdout).toContain(`${host}: cleaning up a view of the chroot\n`);
  expect(site.tree('/opt/ltsp/images')).toEqual([`${host}.img`]);
  expect(listImage(site.at(site.image(host)))).toContain('/boot');
});

it('leaves no mount in the namespace, nor in the machine’s', () => {
  site.makeChroot(host, TELLING);
  const before = site.must('cat', '/proc/self/mounts');
  done('-c');
  expect(site.must('cat', '/proc/self/mounts')).toBe(before);
  expect(leftovers('ltsp-autoimage/mnt')).toEqual([]);
});
