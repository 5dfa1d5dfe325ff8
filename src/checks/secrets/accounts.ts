import type { Rule } from './rule.ts';

/** Password hashes: whoever has the image can guess at them as fast as a machine can. */
export const accountRules: readonly Rule[] = [
  // passwd(5) and shadow(5); the names with a dash are the backups that the shadow tools leave
  { places: ['etc/shadow', 'etc/shadow-', 'etc/passwd', 'etc/passwd-'], find: hashes('account') },
  { places: ['etc/gshadow', 'etc/gshadow-', 'etc/group', 'etc/group-'], find: hashes('group') },
  {
    places: ['etc/security/opasswd', 'etc/security/opasswd.old'],
    what: 'hashes of former passwords',
    sign: /\$\w+\$/,
  },
];

/** NAME:HASH:…; `!` before a hash locks the account, and the hash is there all the same. */
function hashes(of: 'account' | 'group'): (text: string) => string[] {
  return (text) =>
    text
      .split('\n')
      .map((line) => line.split(':'))
      .filter(([, hash]) => hash !== undefined && HASH.test(hash))
      .map(([name = '', hash = '']) => `password hash of the ${hash.startsWith('!') ? 'locked ' : ''}${of} ${name}`);
}

/** crypt(5): `$ID$…` of all newer methods, 13 characters of DES, `_` and 19 of BSDi's; so `*`, `!`, `x`, `NP` are none. */
const HASH = /^!*(\$[^:]+|[./0-9A-Za-z]{13}|_[./0-9A-Za-z]{19})$/;
