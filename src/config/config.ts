import type { NoticeKind } from './notice-kinds.ts';
import type { QuietWindow } from './quiet-windows.ts';

/**
 * The whole configuration, validated, with every default filled in, frozen. Paths are absolute and already under `root`
 * (`--root=DIR`), except where a comment says otherwise. Durations are milliseconds.
 */
export type Config = {
  /** The `--root` directory, or '' for the machine itself. */
  root: string;
  /** LTSP's base directory, for example /opt/ltsp. */
  base: string;
  /** Further chroots, by path; '/' (which is `root` or '/') is allowed. */
  chroots: readonly string[];
  paths: Paths;
  schedule: Schedule;
  notify: NotifyConfig;
  /** The queue is one for all chroots. */
  jobs: number;
  /** What holds for chroots without a section of their own. */
  defaults: ChrootConfig;
  /** Sections `[chroot.NAME]`, each complete. */
  chroot: ReadonlyMap<string, ChrootConfig>;
  /** Files that were read or looked for; a change of any of them is a reason to read the config again. */
  files: readonly string[];
};

/** Where things are. `images` is BASE/images. */
export type Paths = {
  images: string;
  /** /var/lib/ltsp-autoimage: journal, history, state */
  state: string;
  /** /run/ltsp-autoimage: control socket and trigger directory */
  run: string;
  control: string;
  trigger: string;
  /** BASE/images/.lock */
  lock: string;
};

export type Schedule = {
  /** Cron expression of five fields (six with seconds), or '' for none. */
  nightly: string;
  /** IANA name, or '' for the machine's own. */
  timezone: string;
  /** In the same time zone. */
  quietHours: readonly QuietWindow[];
  /** What becomes of a change in these hours: built now and published later, or built later. */
  inQuietHours: 'build' | 'wait';
  /** Packages, as patterns with `*` and `?`: a change of one of them does not wait. */
  urgent: readonly string[];
};

/** Who is told of what happens, beside the log and the programs in notify.d. */
export type NotifyConfig = {
  /** Addresses, with commas between them, or ''. */
  mail: string;
  /** An http(s) URL, in which `{token}` stands for the token, or ''. */
  webhook: string;
  webhookShape: 'plain' | 'ntfy' | 'matrix' | 'slack';
  /** Has the token in its first line, or ''. */
  tokenFile: string;
  /** Of which mail and webhook are told. */
  events: readonly NoticeKind[];
};

/** What can differ from chroot to chroot. */
export type ChrootConfig = {
  watch: {
    quiet: number;
    maxWait: number;
    lookEvery: number;
    /** Extra paths to watch, relative to the chroot. */
    paths: readonly string[];
    /** Patterns (as in the excludes file) of paths that change by themselves: in the image, but no reason to rebuild. */
    ignore: readonly string[];
    poll: 'auto' | 'on' | 'off';
  };
  build: {
    /** `auto`: from the former image where that is certain to be right, else in full. */
    engine: 'auto' | 'mksquashfs' | 'incremental';
    /** What tells that a file is unchanged. */
    trust: 'stat' | 'content';
    /** Unused data in an image, as a share of what is used, at which it is built anew in full. */
    deadLimit: number;
    compression: 'auto' | 'gzip' | 'zstd' | 'lz4' | 'xz' | 'lzo' | 'none';
    /** 0: the one we choose for `auto`, else the compressor's own default. */
    level: number;
    exclude: readonly string[];
    excludesFile: string;
    /** Build from a cleaned view of the chroot; `auto`: for `/` alone, which is a machine in use. */
    cleanup: 'auto' | boolean;
    /** Take the packages' lock while the tree is read. */
    lock: boolean;
    nice: boolean;
  };
  keep: {
    /** false (NO_BACKUP): the replaced image does not become `.old`; an existing `.old` stays. */
    backup: boolean;
    /** How many generations stay, current and previous one included. */
    generations: number;
    /** How long a replaced generation stays at least. */
    grace: number;
  };
  check: {
    /** Paths inside the image that must be there. */
    required: readonly string[];
    /** What an image has and should not give to everyone who can boot it. */
    secrets: Strictness;
    /** Whether a client could start from it: init, kernel, modules, initrd. */
    bootChain: Strictness;
    /** Which files are compared with the chroot byte by byte. */
    content: 'sample' | 'all';
    /** Reading the candidate over NBD; `required`: one that cannot be read so, for want of tools, is refused. */
    nbd: 'auto' | 'required' | 'off';
    boot: 'off' | 'container' | 'vm';
    /** Units that may fail when the image is booted in a container: names or patterns. */
    bootAllow: readonly string[];
    /** What clients get after publishing; `strict`: an export that did not answer before either is a failure, too. */
    live: 'on' | 'strict' | 'off';
    /** How often what is live is looked at. */
    liveEvery: number;
    /** Limit of each check. */
    timeout: number;
  };
  serve: {
    /** Exports in nbd-server's config; `auto`: by LTSP 5's rule. */
    nbd: 'auto' | 'on' | 'off';
    nbdConfDir: string;
    /** The file that lists who may connect, for new exports. */
    nbdAuthfile: string;
    /** Whose names boot files have in TFTP directories; `auto`: by what the site has. */
    layout: 'auto' | 'ltsp5' | 'ltsp19';
    /** TFTP directories: those that exist get boot files, and all are left out of an image of `/`. */
    tftpDirs: readonly string[];
    /** Where in each of them the chroots' directories are, relative. */
    tftpBootDir: string;
    /** Mode and group of an image file. `group` is 'auto' for nbd-server's. */
    mode: number;
    group: string;
  };
};

/** What becomes of an image with a certain kind of problem. */
export type Strictness = 'warn' | 'refuse' | 'off';

/** The settings that hold for a chroot. */
export function configOf(config: Config, name: string): ChrootConfig {
  return config.chroot.get(name) ?? config.defaults;
}
