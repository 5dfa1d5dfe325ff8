import { type AST, ParseError, parseTOML } from 'toml-eslint-parser';
import { UsageError } from '../errors.ts';

/** A key's path from the top: table and key names, and numbers for elements of an array. */
export type KeyPath = readonly PropertyKey[];

/** A TOML file as plain values (dates stay Date, which no setting of ours is), with the places where they stand. */
export type TomlDocument = {
  file: string;
  value: TomlTable;
  /** `FILE:LINE` of a key, or of the nearest table around it. Lines count from 1. */
  where: (path: KeyPath) => string;
  /** The value as it is written in the file, shortened to one line; '' for a table's header and a key that is not in it. */
  written: (path: KeyPath) => string;
};

export type TomlTable = { [key: string]: unknown };

type Place = { line: number; source: string };

/**
 * Parses TOML 1.0.
 * @param file its name, for messages
 * @throws UsageError that begins with `FILE:LINE: `
 */
export function parseToml(text: string, file: string): TomlDocument {
  const places = new Map<string, Place>();
  const value = newTable();
  for (const node of parse(text, file).body[0].body) addNode(value, node);

  return {
    file,
    value,
    where: (path) => `${file}:${nearest(path)?.line ?? 1}`,
    written: (path) => places.get(keyOf(path))?.source ?? '',
  };

  function addNode(table: TomlTable, node: AST.TOMLTable | AST.TOMLKeyValue): void {
    const path = node.type === 'TOMLTable' ? node.resolvedKey : [];
    const inner = descend(table, [], path, node);
    for (const keyValue of node.type === 'TOMLTable' ? node.body : [node]) addKeyValue(inner, path, keyValue);
  }

  function addKeyValue(table: TomlTable, path: KeyPath, node: AST.TOMLKeyValue): void {
    const names = node.key.keys.map(nameOf);
    const last = names.pop() ?? '';
    const inner = descend(table, path, names, node);
    const full = [...path, ...names, last];
    inner[last] = plainValue(node.value, full);
    notePlace(full, node, node.value);
  }

  /** The table at `names` below `table`, made where it is not there yet. An array stands for its last element. */
  function descend(
    table: TomlTable,
    path: KeyPath,
    names: readonly (string | number)[],
    node: AST.TOMLNode,
  ): TomlTable {
    let current: unknown = table;
    names.forEach((name, index) => {
      const next: unknown = typeof names[index + 1] === 'number' ? [] : newTable();
      const known: unknown = read(current, name);
      if (known === undefined) write(current, name, next);
      current = known ?? next;
      const full = [...path, ...names.slice(0, index + 1)];
      if (!places.has(keyOf(full))) places.set(keyOf(full), { line: node.loc.start.line, source: '' });
    });
    if (!isTable(current)) throw new UsageError(`${file}:${node.loc.start.line}: ${names.join('.')} is set twice`);
    return current;
  }

  function plainValue(node: AST.TOMLContentNode, path: KeyPath): unknown {
    if (node.type === 'TOMLValue') return node.value;
    if (node.type === 'TOMLInlineTable') {
      const table = newTable();
      for (const keyValue of node.body) addKeyValue(table, path, keyValue);
      return table;
    }
    return node.elements.map((element, index) => {
      notePlace([...path, index], element, element);
      return plainValue(element, [...path, index]);
    });
  }

  function notePlace(path: KeyPath, key: AST.TOMLNode, shown: AST.TOMLNode): void {
    // the parser gives a 0 at the very end of a file no length
    const [start, end] = shown.range;
    const source = shorten(text.slice(start, Math.max(end, start + 1)));
    places.set(keyOf(path), { line: key.loc.start.line, source });
  }

  function nearest(path: KeyPath): Place | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const place = places.get(keyOf(path.slice(0, length)));
      if (place !== undefined) return place;
    }
    return undefined;
  }
}

export function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function parse(text: string, file: string): AST.TOMLProgram {
  try {
    return parseTOML(text, { tomlVersion: '1.0' });
  } catch (error) {
    if (error instanceof ParseError) {
      const problem = error.message.replace(/^./, (first) => first.toLowerCase()).replace(/\.$/, '');
      // what is missing at the end of a line is reported at the begin of the next one
      const missing = /^(?:unspecified values|the key, equals sign)/.test(problem);
      const line = missing ? text.slice(0, error.index).trimEnd().split('\n').length : error.lineNumber;
      const hint = missing ? 'allowed: KEY = VALUE, text in quotes' : `column ${error.column + 1}`;
      throw new UsageError(`${file}:${line}: not valid TOML: ${problem} (${hint})`);
    }
    // a table within a table within … deeper than the stack
    if (error instanceof RangeError) throw new UsageError(`${file}:1: not valid TOML: it is nested too deeply`);
    throw error;
  }
}

/** No prototype: a key named `__proto__` or `constructor` is a key like any other. */
function newTable(): TomlTable {
  return Object.create(null);
}

function read(container: unknown, name: string | number): unknown {
  if (Array.isArray(container) && typeof name === 'number') return container[name];
  return isTable(container) ? container[name] : undefined;
}

function write(container: unknown, name: string | number, value: unknown): void {
  if (Array.isArray(container) && typeof name === 'number') container[name] = value;
  else if (isTable(container)) container[name] = value;
}

function nameOf(key: AST.TOMLBare | AST.TOMLQuoted): string {
  return key.type === 'TOMLBare' ? key.name : key.value;
}

function keyOf(path: KeyPath): string {
  return JSON.stringify(path);
}

function shorten(source: string): string {
  const line = source.replaceAll(/\s+/g, ' ');
  return line.length > 60 ? `${line.slice(0, 59)}…` : line;
}
