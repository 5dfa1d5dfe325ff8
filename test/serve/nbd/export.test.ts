import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ExportQuestion, exportPlan, exportText } from '../../../src/serve/nbd/export.ts';
import type { ConfiguredNbdServer } from '../../../src/serve/nbd/server.ts';

const configOf = (root: string): ExportQuestion['config'] => {
  const images = path.join(root, '/opt/ltsp/images');
  const none = { state: '', run: '', control: '', trigger: '', lock: '' };
  return { base: path.join(root, '/opt/ltsp'), paths: { images, ...none } };
};

const configured: ConfiguredNbdServer = {
  kind: 'configured',
  file: '/etc/nbd-server/config',
  port: 10809,
  addresses: ['::'],
  user: 'nbd',
  group: 'nbd',
  includedir: '/etc/nbd-server/conf.d',
  exports: [],
  problems: [],
};

const question: ExportQuestion = {
  config: configOf(''),
  name: 'amd64',
  settings: { confDir: '/etc/nbd-server/conf.d', authfile: '/etc/ltsp/nbd-server.allow' },
  server: configured,
  asked: 'auto',
  present: [],
  servedByNfs: false,
  authfile: 'there',
};

describe('exportText', () => {
  it('is what LTSP 5 writes', () => {
    expect(exportText(configOf(''), 'amd64', question.settings)).toBe(
      '[/opt/ltsp/amd64]\nexportname = /opt/ltsp/images/amd64.img\nreadonly = true\nauthfile = /etc/ltsp/nbd-server.allow\n',
    );
  });

  it('has the real paths below --root', () => {
    expect(exportText(configOf('/trial'), 'amd64', { authfile: '/trial/etc/ltsp/nbd-server.allow' })).toBe(
      '[/trial/opt/ltsp/amd64]\nexportname = /trial/opt/ltsp/images/amd64.img\nreadonly = true\nauthfile = /trial/etc/ltsp/nbd-server.allow\n',
    );
  });

  it.each(['a]b', 'a[b', 'a\nb'])('a name such as %j cannot stand there', (name) => {
    expect(() => exportText(configOf(''), name, question.settings)).toThrow('(rename the chroot)');
  });
});

describe('exportPlan', () => {
  const own = 'ltsp_amd64.conf';
  it.each<[string, Partial<ExportQuestion>, string]>([
    ['NFS does not serve the images', {}, 'write'],
    ['NFS serves them', { servedByNfs: true }, 'skip'],
    ['NFS serves them, but another chroot has an export', { servedByNfs: true, present: ['ltsp_i386.conf'] }, 'write'],
    ['NFS serves them, and only swap has one', { servedByNfs: true, present: ['ltsp_swap.conf', 'my.conf'] }, 'skip'],
    ['NFS serves them, and it was asked for', { servedByNfs: true, asked: 'on' }, 'write'],
    ['it is switched off', { asked: 'off' }, 'skip'],
    ['there is one', { present: [own] }, 'keep'],
    ['there is one and it was asked for', { present: [own], asked: 'on' }, 'keep'],
    ['there is no nbd-server', { server: { kind: 'absent', file: '/etc/nbd-server/config' } }, 'skip'],
    ['its config cannot be read', { server: { kind: 'unreadable', file: '/c', why: 'EIO' } }, 'write'],
  ])('%s', (_, change, kind) => {
    expect(exportPlan({ ...question, ...change }).kind).toBe(kind);
  });

  it('says what it writes where, and why', () => {
    expect(exportPlan({ ...question, present: ['ltsp_i386.conf'] })).toEqual({
      kind: 'write',
      file: `/etc/nbd-server/conf.d/${own}`,
      section: '/opt/ltsp/amd64',
      text: exportText(configOf(''), 'amd64', question.settings),
      allow: null,
      reason: 'ltsp_i386.conf exports another chroot',
    });
  });

  it('brings a list of private networks where there is none: without it everyone may connect', () => {
    const plan = exportPlan({ ...question, authfile: 'missing' });
    const text = '10.0.0.0/8\n127.0.0.0/8\n169.254.0.0/16\n172.16.0.0/12\n192.168.0.0/16\n';
    expect(plan).toMatchObject({ allow: { file: '/etc/ltsp/nbd-server.allow', text } });
  });

  it('leaves an export of that name in any other file alone', () => {
    const mine = {
      name: '/opt/ltsp/amd64',
      image: '/x.img',
      authfile: null,
      definedIn: '/etc/nbd-server/conf.d/my.conf',
    };
    const plan = exportPlan({ ...question, asked: 'on', server: { ...configured, exports: [mine] } });
    expect(plan).toMatchObject({ kind: 'keep', file: mine.definedIn });
  });
});
