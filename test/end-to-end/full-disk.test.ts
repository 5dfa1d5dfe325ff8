import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addKernel } from '../serve/boot-files/site.ts';
import { leftovers, Server } from './server.ts';

/** One try of a build with so much room; `files` are all there are afterwards, with their digests. */
type Try = { free: number; status: number; said: string; files: Record<string, string> };

/** What a build is to lack room in: a directory with a file system of its own, and a change that makes a build due. */
type Room = { directory: string; mount: string; from: number; change: string };

/** Of 4 KiB; more than a build asks for beforehand. */
const PAGES = 1220;

let server: Server;
let chroot: string;
beforeEach(() => {
  server = new Server();
  server.configure('[watch]\nquiet = "0s"\n[schedule]\nnightly = ""\n[check]\nnbd = "off"\n');
  fs.mkdirSync(path.join(server.root, 'srv/tftp/ltsp'), { recursive: true });
  fs.mkdirSync(server.images);
  fs.mkdirSync(path.join(server.root, 'var/lib/ltsp-autoimage'), { recursive: true });
  chroot = server.makeSmallChroot('amd64');
  addKernel(chroot, '6.1.0-1-amd64');
});
afterEach(async () => {
  const { root } = server;
  await server.remove();
  while (leftovers(root).length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
});

/**
 * Mounts a file system on the directory and makes an image; then, after `change`, builds with `from` free blocks, with
 * one more and so on until a build succeeds; then once more with room.
 */
function buildWithGrowingRoom({ directory, mount, from, change }: Room): {
  first: Try;
  short: Try[];
  full: Try;
  last: Try;
} {
  const { status, stdout, stderr } = server.runScript(`
    directory='${directory}'
    ${mount}
    try() {
      code=0; ltsp build amd64 >said 2>&1 || code=$?
      printf '\\ftry %s %s\\n' "$1" "$code"; cat said; printf '\\ffiles\\n'
      # what is remembered of a failure is not what is live
      find opt/ltsp/images srv/tftp var/lib/ltsp-autoimage \\( -type f -o -type l \\) ! -name filler ! -name .lock \\
        ! -path '*/history/*' ! -path '*/chroots/*.json' | sort | while read -r file; do
        printf '%s %s\\n' "$(sha256sum <"$file")" "$file"
      done
    }
    try 0
    ${change}
    free=${from}
    until [ "$code" = 0 ] && [ "$free" -gt ${from} ]; do
      rm -f "$directory/filler"
      available=$(stat -f -c %a "$directory")
      unit=$(stat -f -c %S "$directory")
      # a large file may take a block more than its content; then there is one less
      head -c $((available > free ? (available - free) * unit : 0)) /dev/zero 2>&- >"$directory/filler" || :
      sync -f "$directory"
      try "$free"
      free=$((free + 1))
    done
    rm "$directory/filler"
    echo more >'${chroot}/etc/motd'
    try 0
  `);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  const [first, ...more] = stdout.split('\ftry ').slice(1).map(parseTry);
  const [last, full, ...short] = more.reverse();
  if (first === undefined || full === undefined || last === undefined) throw new Error(stdout);
  return { first, short: short.reverse(), full, last };
}

function parseTry(text: string): Try {
  const [said = '', files = ''] = text.split('\ffiles\n');
  const [head = '', ...lines] = said.split('\n');
  const [free, status] = head.split(' ');
  const entries = files
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [, digest = '', file = ''] = /^([0-9a-f]{64}) +- (.*)$/.exec(line) ?? [];
      return [file, digest];
    });
  return { free: Number(free), status: Number(status), said: lines.join('\n'), files: Object.fromEntries(entries) };
}

/**
 * Each build that lacks room leaves all as it was and says why; the places where it came to an end are those expected, in
 * their order; and with room it succeeds.
 */
function expectNothingLost(room: Room, places: readonly RegExp[]): void {
  const { first, short, full, last } = buildWithGrowingRoom(room);
  expect(first.status).toBe(0);
  for (const { free, status, said, files } of short) {
    expect(status, `${free} blocks: ${said}`).toBe(1);
    expect(said).toMatch(/cannot .*(no space left on device|MB free|is full).*/i);
    expect(said).not.toContain('internal error');
    expect(files).toEqual(first.files);
  }
  let at = 0;
  for (const place of places) {
    const found = short.findIndex(({ said }, index) => index >= at && place.test(said));
    expect(found, `${place} in ${short.map(({ said }) => said).join('')}`).toBeGreaterThanOrEqual(at);
    at = found + 1;
  }
  for (const { status, said, files } of [full, last]) {
    expect(status, said).toBe(0);
    expect(said).toMatch(/image .* is live/);
    expect(files['opt/ltsp/images/amd64.img']).not.toBe(first.files['opt/ltsp/images/amd64.img']);
    expect(Object.keys(files).filter((file) => /\.partial|\.tmp$|journal|\.boot-/.test(file))).toEqual([]);
  }
}

describe('with less and less room each build leaves what is live, and it succeeds when there is room', () => {
  it('where the state is: in what is remembered, and in the journal', () => {
    const disk = path.join(server.root, 'disk');
    expectNothingLost(
      {
        directory: path.join(server.root, 'var/lib/ltsp-autoimage'),
        // small blocks, and a directory takes one
        mount: `truncate -s 2M '${disk}'; mkfs.ext4 -q -b 1024 -m 0 '${disk}'; mount -o loop '${disk}' "$directory"`,
        from: 0,
        change: `echo second >'${chroot}/etc/motd'`,
      },
      [/cannot write .*\/chroots\/amd64\.json: /, /cannot write .*\/journal\/.*\.jsonl: /],
    );
  });

  it('where the images are: in the image, and in its record', () => {
    const random = path.join(server.root, 'random');
    fs.writeFileSync(random, randomBytes(PAGES * 4096));
    expectNothingLost(
      {
        directory: server.images,
        mount: 'mount -t tmpfs -o size=16m room "$directory"',
        // what cannot be compressed takes all of them
        from: PAGES,
        change: `cp '${random}' '${chroot}/etc/random'`,
      },
      [/cannot write the image: ENOSPC/, /cannot write .*Z\.json: /],
    );
  });

  it('where the boot files are: before the first of them, and in the list of them', () => {
    addKernel(chroot, '6.1.0-1-amd64', 'x'.repeat(8000));
    expectNothingLost(
      {
        directory: path.join(server.root, 'srv/tftp/ltsp'),
        mount: 'mount -t tmpfs -o size=1m room "$directory"',
        // kernel, initrd, config and map take two each
        from: 7,
        change: `printf other >>'${chroot}/boot/vmlinuz-6.1.0-1-amd64'`,
      },
      [
        /cannot write boot files .* MB needed, .* MB free \(make room there\)/,
        /cannot write .*\.ltsp-autoimage\.json: /,
      ],
    );
  });
});
