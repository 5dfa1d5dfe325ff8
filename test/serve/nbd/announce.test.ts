import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { announceExport } from '../../../src/serve/nbd/announce.ts';
import { type Announcement, announcementLine } from '../../../src/serve/nbd/announcement.ts';
import { NbdClient } from '../../../src/serve/nbd/client.ts';
import { listenerOn } from '../../../src/serve/nbd/listener.ts';
import type { LookOptions } from '../../../src/serve/nbd/look-until.ts';
import { lookAtExport } from '../../../src/serve/nbd/probe.ts';
import { readNbdServer } from '../../../src/serve/nbd/server.ts';
import type { Starter } from '../../../src/serve/nbd/starter.ts';
import { FakeSystemctl } from './fake-systemctl.ts';
import { RealServer } from './real-server.ts';

let server: RealServer;
beforeEach(async () => {
  server = await RealServer.prepare();
});
afterEach(() => server.stop());

const host = '127.0.0.1';
const byHand: Starter = { kind: 'by-hand', command: 'service nbd-server start' };
const patient = { answer: 5000, patience: 15_000 };
const hasty = { answer: 5000, patience: 300 };

const announce = (name: string, starter: Starter = byHand, options: LookOptions = patient): Promise<Announcement> => {
  const read = readNbdServer({ root: server.root });
  if (read.kind !== 'configured') throw new Error(read.kind);
  return announceExport(read, `/opt/ltsp/${name}`, starter, options);
};

const masterPid = (): number => {
  const listener = listenerOn(server.port);
  return listener.kind === 'nbd-server' ? listener.pid : 0;
};

const look = async (name: string): Promise<string> =>
  (await lookAtExport({ host, port: server.port }, `/opt/ltsp/${name}`, { timeout: 5000 })).kind;

const systemd: Starter = { kind: 'systemd' };

/** A unit with this KillMode, whose server was started beside it, and what systemctl is called with. */
const withUnit = async (killMode: string, use: (calls: readonly string[]) => Promise<void>): Promise<void> => {
  const systemctl = new FakeSystemctl(server.root, async (call) => {
    if (call.startsWith('restart')) {
      await server.endMaster();
      await server.start();
    }
    return { text: `${killMode}\n`, status: 0 };
  });
  try {
    await use(systemctl.calls);
  } finally {
    systemctl.close();
  }
};

const readingClient = async (): Promise<NbdClient> => {
  const client = await NbdClient.connect({ host, port: server.port }, { timeout: 5000 });
  await client.open('/opt/ltsp/first');
  return client;
};

const readsOn = async (client: NbdClient): Promise<boolean> => {
  const file = fs.readFileSync(server.at('opt/ltsp/images/first.img'));
  return (await client.read(4096, 65_536)).equals(file.subarray(4096, 4096 + 65_536));
};

describe('a server that runs', () => {
  it('gets a new export while a client reads on, and serves all of them', async () => {
    await server.start();
    await withUnit('process', async () => {
      const client = await readingClient();
      try {
        server.export('second');
        expect(await announce('second', systemd)).toMatchObject({ kind: 'served' });
        expect(await readsOn(client)).toBe(true);
        expect([await look('first'), await look('second')]).toEqual(['served', 'served']);
      } finally {
        client.close();
      }
    });
  });

  it('is restarted for a new export while no client is connected', async () => {
    await server.start();
    await withUnit('control-group', async (calls) => {
      server.export('second');
      expect(await announce('second', systemd)).toEqual({ kind: 'served', by: 'restart' });
      expect(calls).toEqual(['restart nbd-server']);
    });
  });

  it('is not told anything about an export that it has', async () => {
    await server.start();
    // SIGHUP would make it take up this one
    server.export('second');
    expect(await announce('first')).toEqual({ kind: 'served', by: 'itself' });
    expect(await look('second')).toBe('unknown');
  });

  it('that has the export and cannot open its image says so', async () => {
    server.export('second', 'missing');
    await server.start();
    expect(await announce('second')).toMatchObject({ kind: 'refused', by: 'itself' });
  });

  it('that may not read the new file goes on without it', async () => {
    await server.start();
    server.export('second');
    fs.chmodSync(server.at('etc/nbd-server/conf.d/ltsp_second.conf'), 0o600);
    const announcement = await announce('second', byHand, hasty);
    expect(announcementLine('second', announcement)).toMatch(/^cannot let nbd-server serve second: /);
    expect(announcement.kind).not.toBe('served');
  });

  it('that does not read the directory is not told, and a person hears what is missing', async () => {
    const config = server.at('etc/nbd-server/config');
    fs.writeFileSync(config, fs.readFileSync(config, 'utf8').replace(/^includedir.*\n/m, '[swap]\nexportname = /x\n'));
    await server.start();
    expect(await announce('first')).toEqual({
      kind: 'by-hand',
      why: 'no file that it reads has a section [/opt/ltsp/first]',
      todo: `write "includedir = ${server.at('etc/nbd-server/conf.d')}" into ${config}, section [generic]`,
    });
  });

  it('whose config has a line that it would not take is not told', async () => {
    await server.start();
    const master = masterPid();
    server.export('second');
    server.write('etc/nbd-server/conf.d/broken.conf', 'nonsense\n');
    const announcement = await announce('second');
    expect(announcement).toMatchObject({ kind: 'by-hand', why: expect.stringContaining('broken.conf:1: nonsense') });
    expect(masterPid()).toBe(master);
  });
});

