import { execFileSync } from 'node:child_process';
import { expect, it, test } from 'vitest';
import { compareVersions } from '../../../src/serve/boot-files/version-order.ts';

const PAIRS: [lower: string, higher: string][] = [
  ['6.1.0-1-amd64', '6.1.0-2-amd64'],
  ['6.1.0-9-amd64', '6.1.0-10-amd64'],
  ['6.9.0-1-amd64', '6.10.0-1-amd64'],
  ['5.10.0-28-amd64', '6.1.0-1-amd64'],
  ['6.1.0-0.deb11.5-amd64', '6.1.0-0.deb11.13-amd64'],
  ['6.1.0-0.deb11.13-amd64', '6.1.0-1-amd64'],
  ['5.15.0-91-generic', '5.15.0-105-generic'],
  ['6.5.6-200.fc38.x86_64', '6.5.6-300.fc39.x86_64'],
  ['6.1', '6.1.0'],
  ['6.1.0~rc1', '6.1.0'],
  ['6.1.009', '6.1.10'],
  ['1.0a', '1.0+'],
  ['20230101235959123456789', '20230101235959123456790'],
  ['', '1'],
];

test.each(PAIRS)('%s is lower than %s', (lower, higher) => {
  expect(compareVersions(lower, higher)).toBeLessThan(0);
  expect(compareVersions(higher, lower)).toBeGreaterThan(0);
  expect(compareVersions(lower, lower)).toBe(0);
});

// dpkg takes only what begins with a digit and has no underscore
test.each(PAIRS.filter(([lower]) => /^\d[^_]*$/.test(lower)))(
  'dpkg has the same order of %s and %s',
  (lower, higher) => {
    expect(() => execFileSync('dpkg', ['--compare-versions', lower, 'lt', higher])).not.toThrow();
  },
);

it('has a release candidate before its release', () => {
  expect(compareVersions('6.2.0-rc8-amd64', '6.2.0-1-amd64')).toBeLessThan(0);
  expect(compareVersions('6.2.0-rc8', '6.2.0')).toBeLessThan(0);
  expect(compareVersions('6.2.0-rc9', '6.2.0-rc10')).toBeLessThan(0);
});

it('takes leading zeros as nothing', () => {
  expect(compareVersions('6.01.0', '6.1.0')).toBe(0);
});
