import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import dgram from 'node:dgram';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { readBoot } from '../../../src/serve/boot-files/boot.ts';
import { detectLayout } from '../../../src/serve/boot-files/detect.ts';
import { planBootDirectory } from '../../../src/serve/boot-files/layout.ts';
import { makeNext } from '../../../src/serve/boot-files/next.ts';
import { bootPlaces } from '../../../src/serve/boot-files/place.ts';
import { planSwitch } from '../../../src/serve/boot-files/plan.ts';
import { removeFormer, switchBootDirectory, undoSwitch } from '../../../src/serve/boot-files/switch.ts';
import { confined } from '../../../src/system/processes.ts';
import { type BootSite, makeBootSite, removeBootSite, write } from './site.ts';
import { type Fetched, fetchFile, now } from './tftp-client.ts';
import type { ClientLine, Pair } from './tftp-loop.ts';

const KERNEL = 'ltsp/amd64/vmlinuz-amd64';
const INITRD = 'ltsp/amd64/initrd.img-amd64';

export type Trial = {
  /** Bytes of kernel and initrd. */
  sizes: { kernel: number; initrd: number };
  publishes: number;
  /** One client for each: the block size that it asks for. */
  blockSizes: readonly number[];
  /** tftp-loop.ts as a program that node runs. */
  client: string;
  /** Gives clients the image's boot files; what it returns takes that back. By default as the product does it. */
  publish?: (site: BootSite, log: (change: () => void) => void) => Promise<Published>;
};

export type Published = { undo: () => void; settle: () => void };

export type Counts = {
  publishes: number;
  undos: number;
  pairs: number;
  megabytes: number;
  /** Files that are none of those published. */
  torn: number;
  missing: number;
  /** Whole files of an image that was not live at any moment in which the server can have opened them. */
  stale: number;
  /** Pairs of two images; `unexplained` are those of them with no switch between the two requests. */
  mixed: number;
  unexplained: number;
  /** Images of which some client got something. */
  images: number;
};

/** From the beginning of the switch to it until the end of the one away from it, an image may be what is read. */
type Live = { image: number; from: number; to: number };

/**
 * PXE clients fetch kernel and initrd from a real tftpd without pause while images are published and taken back.
 * Tells what they got, judged by logged times.
 */
export async function runTrial({
  sizes,
  publishes,
  blockSizes,
  client,
  publish = publishAsProduct,
}: Trial): Promise<Counts> {
  const site = makeBootSite();
  const server = await startServer(site.tftp);
  const known = new Map<string, number>();
  const live: Live[] = [];
  const clients: Client[] = [];
  const counts = { publishes: 0, undos: 0 };
  const changeTo = (image: number, change: () => void): void => {
    const from = now();
    change();
    const last = live.at(-1);
    if (last !== undefined) last.to = now();
    live.push({ image, from, to: Number.POSITIVE_INFINITY });
  };
  try {
    for (let image = 0; image <= publishes; image += 1) {
      const before = live.at(-1)?.image ?? 0;
      setImage(site.image, image, sizes, known);
      const { undo, settle } = await publish(site, (change) => changeTo(image, change));
      if (image === 0) {
        const patience = { wait: 50, tries: 200 };
        const first = await fetchFile({ port: server.port, file: KERNEL, blockSize: 1408, patience });
        if (first.kind === 'refused')
          throw new Error(`no file from in.tftpd: ${first.why} (apt-get install tftpd-hpa)`);
        clients.push(...blockSizes.map((blockSize) => startClient(client, server.port, blockSize)));
        await Promise.all(clients.map((one) => one.nextFile()));
        settle();
        continue;
      }
      counts.publishes += 1;
      // so that switches fall between the two requests of a client, and into the transfer of others
      await Promise.race(clients.map((one) => one.nextFile()));
      if (image % 2 === 1) settle();
      else {
        changeTo(before, undo);
        counts.undos += 1;
        await Promise.race(clients.map((one) => one.nextFile()));
      }
    }
    const pairs = (await Promise.all(clients.map((one) => one.end()))).flat();
    return { ...counts, ...judge(pairs, known, live) };
  } finally {
    for (const one of clients) await one.stop();
    await server.stop();
    removeBootSite(site);
  }
}

