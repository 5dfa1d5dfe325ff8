/** A section of a key file, in file order; `values` has the last value where a key stands twice. */
export type KeyFileSection = { name: string; values: ReadonlyMap<string, string> };

/** What a key file says, and the lines that GLib would not take, `LINE: TEXT` each: it refuses the whole file then. */
export type KeyFile = { sections: KeyFileSection[]; problems: string[] };

/**
 * Parses GLib's key file format ("Desktop Entry Specification", basic format; GKeyFile), in which nbd-server has its
 * config: `[section]`, `key = value`, `#` comments. A section that stands twice is one.
 */
export function parseKeyFile(text: string): KeyFile {
  const sections = new Map<string, Map<string, string>>();
  const problems: string[] = [];
  let values: Map<string, string> | undefined;
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const start = line.trimStart();
    if (start === '' || start.startsWith('#')) continue;
    const name = /^\[([^[\]\x00-\x1f\x7f]+)\]\s*$/.exec(start)?.[1];
    if (name !== undefined) {
      values = sections.get(name) ?? new Map<string, string>();
      sections.set(name, values);
      continue;
    }
    const [, key, value] = /^([^=[\]]+?)\s*=\s*(.*)$/s.exec(start) ?? [];
    if (key === undefined || value === undefined || values === undefined) problems.push(`${index + 1}: ${line.trim()}`);
    else values.set(key, unescaped(value));
  }
  return { sections: [...sections].map(([name, ofSection]) => ({ name, values: ofSection })), problems };
}

/** `text` as a value in a key file: read back, it is the same. */
export function keyFileValue(text: string): string {
  const escaped = text.replace(/[\\\n\r\t]/g, (char) => WRITTEN[char] ?? char);
  return escaped.replace(/^ +/, (spaces) => '\\s'.repeat(spaces.length));
}

const WRITTEN: Record<string, string> = { '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const MEANT: Record<string, string> = { '\\': '\\', n: '\n', r: '\r', t: '\t', s: ' ' };

function unescaped(value: string): string {
  return value.replace(/\\([\\nrts])/g, (whole, char: string) => MEANT[char] ?? whole);
}
