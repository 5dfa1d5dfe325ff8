import { expect, it } from 'vitest';
import { candidateOf, historyFile, imageFile, imageOf, oldFile } from '../../src/store/layout.ts';

const paths = { images: '/opt/ltsp/images', state: '/var/lib/ltsp-autoimage' };

it('names and ids are single parts of a path', () => {
  expect(imageFile(paths, 'amd64')).toBe('/opt/ltsp/images/amd64.img');
  expect(oldFile(paths, 'my chroot')).toBe('/opt/ltsp/images/my chroot.img.old');
  expect(imageOf(paths, 'amd64', 'ID')).toBe('/opt/ltsp/images/.generations/amd64/ID.img');
});

it.each(['', '.', '..', '../amd64', 'a/b', 'a\0b'])('%j cannot lead to another directory', (name) => {
  expect(() => imageFile(paths, name)).toThrow('cannot use');
  expect(() => historyFile(paths, name)).toThrow('cannot use');
  expect(() => candidateOf(paths, 'amd64', name)).toThrow('cannot use');
});
