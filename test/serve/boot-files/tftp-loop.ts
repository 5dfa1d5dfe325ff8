import { type Fetched, fetchFile } from './tftp-client.ts';

/** What a client got of two requests, one after the other. */
export type Pair = { kernel: Fetched; initrd: Fetched };

/** A client's line: one for each of its files, so that who waits for the next moment has it, and one for each pair. */
export type ClientLine = { event: 'file' } | ({ event: 'pair' } & Pair);

/** A PXE client that boots without pause: `node tftp-loop.mjs PORT BLOCKSIZE KERNEL INITRD`, until its input ends. */
async function main([port, blockSize, kernelFile = '', initrdFile = '']: string[]): Promise<void> {
  let isEnded = false;
  process.stdin.on('end', () => {
    isEnded = true;
  });
  process.stdin.resume();
  const fetch = async (file: string): Promise<Fetched> => {
    const fetched = await fetchFile({ port: Number(port), file, blockSize: Number(blockSize) });
    say({ event: 'file' });
    return fetched;
  };
  for (let last = false; !last; ) {
    // one whole pair after the end of the input: it is of the last state
    last = isEnded;
    const kernel = await fetch(kernelFile);
    const initrd = await fetch(initrdFile);
    say({ event: 'pair', kernel, initrd });
  }
}

function say(line: ClientLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await main(process.argv.slice(2));
