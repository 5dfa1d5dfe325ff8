import { readInside } from '../../chroot/open-inside.ts';
import { parseShellAssignments } from '../../config/shell-assignments.ts';
import { CancelledError, messageOf, UsageError, UserError } from '../../errors.ts';
import { run } from '../../system/processes.ts';
import type { NamedKernel } from './kernels.ts';

/** Where an image says how its kernels are named, relative to its root. LTSP 5 sources it as root on the server. */
export const RULES_FILE = 'etc/ltsp/update-kernels.conf';

/** sed expressions of an image's update-kernels.conf; null where it has none. */
export type KernelRules = {
  /** Makes `FILE FLAVOUR` of a kernel's file name, and nothing of other names. */
  kernelNames: string | null;
  /** Makes an initrd's file name of its kernel's. */
  initrdName: string | null;
};

const LIMIT = 64 * 1024;

/**
 * Reads KERNEL_NAMES and INITRD_NAME of the image's update-kernels.conf. Nothing is executed; what else is in the file
 * does not matter.
 * @throws UserError with file and line when one of the two is more than a plain value
 */
export function readKernelRules(root: string): KernelRules {
  const file = readInside(root, RULES_FILE, LIMIT);
  if (file.kind === 'absent') return { kernelNames: null, initrdName: null };
  if (file.kind === 'refused') throw new UserError(`cannot read ${RULES_FILE} of the image: ${file.why}`);
  const values = wantedOf(file.data.toString('utf8'));
  return { kernelNames: values.get('KERNEL_NAMES') || null, initrdName: values.get('INITRD_NAME') || null };
}

function wantedOf(text: string): Map<string, string> {
  const values = new Map<string, string>();
  const take = (some: string): void => {
    for (const [name, { value }] of parseShellAssignments(some, RULES_FILE)) values.set(name, value);
  };
  try {
    take(text);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    // It has shell in it, which may be nothing to us: its own lines decide. Blank lines keep the line number.
    for (const [i, line] of text.split('\n').entries()) {
      if (/^\s*(?:export\s+)?(?:KERNEL_NAMES|INITRD_NAME)=/.test(line)) takeLine('\n'.repeat(i) + line);
    }
  }
  return values;

  function takeLine(line: string): void {
    try {
      take(line);
    } catch (error) {
      throw new UserError(`cannot use the image's kernel names: ${messageOf(error)}`);
    }
  }
}

/**
 * Applies an image's rules to the names in its boot/.
 * @param ours the kernels by our own rule, for an image without KERNEL_NAMES
 * @throws UserError when sed refuses an expression, or doesn't come to an end with it
 */
export async function applyKernelRules(
  rules: KernelRules,
  names: readonly string[],
  ours: readonly NamedKernel[],
  signal?: AbortSignal,
): Promise<NamedKernel[]> {
  const kernels = rules.kernelNames === null ? [...ours] : await named(rules.kernelNames, names, signal);
  if (rules.initrdName === null) return kernels;
  const files = kernels.map(({ file }) => file);
  const initrds = await sed('INITRD_NAME', rules.initrdName, files, signal);
  return kernels.map((kernel) => {
    const initrd = initrds.get(kernel.file);
    return initrd === undefined || initrd === kernel.file ? kernel : { ...kernel, initrd };
  });
}

async function named(
  expression: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<NamedKernel[]> {
  const said = await sed('KERNEL_NAMES', expression, names, signal);
  return names.flatMap((file) => {
    const words = said.get(file)?.trim().split(/\s+/) ?? [];
    const flavour = words.at(-1);
    if (flavour === undefined || flavour === '') return [];
    // an expression that only selects leaves the flavour to the name
    return words.length === 1 && flavour === file ? [{ file }] : [{ file, flavour }];
  });
}

/**
 * What a sed expression makes of each name. It comes from the image, so sed runs in its sandbox (no e, r and w commands)
 * with little memory and time. Expressions are found in two forms: those that print by themselves (`s/…/…/p`, for
 * sed -n), and where none does so, those that sed prints for.
 */
async function sed(
  variable: string,
  expression: string,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<string, string>> {
  // one name a line: a name of more lines is no kernel's
  const lines = names.filter((name) => !name.includes('\n'));
  if (lines.length === 0) return new Map();
  const printed = await output(['-n']);
  if (printed.size > 0) return printed;
  const all = await output([]);
  return new Map([...all].filter(([name, text]) => text !== name));

  async function output(options: string[]): Promise<Map<string, string>> {
    const limits = ['--as=268435456', '--cpu=2', '--'];
    // `=` puts each line's number before what the expression makes of it
    const args = [...limits, 'sed', '--sandbox', ...options, '-e', '=', '-e', expression];
    try {
      const { stdout } = await run('prlimit', args, {
        input: lines.map((line) => `${line}\n`).join(''),
        timeout: 10_000,
        ...(signal === undefined ? {} : { signal }),
      });
      return byNumber(lines, stdout);
    } catch (error) {
      if (error instanceof CancelledError) throw error;
      throw new UserError(
        `cannot use ${variable} in ${RULES_FILE} of the image: ${messageOf(error).replace('finish prlimit: it', 'finish sed: it')}`,
      );
    }
  }
}

function byNumber(lines: readonly string[], stdout: string): Map<string, string> {
  const found = new Map<string, string>();
  let number = 0;
  for (const text of stdout.split('\n')) {
    const name = lines[number - 1];
    if (text === String(number + 1) && number < lines.length) number += 1;
    else if (text !== '' && name !== undefined) found.set(name, text);
  }
  return found;
}
