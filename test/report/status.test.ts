import { describe, expect, it } from 'vitest';
import { type ChrootStatus, renderStatus, type Status, statusSchema } from '../../src/report/status.ts';

/** A Thursday, in whatever time zone the test runs. */
const NOW = new Date(2025, 10, 27, 12, 0).getTime();
const HOUR = 3_600_000;

function image(age: number): NonNullable<ChrootStatus['current']> {
  const builtAt = new Date(NOW - age).toISOString();
  return { id: '20251127T043000Z', digest: 'a'.repeat(64), size: 812_000_000, builtAt, builder: 'mksquashfs' };
}

function chroot(name: string, some: Partial<ChrootStatus> = {}): ChrootStatus {
  const reason = 'nothing changed since it was built';
  return {
    name,
    path: `/opt/ltsp/${name}`,
    state: 'current',
    reason,
    current: image(5 * HOUR),
    previous: null,
    clients: [],
    ...some,
  };
}

function status(...chroots: ChrootStatus[]): Status {
  const since = '2025-11-20T08:00:00.000Z';
  return { daemon: { running: true, pid: 812, since, version: '0.1.0' }, config: { ok: true }, chroots };
}

const show = (one: Status, width = 80): string => renderStatus(one, { now: NOW, width, colour: 'plain' });

const rejected = chroot('amd64', {
  state: 'quarantined',
  reason: 'sbin/init is missing',
  current: image(50 * HOUR),
});
const building = chroot('i386', {
  state: 'building',
  reason: 'building the image',
  progress: { text: 'building the image', percent: 42.7 },
});
const neverBuilt = chroot('arm64', { state: 'never-built', reason: 'there is no image yet', current: null });

