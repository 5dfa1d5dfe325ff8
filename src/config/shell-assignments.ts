import { UsageError } from '../errors.ts';

/** A variable that a file sets: its value, and where the (last) assignment begins. Lines count from 1. */
export type Assignment = { value: string; file: string; line: number };

/**
 * Parses a file of `NAME="VALUE"` lines as sh(1) would understand them, without executing anything: comments, quotes,
 * backslash escapes, `export`, references to earlier names, several assignments on one line. Where shells differ, and
 * for all that would run something, the file is refused.
 * @param file its name, for messages
 * @param earlier what earlier files set, for `$NAME` and `${NAME}`
 * @returns what this file sets, by name
 * @throws UsageError that begins with `FILE:LINE: `
 */
export function parseShellAssignments(
  text: string,
  file: string,
  earlier: ReadonlyMap<string, Assignment> = new Map(),
): Map<string, Assignment> {
  return new Parser(text, file, earlier).parse();
}

/** `A=$A$A` a few dozen times would fill the memory. */
const LONGEST_VALUE = 65_536;

const WOULD_RUN = 'nothing in this file is run (write the value itself)';

class Parser {
  readonly #text: string;
  readonly #file: string;
  readonly #earlier: ReadonlyMap<string, Assignment>;
  readonly #found = new Map<string, Assignment>();
  #at = 0;
  #line = 1;

  constructor(text: string, file: string, earlier: ReadonlyMap<string, Assignment>) {
    this.#text = text;
    this.#file = file;
    this.#earlier = earlier;
  }

  parse(): Map<string, Assignment> {
    while (this.#at < this.#text.length) this.#parseLine();
    return this.#found;
  }

  #parseLine(): void {
    this.#skipBlanks();
    let needed = this.#take(/export(?=[ \t\n]|$)/y) !== undefined;
    for (;;) {
      this.#skipBlanks();
      if (this.#peek() === '#') this.#take(/[^\n]*/y);
      if (this.#peek() === '' || this.#peek() === '\n') break;
      this.#parseAssignment();
      needed = false;
    }
    if (needed) this.#fail('export without NAME="VALUE" sets nothing (remove it)');
    this.#next();
  }

  #parseAssignment(): void {
    const line = this.#line;
    const start = this.#take(/[A-Za-z_][A-Za-z0-9_]*=/y);
    if (start === undefined) this.#refuseWord();
    this.#found.set(start.slice(0, -1), { value: this.#parseWord(), file: this.#file, line });
  }

  #parseWord(): string {
    let value = '';
    let tildeCounts = true;
    for (;;) {
      const char = this.#peek();
      if (char === '' || char === ' ' || char === '\t' || char === '\n') return value;
      const tilde = char === '~' && tildeCounts;
      tildeCounts = char === ':';
      if (char === "'") value += this.#parseSingleQuotes();
      else if (char === '"') value += this.#parseDoubleQuotes();
      else if (char === '\\') value += this.#parseEscape();
      else if (char === '$') value += this.#parseReference('bare');
      else if (tilde) this.#fail('~ is not looked up here (write the directory, or quote the ~)');
      else if (char === '\r') this.#fail('the line ends as on Windows (convert the file: sed -i "s/\\r$//" FILE)');
      else if (char === '\0') this.#fail('a NUL byte cannot be in a value (remove it)');
      else if (';|&<>()`'.includes(char)) this.#fail(`unquoted ${char} in a value: ${WOULD_RUN}`);
      else value += this.#next();
      this.#limit(value);
    }
  }

  #parseSingleQuotes(): string {
    const line = this.#line;
    this.#next();
    const value = this.#take(/[^'\0]*/y) ?? '';
    if (this.#next() !== "'") this.#fail("the quote ' is never closed", line);
    return value;
  }

  #parseDoubleQuotes(): string {
    const line = this.#line;
    this.#next();
    let value = '';
    for (;;) {
      const plain = this.#take(/[^"\\$`\0]+/y) ?? '';
      value += plain;
      const char = this.#peek();
      if (char === '"') break;
      if (char === '\\') value += this.#parseEscapeInQuotes();
      else if (char === '$') value += this.#parseReference('quoted');
      else if (char === '`') this.#fail(`backquotes would run a command: ${WOULD_RUN}`);
      else this.#fail('the quote " is never closed', line);
      this.#limit(value);
    }
    this.#next();
    return value;
  }

  /** Outside of quotes a backslash makes any character plain, and joins lines. */
  #parseEscape(): string {
    this.#next();
    const char = this.#next();
    if (char === '\n') return '';
    return char === '' ? '\\' : char;
  }

  /** In double quotes it does so only before the characters that mean something there; else it stands for itself. */
  #parseEscapeInQuotes(): string {
    this.#next();
    const special = this.#take(/[$`"\\\n]/y);
    if (special === undefined) return '\\';
    return special === '\n' ? '' : special;
  }

  #parseReference(where: 'bare' | 'quoted'): string {
    const name = this.#take(/\$[A-Za-z_][A-Za-z0-9_]*|\$\{[A-Za-z_][A-Za-z0-9_]*\}/y)?.replace(/[${}]/g, '');
    if (name !== undefined) {
      if (this.#text.startsWith('\\\n', this.#at))
        this.#fail(`a line must not end right after $${name} (join the lines)`);
      const known = this.#found.get(name) ?? this.#earlier.get(name);
      if (known === undefined) this.#fail(`${name} is not set before this line (set it above, or write its value)`);
      return known.value;
    }
    const after = this.#text.slice(this.#at + 1, this.#at + 2);
    if (after === '(') this.#fail(`$( would run a command: ${WOULD_RUN}`);
    if (after === '{') this.#fail(`only \${NAME} is understood of the shell's \${…}: ${WOULD_RUN}`);
    if (/[0-9@*#?$!\-[\\]/.test(after) || (where === 'bare' && /['"]/.test(after))) {
      this.#fail(`$${after === '\\' ? ' before a backslash' : after} is not understood (quote it: '$${after}')`);
    }
    return this.#next();
  }

  #refuseWord(): never {
    const word = /[^\s]{1,40}/y;
    word.lastIndex = this.#at;
    const seen = JSON.stringify(word.exec(this.#text)?.[0] ?? this.#peek());
    this.#fail(
      `${seen} is no NAME="VALUE" (allowed: assignments, comments and blank lines; nothing in this file is run)`,
    );
  }

  #skipBlanks(): void {
    this.#take(/(?:[ \t]|\\\n)+/y);
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }

  #next(): string {
    return this.#take(/[\s\S]/y) ?? '';
  }

  /** What a sticky pattern matches here, taken; undefined when it does not match. */
  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const taken = pattern.exec(this.#text)?.[0];
    if (taken === undefined) return undefined;
    this.#at += taken.length;
    for (let i = taken.indexOf('\n'); i >= 0; i = taken.indexOf('\n', i + 1)) this.#line += 1;
    return taken;
  }

  #limit(value: string): void {
    if (value.length > LONGEST_VALUE) this.#fail(`the value is longer than ${LONGEST_VALUE} characters (shorten it)`);
  }

  #fail(problem: string, line = this.#line): never {
    throw new UsageError(`${this.#file}:${line}: ${problem}`);
  }
}
