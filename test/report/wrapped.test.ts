import { expect, it } from 'vitest';
import { wrapped } from '../../src/report/wrapped.ts';

it('breaks between words, and never within one', () => {
  expect(wrapped('the image of Tuesday is live', 12)).toEqual(['the image of', 'Tuesday is', 'live']);
  expect(wrapped('see /var/lib/dpkg/status now', 8)).toEqual(['see', '/var/lib/dpkg/status', 'now']);
  expect(wrapped('', 8)).toEqual(['']);
});
