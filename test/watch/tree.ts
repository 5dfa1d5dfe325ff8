import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A directory of this test file alone, free of symlinks. */
export function temporaryDirectory(name: string): string {
  return fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), `${name}-`)));
}

export function write(file: string, text = ''): void {
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, text);
}

/** As dpkg does with its status, and editors with what they save. */
export function replace(file: string, text: string): void {
  fs.writeFileSync(`${file}-new`, text);
  fs.renameSync(`${file}-new`, file);
}