async function publishAsProduct({ image, tftp }: BootSite, log: (change: () => void) => void): Promise<Published> {
  const [place] = bootPlaces([tftp], 'ltsp', 'amd64');
  if (place === undefined) throw new Error('no place for boot files');
  const boot = await readBoot(image);
  const layout = planBootDirectory(boot, { layout: detectLayout([tftp], 'ltsp', 'amd64') });
  const plan = planSwitch(place, layout);
  await makeNext(plan, boot, layout);
  log(() => switchBootDirectory(plan, layout));
  return { undo: () => undoSwitch(plan), settle: () => removeFormer(plan) };
}

/** An image of its own contents; of its kernel's version every third is new, others are the same made anew. */
function setImage(root: string, image: number, sizes: Trial['sizes'], known: Map<string, number>): void {
  const version = `6.1.0-${Math.ceil(image / 3) + 1}-amd64`;
  fs.rmSync(root, { recursive: true });
  write(root, { 'boot/': '', [`lib/modules/${version}/modules.dep`]: '' });
  for (const [name, size] of [['vmlinuz', sizes.kernel] as const, ['initrd.img', sizes.initrd] as const]) {
    const block = randomBytes(Math.min(size, 1_000_003));
    const data = Buffer.alloc(size, block);
    fs.writeFileSync(path.join(root, `boot/${name}-${version}`), data);
    known.set(`${name} ${createHash('sha256').update(data).digest('hex')}`, image);
  }
}

function judge(pairs: readonly Pair[], known: ReadonlyMap<string, number>, live: readonly Live[]) {
  const counts = {
    pairs: pairs.length,
    megabytes: 0,
    torn: 0,
    missing: 0,
    stale: 0,
    mixed: 0,
    unexplained: 0,
    images: 0,
  };
  const images = new Set<number>();
  let bytes = 0;
  const imageOf = (name: string, fetched: Fetched): number | undefined => {
    if (fetched.kind === 'refused') {
      counts.missing += 1;
      return undefined;
    }
    bytes += fetched.size;
    const image = known.get(`${name} ${fetched.digest}`);
    if (image === undefined) counts.torn += 1;
    else {
      images.add(image);
      const wasLive = live.some((one) => one.image === image && one.from <= fetched.opened && one.to >= fetched.asked);
      if (!wasLive) counts.stale += 1;
    }
    return image;
  };
  for (const { kernel, initrd } of pairs) {
    const of = [imageOf('vmlinuz', kernel), imageOf('initrd.img', initrd)];
    if (of[0] === of[1] || of.includes(undefined)) continue;
    counts.mixed += 1;
    // a switch that had not ended when the kernel was asked for, and had begun before the initrd was open
    const between = live.some((one) => one.to >= kernel.asked && one.to !== Infinity && nextOf(one) <= initrd.opened);
    if (!between) counts.unexplained += 1;
  }
  return { ...counts, megabytes: Math.round(bytes / 1e6), images: images.size };

  /** When the switch away from it began. */
  function nextOf(one: Live): number {
    return live[live.indexOf(one) + 1]?.from ?? Number.POSITIVE_INFINITY;
  }
}

type Client = { nextFile: () => Promise<void>; end: () => Promise<Pair[]>; stop: () => Promise<void> };

function startClient(program: string, port: number, blockSize: number): Client {
  const args = [program, String(port), String(blockSize), KERNEL, INITRD];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const pairs: Pair[] = [];
  let waiting: (() => void)[] = [];
  createInterface(child.stdout).on('line', (text) => {
    const line: ClientLine = JSON.parse(text);
    if (line.event === 'pair') pairs.push(line);
    else {
      for (const wake of waiting) wake();
      waiting = [];
    }
  });
  const closed = once(child, 'close');
  return {
    nextFile: () => new Promise((resolve) => waiting.push(resolve)),
    end: async () => {
      child.stdin.end();
      await closed;
      return pairs;
    },
    stop: () => stopped(child, closed),
  };
}

/** A free port may be taken by somebody else before the server has it; then no client gets an answer. */
async function startServer(directory: string): Promise<{ port: number; stop: () => Promise<void> }> {
  const probe = dgram.createSocket('udp4');
  await new Promise<void>((resolve) => probe.bind(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  const [file, args] = confined('in.tftpd', [
    ...['--foreground', '--ipv4', '--address', `127.0.0.1:${port}`],
    ...['--user', 'nobody', '--secure', directory],
  ]);
  const child = spawn(file, args, { stdio: 'inherit' });
  const closed = once(child, 'close');
  return { port, stop: () => stopped(child, closed) };
}

async function stopped(child: ChildProcess, closed: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL');
  await closed;
}
