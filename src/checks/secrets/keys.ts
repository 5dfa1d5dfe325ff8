import type { Rule } from './rule.ts';

/** RFC 7468 and older PEM (RSA, EC, DSA, OPENSSH, ENCRYPTED, …), and PuTTY's own format. */
const PRIVATE_KEY = /^(-----BEGIN (\w+ )*PRIVATE KEY-----|PuTTY-User-Key-File-\d)/m;

/** Private keys: whoever has one can pass himself off as its owner, or read what was meant for him. */
export const keyRules: readonly Rule[] = [
  {
    places: ['etc/ssh/ssh_host_*_key', 'etc/ssh/*/ssh_host_*_key', 'etc/dropbear/dropbear_*_host_key'],
    what: 'private host key of SSH, the same on every client',
    sign: 'content',
  },
  {
    places: ['etc/ssl/private/ssl-cert-snakeoil.key'],
    what: 'private key of the snakeoil certificate, the same on every client',
    sign: PRIVATE_KEY,
  },
  { places: ['~/.ssh/*', '~/.putty/*', '~/*.ppk'], what: 'private SSH key', sign: PRIVATE_KEY },
  { places: privateKeyPlaces(), what: 'private key', sign: PRIVATE_KEY },
  {
    places: ['etc/letsencrypt/accounts/*/*/*/private_key.json'],
    what: 'private key of an ACME account',
    sign: /"d"\s*:/,
  },
  {
    places: ['~/.gnupg/private-keys-v1.d/*.key', '~/.gnupg/secring.gpg'],
    what: 'private OpenPGP key',
    sign: 'content',
  },
  {
    places: ['etc/openvpn/*', 'etc/openvpn/*/*'],
    what: 'static key of OpenVPN',
    sign: /-----BEGIN OpenVPN Static key/,
  },
];

/** Where programs and people keep keys of certificates. */
function privateKeyPlaces(): string[] {
  const directories = [
    ...['etc/ssl', 'etc/ssl/certs', 'etc/pki/tls/private', 'etc/letsencrypt/archive/*', 'etc/letsencrypt/live/*'],
    ...['etc/apache2', 'etc/apache2/ssl', 'etc/nginx', 'etc/nginx/ssl', 'etc/lighttpd', 'etc/stunnel', 'etc/cups/ssl'],
    ...['etc/openvpn', 'etc/openvpn/client', 'etc/openvpn/server', 'etc/openvpn/easy-rsa/pki/private'],
    ...['etc/ldap', 'etc/ldap/ssl', 'etc/postfix', 'etc/exim4', 'etc/dovecot', 'etc/dovecot/private', 'etc/docker'],
    ...['etc/puppetlabs/puppet/ssl/private_keys', 'var/lib/puppet/ssl/private_keys', 'etc/salt/pki/minion'],
    ...['etc/NetworkManager/certs', 'etc/wpa_supplicant', 'etc/x2go', 'etc/ltsp', '~', '~/.cert', '~/.pki'],
  ];
  const whole = [
    'etc/ssl/private',
    'etc/ipsec.d/private',
    'etc/swanctl/private',
    'etc/swanctl/rsa',
    'etc/swanctl/ecdsa',
  ];
  const named = directories.flatMap((directory) => ['pem', 'key'].map((ending) => `${directory}/*.${ending}`));
  return [...named, ...whole.map((directory) => `${directory}/*`)];
}
