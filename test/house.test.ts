import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const SRC = fileURLToPath(new URL('../src', import.meta.url));

/** From the top floor down: a room imports only from itself and from the floors below it. */
const FLOORS = [
  'cli',
  'daemon.ts',
  'jobs',
  'steps',
  'checks',
  'report',
  'watch',
  'build',
  'serve',
  'decide',
  'store',
  'squashfs',
  'tree',
  'chroot',
  'config',
  'system',
];

/** Below all floors. */
const GROUND = ['errors.ts', 'version.ts'];

/** Rooms that import an outside package: whoever replaces the package touches these alone. */
const PACKAGES: Record<string, readonly string[]> = {
  chokidar: ['watch'],
  'node-cron': ['watch'],
  'p-queue': ['jobs'],
  execa: ['system'],
  koffi: ['system'],
  pino: ['report'],
  'pino-pretty': ['report'],
  commander: ['cli'],
  'toml-eslint-parser': ['config'],
  zod: FLOORS,
};

type Import = { file: string; room: string; specifier: string };

test('each room imports only from the floors below it', () => {
  const upward = importsOfAll().filter(({ file, room, specifier }) => {
    const target = targetOf(file, specifier);
    return target !== null && !mayImport(room, roomOf(target));
  });
  expect(upward).toEqual([]);
});

test('each file stands in a room of the plan', () => {
  const strangers = sources().filter((file) => ![...FLOORS, ...GROUND].includes(roomOf(file)));
  expect(strangers).toEqual([]);
});

test('each outside package is imported in its room alone', () => {
  const misplaced = importsOfAll().filter(({ file, room, specifier }) => {
    if (targetOf(file, specifier) !== null || specifier.startsWith('node:')) return false;
    return !(PACKAGES[packageOf(specifier)] ?? []).includes(room);
  });
  expect(misplaced).toEqual([]);
});

test('imports of our own files name the file with its ending', () => {
  const vague = importsOfAll().filter(({ specifier }) => specifier.startsWith('.') && !specifier.endsWith('.ts'));
  expect(vague).toEqual([]);
});

test('the tests above see static, dynamic, type and side-effect imports, and no import in a comment', () => {
  const text = [
    "import { a } from '../a.ts';",
    "import type { b } from '../b.ts';",
    'import {\n  c,\n} from "../c.ts";',
    "export * from '../d.ts';",
    "import '../e.ts';",
    "const f = await import('../f.ts');",
    "type G = import('../g.ts').G;",
    "// import { h } from '../h.ts';",
    "/* from '../i.ts' */",
  ].join('\n');
  expect(specifiersIn(text)).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `../${name}.ts`));
});

function mayImport(room: string, target: string): boolean {
  if (room === target || GROUND.includes(target)) return true;
  return FLOORS.includes(room) && FLOORS.indexOf(target) > FLOORS.indexOf(room);
}

function importsOfAll(): Import[] {
  return sources().flatMap((file) => {
    const specifiers = specifiersIn(readFileSync(path.join(SRC, file), 'utf8'));
    return specifiers.map((specifier) => ({ file, room: roomOf(file), specifier }));
  });
}

function specifiersIn(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const found = code.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)(?:'([^'\n]+)'|"([^"\n]+)")/g);
  return [...found].map(([, single, double]) => single ?? double ?? '');
}

function sources(): string[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
}

/** The file that is meant, relative to src, or null for a package. */
function targetOf(file: string, specifier: string): string | null {
  return specifier.startsWith('.') ? path.join(path.dirname(file), specifier) : null;
}

function roomOf(file: string): string {
  return file.split('/', 1)[0] ?? file;
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}