describe('renderStatus', () => {
  it('says in one sentence that all is well', () => {
    expect(
      show(status(chroot('amd64'), chroot('i386'), chroot('lab-2', { current: image(40 * 24 * HOUR) }))),
    ).toMatchInlineSnapshot(`
      "All 3 images are current.

      NAME   STATE    AGE   SIZE    CLIENTS  REASON
      amd64  current  5 h   812 MB  0        nothing changed since it was built
      i386   current  5 h   812 MB  0        nothing changed since it was built
      lab-2  current  40 d  812 MB  0        nothing changed since it was built
      "
    `);
  });

  it('says how many clients run, and how many of them on an older image', () => {
    const client = {
      image: '20251127T043000Z',
      builtAt: image(0).builtAt,
      address: '10.0.0.5',
      since: image(0).builtAt,
    };
    const tuesday = new Date(2025, 10, 25, 9, 0).toISOString();
    const old = { ...client, image: '20251125T080000Z', builtAt: tuesday };
    const sentences = (...clients: ChrootStatus['clients']): string | undefined =>
      show(status(chroot('amd64', { clients }))).split('\n')[1];
    expect(sentences(client)).toBe('1 client runs.');
    expect(sentences(client, client, old)).toBe('3 clients run, 1 still on the image of Tuesday.');
    expect(sentences(old, { ...old, image: 'removed', builtAt: '' })).toBe('2 clients run, 2 still on older images.');
    expect(sentences()).toBe('');
  });

  it('names the only chroot', () => {
    expect(show(status(chroot('amd64')))).toMatch(/^The image of amd64 is current\.\n/);
  });

  it('says of a rejected change which image is live', () => {
    expect(show(status(rejected, chroot('i386')))).toMatchInlineSnapshot(`
      "amd64: the last change was rejected; the image of Tuesday is live.

      NAME   STATE        AGE  SIZE    CLIENTS  REASON
      amd64  quarantined  2 d  812 MB  0        sbin/init is missing
      i386   current      5 h  812 MB  0        nothing changed since it was built
      "
    `);
  });

  it('shows how far a build is', () => {
    expect(show(status(building))).toMatchInlineSnapshot(`
      "i386: a new image is being built; the image of today 07:00 is live.

      NAME  STATE     AGE  SIZE    CLIENTS  REASON
      i386  building  5 h  812 MB  0        building the image 42 %
      "
    `);
  });

  it('says what is waited for', () => {
    const waiting = chroot('amd64', { state: 'waiting', reason: 'waiting for apt-get (pid 1234)' });
    expect(show(status(waiting))).toMatchInlineSnapshot(`
      "amd64: waiting for apt-get (pid 1234); the image of today 07:00 is live.

      NAME   STATE    AGE  SIZE    CLIENTS  REASON
      amd64  waiting  5 h  812 MB  0        waiting for apt-get (pid 1234)
      "
    `);
  });

  it('shows a hold', () => {
    const hold = { since: '2025-11-27T05:00:00.000Z', reason: 'reverted by hand' };
    expect(show(status(chroot('amd64', { hold, reason: 'on hold: reverted by hand' })))).toMatchInlineSnapshot(`
      "amd64: on hold until you release or build it; the image of today 07:00 is live.

      NAME   STATE  AGE  SIZE    CLIENTS  REASON
      amd64  held   5 h  812 MB  0        on hold: reverted by hand
      "
    `);
    const until = new Date(2025, 11, 24, 8).toISOString();
    expect(show(status(chroot('amd64', { hold: { ...hold, until } }))).split('\n')[0]).toBe(
      'amd64: on hold until 24 Dec 08:00; the image of today 07:00 is live.',
    );
  });

  it('shows a chroot without an image', () => {
    expect(show(status(neverBuilt))).toMatchInlineSnapshot(`
      "arm64: there is no image yet.

      NAME   STATE        AGE  SIZE  CLIENTS  REASON
      arm64  never-built  -    -     0        there is no image yet
      "
    `);
  });

  it('shows the images of a chroot that is gone, and does not count it', () => {
    const absent = chroot('old', { state: 'absent', reason: 'there is no such chroot any more; its images stay' });
    expect(show(status(chroot('amd64'), absent))).toMatchInlineSnapshot(`
      "The image of amd64 is current.

      NAME   STATE    AGE  SIZE    CLIENTS  REASON
      amd64  current  5 h  812 MB  0        nothing changed since it was built
      old    absent   5 h  812 MB  0        there is no such chroot any more; its
                                            images stay
      "
    `);
  });

  it('counts when more than one image is not current', () => {
    expect(show(status(rejected, building, neverBuilt, chroot('lab-2')))).toMatchInlineSnapshot(`
      "1 of 4 images is current: 1 rejected, 1 being built, 1 without an image.

      NAME   STATE        AGE  SIZE    CLIENTS  REASON
      amd64  quarantined  2 d  812 MB  0        sbin/init is missing
      i386   building     5 h  812 MB  0        building the image 42 %
      arm64  never-built  -    -       0        there is no image yet
      lab-2  current      5 h  812 MB  0        nothing changed since it was built
      "
    `);
  });

  it('shows an image that another program made', () => {
    const current = { ...image(0), id: 'foreign', digest: '', builtAt: '', builder: 'foreign' };
    const waiting = chroot('amd64', { state: 'waiting', reason: 'waiting for its turn', current });
    expect(show(status(waiting))).toMatchInlineSnapshot(`
      "amd64: waiting for its turn; the image of another program is live.

      NAME   STATE    AGE  SIZE    CLIENTS  REASON
      amd64  waiting  -    812 MB  0        waiting for its turn
      "
    `);
  });

  it('says that nothing is looked after, and why it would not be', () => {
    const stopped: Status = { daemon: { running: false, version: '0.1.0' }, config: { ok: true }, chroots: [] };
    expect(show(stopped)).toMatchInlineSnapshot(`
      "There is no chroot to make an image of.
      The daemon is not running: changes are not noticed.
      "
    `);
    const error = 'ltsp-autoimage.toml:3: unknown key "quite" (did you mean quiet?)';
    expect(show({ ...status(), config: { ok: false, error } })).toMatchInlineSnapshot(`
      "There is no chroot to make an image of.
      The former config stays in force, the present one was refused:
      ltsp-autoimage.toml:3: unknown key "quite" (did you mean quiet?)
      "
    `);
  });

  it('fits into 40 columns', () => {
    const text = show(status(rejected, building, chroot('amd64-debian-13-classroom')), 40);
    expect(text).toMatchInlineSnapshot(`
      "1 of 3 images is current: 1 rejected, 1
      being built.

      amd64
        quarantined  2 d  812 MB  0
        sbin/init is missing
      i386
        building  5 h  812 MB  0
        building the image 42 %
      amd64-debian-13-classroom
        current  5 h  812 MB  0
        nothing changed since it was built
      "
    `);
    expect(show(status(rejected, building, chroot('amd64')), 40)).toMatchInlineSnapshot(`
      "1 of 3 images is current: 1 rejected, 1
      being built.

      NAME   STATE        AGE  SIZE    CLIENTS
      amd64  quarantined  2 d  812 MB  0
        sbin/init is missing
      i386   building     5 h  812 MB  0
        building the image 42 %
      amd64  current      5 h  812 MB  0
        nothing changed since it was built
      "
    `);
  });

  it('colours the state alone, and only when asked to', () => {
    const coloured = renderStatus(status(rejected), { now: NOW, width: 80, colour: 'colour' });
    expect(coloured).toContain('\x1b[31mquarantined\x1b[0m  2 d  812 MB');
    expect(coloured.replaceAll(/\x1b\[\d+m/g, '')).toBe(show(status(rejected)));
  });

  it('lets no name or reason write over the terminal', () => {
    expect(show(status(chroot('a\x1b[2Jb', { state: 'waiting', reason: 'x\ny\x07' })))).not.toMatch(/[^\n -~]/);
  });
});

describe('statusSchema', () => {
  it('takes what it was given through JSON and back', () => {
    const hold = { since: '2025-11-27T05:00:00.000Z', reason: 'reverted by hand' };
    const all = status(rejected, building, neverBuilt, chroot('held', { hold, nextLook: hold.since }));
    expect(statusSchema.parse(JSON.parse(JSON.stringify(all)))).toEqual(all);
  });

  it('refuses a state that it does not know', () => {
    expect(statusSchema.safeParse({ ...status(), chroots: [{ ...neverBuilt, state: 'fine' }] }).success).toBe(false);
  });
});