describe('SIGHUP breaks a server', () => {
  /** nbd-server 3.24 damages its heap by SIGHUP; after some it dies, or its new children do. */
  const untilBroken = async (starter: Starter): Promise<Announcement> => {
    for (let count = 0; count < 200; count++) {
      server.export(`more${count}`);
      const announcement = await announce(`more${count}`, starter);
      if (announcement.kind !== 'served' || announcement.by !== 'reload') return announcement;
    }
    throw new Error('SIGHUP never broke it');
  };

  it('that is noticed, the connected client reads on, and a person hears how to go on without losing it', async () => {
    await server.start();
    const client = await readingClient();
    try {
      const announcement = await untilBroken(byHand);
      expect(announcement).toMatchObject({ kind: 'down', clients: 1, todo: expect.stringContaining(byHand.command) });
      expect(await readsOn(client)).toBe(true);
    } finally {
      client.close();
    }
  });

  it('with a unit that leaves clients alone it gets a new main process, and the connected client reads on', async () => {
    await server.start();
    await withUnit('process', async () => {
      const client = await readingClient();
      try {
        expect(await untilBroken(systemd)).toEqual({ kind: 'served', by: 'restart' });
        expect(await readsOn(client)).toBe(true);
        expect(await look('first')).toBe('served');
      } finally {
        client.close();
      }
    });
  });

  it('with a unit that ends its clients nothing is restarted while one is connected', async () => {
    await server.start();
    await withUnit('control-group', async (calls) => {
      const client = await readingClient();
      try {
        expect(await untilBroken(systemd)).toMatchObject({
          kind: 'down',
          todo: 'run: systemctl restart nbd-server; once no client is connected, 1 are now',
        });
        expect(calls.filter((call) => !call.startsWith('show'))).toEqual([]);
        expect(await readsOn(client)).toBe(true);
      } finally {
        client.close();
      }
    });
  });
});

describe('a server that does not run', () => {
  it('is started through systemd and looked at', async () => {
    const systemctl = new FakeSystemctl(server.root, async () => {
      await server.start();
      return { text: '', status: 0 };
    });
    try {
      expect(await announce('first', systemd)).toEqual({ kind: 'served', by: 'start' });
      expect(systemctl.calls).toEqual(['start nbd-server']);
    } finally {
      systemctl.close();
    }
  });

  it('is restarted where systemd takes a dead one for a started one', async () => {
    const systemctl = new FakeSystemctl(server.root, async (call) => {
      if (call.startsWith('restart')) await server.start();
      return { text: '', status: 0 };
    });
    try {
      expect(await announce('first', systemd, hasty)).toMatchObject({ kind: 'served' });
      expect(systemctl.calls).toEqual(['start nbd-server', 'restart nbd-server']);
    } finally {
      systemctl.close();
    }
  });

  it('and is not installed is down, with what systemd said', async () => {
    const text = 'Failed to start nbd-server.service: Unit nbd-server.service not found.\n';
    const systemctl = new FakeSystemctl(server.root, async () => ({ text, status: 5 }));
    try {
      const announcement = await announce('first', systemd);
      expect(announcement).toMatchObject({ kind: 'down', why: expect.stringContaining('not found') });
    } finally {
      systemctl.close();
    }
  });

  it('and that systemd cannot get to answer is down', async () => {
    const systemctl = new FakeSystemctl(server.root, async () => ({ text: '', status: 0 }));
    try {
      const announcement = await announce('first', systemd, hasty);
      expect(announcement).toMatchObject({ kind: 'down', why: expect.stringContaining('ECONNREFUSED') });
    } finally {
      systemctl.close();
    }
  });

  it('is started by a person where systemd is not', async () => {
    const announcement = await announce('first');
    expect(announcementLine('/opt/ltsp/first', announcement)).toBe(
      'cannot let nbd-server serve /opt/ltsp/first: nbd-server does not run (run: service nbd-server start)',
    );
  });

  it('and whose port another program has is left to a person', async () => {
    const other = net.createServer().listen(server.port, host);
    await once(other, 'listening');
    try {
      const why = expect.stringMatching(new RegExp(`^port ${server.port} is taken by .*, process ${process.pid}$`));
      expect(await announce('first')).toMatchObject({ kind: 'by-hand', why });
    } finally {
      other.close();
    }
  });

  it('is given up when that is stopped', async () => {
    const stop = new AbortController();
    const systemctl = new FakeSystemctl(server.root, async () => {
      setTimeout(() => stop.abort(), 0);
      return { text: '', status: 0 };
    });
    try {
      const announcement = announce('first', systemd, { ...patient, signal: stop.signal });
      await expect(announcement).rejects.toThrow('was stopped');
    } finally {
      systemctl.close();
    }
  });
});
