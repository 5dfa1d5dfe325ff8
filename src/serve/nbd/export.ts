import fs from 'node:fs';
import path from 'node:path';
import type { Config } from '../../config/config.ts';
import { hasCode, UserError } from '../../errors.ts';
import { keyFileValue } from './key-file.ts';
import type { NbdServer } from './server.ts';

/** Where exports go and what they say; both paths absolute and under `root`. */
export type ExportSettings = {
  /** nbd-server's conf.d */
  confDir: string;
  /** The file that lists who may connect. */
  authfile: string;
};

/** What is to be done for a chroot's export. `section` is the name that its clients ask nbd-server for. */
export type ExportPlan =
  | { kind: 'write'; file: string; section: string; text: string; allow: AllowFile | null; reason: string }
  | { kind: 'keep'; file: string; section: string; reason: string }
  | { kind: 'skip'; because: 'off' | 'nfs' | 'no-server'; reason: string };

/** The list of who may connect, where there is none yet. */
export type AllowFile = { file: string; text: string };

/** As LTSP 5 has them (RFC 1918, RFC 3927), and this machine itself, which looks whether the export answers. */
const PRIVATE_NETWORKS = `${['10.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.168.0.0/16'].join('\n')}\n`;

export type ExportQuestion = {
  config: Pick<Config, 'base' | 'paths'>;
  name: string;
  settings: ExportSettings;
  server: NbdServer;
  /** `on` is -f, CONFIG_NBD or serve.nbd = "on"; `auto` leaves it to the rule. */
  asked: 'on' | 'off' | 'auto';
  /** Names in conf.d, see `namesInConfDir`. */
  present: readonly string[];
  servedByNfs: boolean;
  /** Whether `settings.authfile` is there. */
  authfile: 'there' | 'missing';
};

/**
 * The rule of LTSP 5's ltsp-update-image: an export is written when asked for, when another chroot has one (a file
 * `ltsp_*.conf` other than ltsp_swap.conf), or where NFS does not serve the images. A file that is there is left alone,
 * and so is an export of that name in any other file: nbd-server would serve the first it reads.
 * @throws UserError when the chroot's name cannot stand in nbd-server's config
 */
export function exportPlan(question: ExportQuestion): ExportPlan {
  const { config, name, settings, server, asked, present, servedByNfs } = question;
  const section = sectionOf(config, name);
  const own = fileNameOf(name);
  const file = path.join(settings.confDir, own);
  if (asked === 'off') return { kind: 'skip', because: 'off', reason: 'exports are switched off (serve.nbd)' };
  if (present.includes(own)) return { kind: 'keep', file, section, reason: `${file} is there and stays as it is` };
  if (server.kind === 'configured') {
    const elsewhere = server.exports.find((one) => one.name === section);
    if (elsewhere !== undefined) {
      const reason = `${elsewhere.definedIn} has an export [${section}] already`;
      return { kind: 'keep', file: elsewhere.definedIn, section, reason };
    }
  }
  const others = present.filter((one) => isLtspExport(one) && one !== own);
  if (asked === 'auto' && others.length === 0 && servedByNfs) {
    return { kind: 'skip', because: 'nfs', reason: 'NFS serves the images (-f writes an export all the same)' };
  }
  if (server.kind === 'absent') {
    const reason = `there is no nbd-server: ${server.file} is missing (apt-get install nbd-server)`;
    return { kind: 'skip', because: 'no-server', reason };
  }
  const text = exportText(config, name, settings);
  // without it nbd-server would let everyone in
  const allow = question.authfile === 'missing' ? { file: settings.authfile, text: PRIVATE_NETWORKS } : null;
  return { kind: 'write', file, section, text, allow, reason: whyWrite(asked, others) };
}

/**
 * A chroot's section as LTSP 5 writes it. Paths are real ones, with the directory of `--root`: nbd-server knows of none.
 * @throws UserError when the chroot's name cannot stand in nbd-server's config
 */
export function exportText(
  config: Pick<Config, 'base' | 'paths'>,
  name: string,
  settings: Pick<ExportSettings, 'authfile'>,
): string {
  const lines = [
    `[${sectionOf(config, name)}]`,
    `exportname = ${keyFileValue(path.join(config.paths.images, `${name}.img`))}`,
    'readonly = true',
    `authfile = ${keyFileValue(settings.authfile)}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** The names in nbd-server's conf.d, sorted; none where there is no directory. */
export function namesInConfDir(confDir: string): string[] {
  try {
    return fs.readdirSync(confDir).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return [];
    throw error;
  }
}

function sectionOf(config: Pick<Config, 'base'>, name: string): string {
  const section = path.join(config.base, name);
  if (!/[[\]\x00-\x1f\x7f]/.test(section)) return section;
  const shown = JSON.stringify(section);
  throw new UserError(
    `cannot export ${shown}: nbd-server takes no brackets and control characters in names (rename the chroot)`,
  );
}

function fileNameOf(name: string): string {
  return `ltsp_${name}.conf`;
}

/** ltsp_swap.conf is the clients' swap space, which sites that serve images over NFS have as well. */
export function isLtspExport(name: string): boolean {
  return /^ltsp_.*\.conf$/.test(name) && name !== 'ltsp_swap.conf';
}

function whyWrite(asked: 'on' | 'auto', others: readonly string[]): string {
  if (asked === 'on') return 'an export was asked for';
  const [other] = others;
  return other === undefined ? 'NFS does not serve the images' : `${other} exports another chroot`;
}
