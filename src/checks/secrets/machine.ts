import type { Rule } from './rule.ts';

/** What belongs to one machine: its identity, its accounts with servers, passwords that its services have. */
export const machineRules: readonly Rule[] = [
  {
    places: ['etc/machine-id', 'var/lib/dbus/machine-id'],
    what: 'identity of one machine, the same on every client',
    // machine-id(5): "uninitialized" is what an image should have, or nothing
    sign: /^[0-9a-f]{32}\s*$/,
  },
  { places: ['var/lib/systemd/credential.secret'], what: "key of the machine's credentials", sign: 'content' },
  {
    places: ['etc/krb5.keytab', '~/*.keytab', 'etc/*.keytab'],
    what: 'Kerberos key of a machine or service',
    sign: 'content',
  },
  {
    places: ['var/lib/samba/private/secrets.tdb', 'var/lib/samba/secrets.tdb', 'etc/samba/secrets.tdb'],
    what: "password of the machine's account in a Windows domain",
    sign: 'content',
  },
  {
    places: ['var/lib/samba/private/passdb.tdb', 'var/lib/samba/passdb.tdb', 'etc/samba/smbpasswd'],
    what: 'password hashes of Samba users',
    sign: 'content',
  },
  {
    // the value's line is empty, or missing, where the question was not answered
    places: ['var/cache/debconf/passwords.dat', 'var/cache/debconf/passwords.dat-old'],
    what: 'password that was given to a package',
    sign: /^Value: *\S/m,
  },
  {
    places: ['etc/apt/auth.conf', 'etc/apt/auth.conf.d/*'],
    what: 'password of a package archive',
    sign: /\bpassword\s+\S/,
  },
  {
    places: ['etc/apt/sources.list', 'etc/apt/sources.list.d/*', 'etc/apt/apt.conf', 'etc/apt/apt.conf.d/*'],
    what: 'password of a package archive or proxy',
    sign: /^[^#\n]*:\/\/[^\s/:@]+:[^\s/@]+@/m,
  },
  {
    // lts.conf(5), and ltsp.conf(5) of LTSP 19 and later
    places: ['etc/lts.conf', 'etc/ltsp/lts.conf', 'etc/ltsp/ltsp.conf'],
    what: 'password with which a client logs in by itself',
    sign: /^\s*(LDM_PASSWORD\w*|PASSWORDS_\w+)\s*=\s*["']?[^\s"'#]/m,
  },
  {
    places: ['etc/x11vnc.pass', 'etc/vnc/passwd', 'etc/X11/vnc/passwd', 'etc/tigervnc/passwd'],
    what: 'password of a remote desktop',
    sign: 'content',
  },
  {
    places: ['etc/ldap.secret', 'etc/libnss-ldap.secret', 'etc/pam_ldap.secret'],
    what: 'password of the directory server',
    sign: 'content',
  },
  {
    places: [
      'etc/nslcd.conf',
      'etc/libnss-ldap.conf',
      'etc/pam_ldap.conf',
      'etc/ldap.conf',
      'etc/sssd/sssd.conf',
      'etc/sssd/conf.d/*',
    ],
    what: 'password of the directory server',
    sign: /^\s*(bindpw|rootbindpw|ldap_default_authtok)\s*=?\s*\S/m,
  },
  { places: ['etc/fstab'], what: 'password of a file server', sign: /^[^#\n]*\b(password|pass)=[^\s,]/m },
  {
    places: ['etc/samba/*cred*', 'etc/cifs*', 'etc/*smbcred*', 'etc/davfs2/secrets', 'root/.cifs*', 'etc/auto.smb.*'],
    what: 'password of a file server',
    sign: /^\s*(password\s*=|(https?|\/)\S+\s+\S+\s+)\s*\S/m,
  },
  { places: ['etc/mysql/debian.cnf'], what: 'password of a database', sign: /^\s*password\s*=\s*\S/m },
  {
    places: ['etc/cups/printers.conf'],
    what: 'password of a printer',
    sign: /^\s*DeviceURI\s+\S*:\/\/[^\s/:@]+:[^\s/@]+@/m,
  },
  { places: ['etc/bind/rndc.key', 'etc/rndc.key'], what: 'key of the name server', sign: /\bsecret\s+"?\S/ },
  { places: ['etc/munge/munge.key', 'etc/ceph/*.keyring'], what: 'key of a cluster', sign: 'content' },
];
