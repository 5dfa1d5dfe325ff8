import { type ExtendedAttribute, extendedAttributes } from '../../system/posix.ts';

/**
 * What changes how a client's programs work, and is the same wherever it is looked at. (What SELinux and its like say of
 * a mounted image need not be in it.)
 */
const COMPARED = /^(user\.|security\.capability$)/;

/**
 * Whether a file has the same extended attributes below two root directories; those of the system's own are left out.
 * @param path latin1
 * @throws an error with `code` as of node:fs
 */
export function sameAttributes(one: number, other: number, path: string): boolean {
  return textOf(extendedAttributes(one, path)) === textOf(extendedAttributes(other, path));
}

function textOf(attributes: readonly ExtendedAttribute[]): string {
  const compared = attributes.filter(({ name }) => COMPARED.test(name));
  return compared
    .map(({ name, value }) => `${name}=${value.toString('hex')}`)
    .sort()
    .join('\n');
}
