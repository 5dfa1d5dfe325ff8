import type { ImageFiles } from './image-files.ts';

/** Home directories in an image: root's, those in /home, new users' template, and those of people in etc/passwd. */
export function homesIn(files: ImageFiles): string[] {
  const ofHome = files.names('home').map((name) => `home/${name}`);
  return [...new Set(['root', 'etc/skel', ...ofHome, ...homesOfPeople(files)])];
}

/** passwd(5), NAME:PASSWORD:UID:GID:GECOS:HOME:SHELL; people have uids from 1000 on, and 65534 is nobody. */
function homesOfPeople(files: ImageFiles): string[] {
  const lines = files.read('etc/passwd')?.text.split('\n') ?? [];
  return lines
    .map((line) => line.split(':'))
    .filter(([, , uid]) => Number(uid) >= 1000 && Number(uid) < 65_534)
    .map(([, , , , , home = '']) => home.replace(/^\/+|\/+$/g, ''))
    .filter((home) => home !== '' && !home.split('/').includes('..'));
}
