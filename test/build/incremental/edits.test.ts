import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { built, chainIn } from './chain.ts';
import { apply, type Edit, edit } from './edits.ts';
import { expectSameTrees } from './same-images.ts';

/** Images in the long chain; 50 take some minutes: LONG_CHAIN=50. */
const LENGTH = Number(process.env.LONG_CHAIN ?? 8);

const edits = fc.array(edit, { minLength: 1, maxLength: 12 });

it('after any edits an image made from the former one has the tree of one that mksquashfs makes', async () => {
  const steps = fc.array(edits, { minLength: 2, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 10, maxLength: 40 }), steps, async (first, rest) => {
      await expectChain(first, rest, 'each');
    }),
    { numRuns: 4, endOnFailure: true },
  );
});

it('a long chain of images, each made from the one before, ends with the tree of one that mksquashfs makes', async () => {
  const seed = Number(process.env.SEED ?? Date.now());
  const [first = []] = fc.sample(fc.array(edit, { minLength: 60, maxLength: 80 }), { numRuns: 1, seed });
  const rest = fc.sample(edits, { numRuns: LENGTH, seed });
  await expectChain(first, rest, 'last');
}, 1_000_000);

/** @param compared after which builds the image is compared with one of mksquashfs */
async function expectChain(
  first: readonly Edit[],
  rest: readonly (readonly Edit[])[],
  compared: 'each' | 'last',
): Promise<void> {
  const chain = chainIn(fs.mkdtempSync(path.join(os.tmpdir(), 'edits-')));
  try {
    // something always stays
    fs.writeFileSync(path.join(chain.source, 'stays'), 'content');
    apply(chain.source, first);
    let former = await chain.full();
    for (const [index, some] of rest.entries()) {
      apply(chain.source, some);
      const request = chain.request(former);
      const { stats } = await built(request);
      expect(stats.deadBytes).toBeLessThanOrEqual(stats.dataBytes);
      for (const file of [former.image, former.manifest]) fs.rmSync(file);
      former = await chain.finish(request);
      if (compared === 'last' && index < rest.length - 1) continue;
      const full = await chain.full();
      await expectSameTrees(full.image, former.image, chain.directory);
      expect(differencesFromSource(chain.source, former.image, chain.directory)).toBe('');
    }
  } finally {
    fs.rmSync(chain.directory, { recursive: true, force: true });
  }
}

/** squashfs has whole seconds. */
function differencesFromSource(source: string, image: string, directory: string): string {
  const script = `mount -o loop,ro "$2" "$3" &&
    rsync -aHAXn --checksum --modify-window=1 --delete --itemize-changes "$1/" "$3/"`;
  return execFileSync('unshare', ['-m', 'sh', '-c', script, 'sh', source, image, path.join(directory, 'one')], {
    encoding: 'latin1',
  });
}
