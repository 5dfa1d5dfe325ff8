import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** An empty directory for `--root`, with a base directory in it. */
export function makeRoot(): string {
  const root = fs.mkdtempSync(path.join(os.tmpdir(), 'root-'));
  fs.mkdirSync(path.join(root, 'opt/ltsp'), { recursive: true });
  return root;
}
