import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { probeHost } from '../../../src/serve/nbd/probe-address.ts';

let directory: string;
beforeAll(() => {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), 'authfile-'));
});
afterAll(() => fs.rmSync(directory, { recursive: true }));

const OWN = ['127.0.0.1', '198.51.100.7', '192.168.67.1', 'fd00::1'];
const everywhere = ['::', '0.0.0.0'];

const LTSP = '10.0.0.0/8\n169.254.0.0/16\n172.16.0.0/12\n192.168.0.0/16\n';

it.each<[string, readonly string[], string | null, string]>([
  ['no list: loopback', everywhere, null, '127.0.0.1'],
  ["LTSP's list: an address of the local network", everywhere, LTSP, '192.168.67.1'],
  ['comments and addresses without bits', everywhere, '# clients\n198.51.100.7 # me\n', '198.51.100.7'],
  ['IPv6', everywhere, 'fd00::/8\n', 'fd00::1'],
  ['nobody is allowed: loopback', everywhere, '', '127.0.0.1'],
  ['a line that is no address allows nobody', everywhere, '192.168.67.1/99\nhost\n', '127.0.0.1'],
  ['a server on one address is asked there', ['198.51.100.7'], LTSP, '198.51.100.7'],
])('%s', (_, listening, list, host) => {
  const authfile = path.join(directory, 'allow');
  fs.writeFileSync(authfile, list ?? '');
  expect(probeHost(listening, list === null ? null : authfile, OWN)).toBe(host);
});

it('a list that does not exist allows everyone', () => {
  expect(probeHost(everywhere, path.join(directory, 'missing'), OWN)).toBe('127.0.0.1');
});
