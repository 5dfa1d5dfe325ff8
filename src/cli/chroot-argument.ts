import path from 'node:path';

/** A chroot as a person names it: its name, or its path, which means nothing in the daemon's own directory. */
export function chrootArgument(nameOrPath: string): string {
  return nameOrPath.includes('/') ? path.resolve(nameOrPath) : nameOrPath;
}
