import fs from 'node:fs';
import path from 'node:path';

/** Where `program` is on PATH; undefined where it is not installed. */
export function programOnPath(program: string): string | undefined {
  const directories = (process.env.PATH ?? '').split(':').filter(Boolean);
  return directories.map((directory) => path.join(directory, program)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
