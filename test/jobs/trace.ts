/** A system call that strace saw succeed. `text` is the beginning of what is written, escaped as strace has it. */
export type Call = { pid: number } & (
  | { kind: 'write'; file: string; text: string }
  | { kind: 'sync' | 'unlink' | 'open' | 'close'; file: string }
  | { kind: 'rename' | 'link' | 'exchange'; from: string; to: string }
);

/**
 * Reads what `strace -f -y -o FILE` wrote, calls in the order in which they ended: one that another thread's came between
 * is in two lines, `<unfinished ...>` and `<... resumed>`.
 * @returns `unread`: lines of calls that should have been understood and were not
 */
export function readTrace(text: string): { calls: Call[]; unread: string[] } {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  const unread: string[] = [];
  for (const line of text.split('\n').filter(Boolean)) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    // signals, ends of processes, and calls that strace is too old to know
    if (/^(---|\+\+\+|syscall_0x)/.test(rest)) continue;
    const unfinished = /^(.*?) *<unfinished \.\.\.>$/.exec(rest)?.[1];
    if (unfinished !== undefined) {
      begun.set(pid, unfinished);
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)?.[1];
    const whole = resumed === undefined ? rest : `${begun.get(pid) ?? ''}${resumed}`;
    // ended by a signal: nobody knows how
    if (/= \?/.test(whole)) continue;
    const call = parseCall(whole);
    if (call === undefined) unread.push(line);
    else if (call !== 'failed') calls.push({ ...call, pid: Number(pid) });
  }
  return { calls, unread };
}

type Parsed = Call extends infer One ? (One extends Call ? Omit<One, 'pid'> : never) : never;

function parseCall(text: string): Parsed | 'failed' | undefined {
  const [, name = '', argumentText = '', result = ''] = /^(\w+)\((.*)\) += (.*)$/.exec(text) ?? [];
  if (name === '') return undefined;
  if (result.startsWith('-1')) return 'failed';
  const descriptors = [...argumentText.matchAll(/(?:^|[ (])(?:\d+|AT_FDCWD)<([^>]*)>/g)].map(([, file = '']) =>
    plain(file),
  );
  const strings = [...argumentText.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, file = '']) => file);
  const [file = ''] = descriptors;
  switch (name) {
    case 'fsync':
    case 'fdatasync':
      return { kind: 'sync', file };
    case 'write':
    case 'pwrite64':
    case 'writev':
    case 'pwritev':
      return { kind: 'write', file, text: strings.join('') };
    case 'copy_file_range':
      return { kind: 'write', file: descriptors[1] ?? '', text: '' };
    case 'sendfile':
      return { kind: 'write', file, text: '' };
    case 'rename':
    case 'renameat':
    case 'renameat2':
    case 'link':
    case 'linkat': {
      const [from, to] = paths(strings, descriptors);
      if (from === undefined || to === undefined) return undefined;
      if (argumentText.includes('RENAME_EXCHANGE')) return { kind: 'exchange', from, to };
      return { kind: name.startsWith('link') ? 'link' : 'rename', from, to };
    }
    case 'unlink':
    case 'unlinkat':
    case 'rmdir': {
      const [gone] = paths(strings, descriptors);
      return gone === undefined ? undefined : { kind: 'unlink', file: gone };
    }
    case 'open':
    case 'openat':
    case 'creat':
      return { kind: 'open', file: plain(/<(.*)>/.exec(result)?.[1] ?? '') };
    case 'close':
      return { kind: 'close', file };
    case 'dup':
    case 'dup2':
    case 'dup3':
      return { kind: 'open', file: plain(/<(.*)>/.exec(result)?.[1] ?? '') };
    default:
      return undefined;
  }
}

/** The paths of a call: absolute ones as they are, others below the descriptor that goes before them. */
function paths(strings: readonly string[], descriptors: readonly string[]): string[] {
  return strings.map((file, index) => (file.startsWith('/') ? file : `${descriptors[index] ?? ''}/${file}`));
}

/** A file that has been unlinked since is still that file. */
function plain(file: string): string {
  return file.replace(/\(deleted\)$/, '').trimEnd();
}
