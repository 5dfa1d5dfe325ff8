import fs from 'node:fs';
import path from 'node:path';

/** A secret in a file of a chroot. `account` is the one it belongs to, where a file has several. */
export type Planted = { file: string; secret: string; account?: string };

/** crypt(5), of no password that anybody has. */
const hash = (name: string): string => `$6$salt${name}$${`Hash0f${name}`.padEnd(86, 'x')}`;
const key = (name: string): string =>
  `-----BEGIN OPENSSH PRIVATE KEY-----\nPrivateKeyOf${name}\n-----END OPENSSH PRIVATE KEY-----\n`;

export const hashes: readonly Planted[] = [
  { file: 'etc/shadow', secret: hash('anna'), account: 'account anna' },
  { file: 'etc/shadow', secret: hash('bert'), account: 'account bert' },
  { file: 'etc/shadow-', secret: hash('annaBefore'), account: 'account anna' },
];

export const keysAndNetworks: readonly Planted[] = [
  { file: 'etc/ssh/ssh_host_ed25519_key', secret: 'PrivateKeyOfHostEd' },
  { file: 'etc/ssh/ssh_host_rsa_key', secret: 'PrivateKeyOfHostRsa' },
  { file: 'home/anna/.ssh/id_ed25519', secret: 'PrivateKeyOfAnna' },
  { file: 'root/.ssh/id_rsa', secret: 'PrivateKeyOfRoot' },
  { file: 'etc/ssl/private/ssl-cert-snakeoil.key', secret: 'PrivateKeyOfSnakeoil' },
  { file: 'etc/NetworkManager/system-connections/School.nmconnection', secret: 'wifi-of-school' },
  { file: 'var/cache/debconf/passwords.dat', secret: 'debconf-password' },
  { file: 'etc/machine-id', secret: '0123456789abcdef0123456789abcdef' },
  { file: 'etc/cups/printers.conf', secret: 'printer-password' },
];

export const tokens: readonly Planted[] = ['home/anna', 'home/bert', 'root'].flatMap((home) => [
  { file: `${home}/.netrc`, secret: `netrc-of-${home}` },
  { file: `${home}/.aws/credentials`, secret: `aws-of-${home}` },
  { file: `${home}/.docker/config.json`, secret: `docker-of-${home}` },
  { file: `${home}/.git-credentials`, secret: `git-of-${home}` },
]);

/** What is found and no cleanup of ours takes out. */
export const stubborn: readonly Planted[] = [
  { file: 'etc/gshadow', secret: hash('staffers'), account: 'group staffers' },
  { file: 'etc/wpa_supplicant/wpa_supplicant.conf', secret: 'wifi-of-supplicant' },
];

/** What tells of people and of the machine and is no secret by itself: not reported, and cleaned up all the same. */
export const traces: readonly Planted[] = [
  { file: 'home/anna/letter.txt', secret: 'Dear diary of anna' },
  { file: 'var/log/syslog', secret: 'log line of the server' },
  { file: 'var/log/syslog.1', secret: 'former log line of the server' },
  { file: 'etc/cups/ppd/Office.ppd', secret: 'ppd of the office printer' },
  { file: 'etc/ssl/certs/ssl-cert-snakeoil.pem', secret: 'CertificateOfSnakeoil' },
  { file: 'etc/passwd-', secret: 'anna:x:1000:1000:Anna Before' },
  { file: 'root/.bash_history', secret: 'command of an admin' },
];

/** Puts all of them into a chroot, with accounts of people and a cleanup script of the chroot's own. */
export function plant(chroot: string): void {
  const append = (file: string, text: string): void => fs.appendFileSync(path.join(chroot, file), text);
  const write = (file: string, text: string, mode = 0o600): void => {
    fs.mkdirSync(path.dirname(path.join(chroot, file)), { recursive: true });
    fs.writeFileSync(path.join(chroot, file), text, { mode });
  };
  append('etc/passwd', 'anna:x:1000:1000:Anna:/home/anna:/bin/bash\nbert:x:1001:1001:Bert:/home/bert:/bin/bash\n');
  append('etc/group', 'anna:x:1000:\nbert:x:1001:\nstaffers:x:1002:anna,bert\n');
  fs.writeFileSync(path.join(chroot, 'etc/group'), withMember(chroot, 'audio', 'anna'));
  append('etc/shadow', `anna:${hash('anna')}:19000:0:99999:7:::\nbert:${hash('bert')}:19000:0:99999:7:::\n`);
  append('etc/gshadow', 'anna:!::\nbert:!::\nstaffers:!::anna,bert\n');
  write('etc/passwd-', 'root:x:0:0:root:/root:/bin/bash\nanna:x:1000:1000:Anna Before:/home/anna:/bin/bash\n', 0o644);
  write('etc/shadow-', `root:*:19000:0:99999:7:::\nanna:${hash('annaBefore')}:19000:0:99999:7:::\n`);
  write('etc/subuid', 'anna:100000:65536\nbert:165536:65536\n', 0o644);
  write('etc/subgid', 'anna:100000:65536\nbert:165536:65536\n', 0o644);

  write('etc/ssh/ssh_host_ed25519_key', key('HostEd'));
  write('etc/ssh/ssh_host_rsa_key', key('HostRsa'));
  write('etc/ssh/sshd_config', 'PermitRootLogin no\n', 0o644);
  write('home/anna/.ssh/id_ed25519', key('Anna'));
  write('root/.ssh/id_rsa', key('Root'));
  write('etc/ssl/private/ssl-cert-snakeoil.key', key('Snakeoil').replaceAll('OPENSSH ', ''));
  write('etc/ssl/certs/ssl-cert-snakeoil.pem', 'CertificateOfSnakeoil\n', 0o644);
  write('etc/NetworkManager/system-connections/School.nmconnection', '[wifi-security]\npsk=wifi-of-school\n');
  write('var/cache/debconf/passwords.dat', 'Name: slapd/password1\nValue: debconf-password\n\n');
  write('etc/machine-id', '0123456789abcdef0123456789abcdef\n', 0o644);
  write(
    'etc/cups/printers.conf',
    '<Printer Office>\nDeviceURI smb://anna:printer-password@server/office\n</Printer>\n',
  );

  for (const home of ['home/anna', 'home/bert', 'root']) {
    write(`${home}/.netrc`, `machine example.org login me password netrc-of-${home}\n`);
    write(`${home}/.aws/credentials`, `[default]\naws_secret_access_key = aws-of-${home}\n`);
    write(`${home}/.docker/config.json`, `{"auths": {"example.org": {"auth": "docker-of-${home}"}}}\n`);
    write(`${home}/.git-credentials`, `https://me:git-of-${home.replace('/', '%2F')}@example.org\n# git-of-${home}\n`);
  }
  write('home/anna/letter.txt', 'Dear diary of anna\n');
  write('var/log/syslog', 'a log line of the server\n', 0o640);
  write('var/log/syslog.1', 'a former log line of the server\n', 0o640);
  write('etc/cups/ppd/Office.ppd', 'ppd of the office printer\n', 0o640);
  write('root/.bash_history', 'command of an admin\n');
  for (const [name, id] of [
    ['anna', 1000],
    ['bert', 1001],
  ] as const)
    own(path.join(chroot, 'home', name), id);

  const script = 'echo 1 amd64 > /etc/by-chroot\n[ -e /etc/passwd ] && return\necho more >> /etc/by-chroot\n';
  write('etc/ltsp/cleanup.d/50-mine', script, 0o644);
  write('etc/of-site', 'x', 0o644);
}

/** Puts those in that `stubborn` tells of. */
export function plantStubborn(chroot: string): void {
  const gshadow = path.join(chroot, 'etc/gshadow');
  const text = fs.readFileSync(gshadow, 'utf8');
  fs.writeFileSync(
    gshadow,
    text.replace('staffers:!:', () => `staffers:${hash('staffers')}:`),
  );
  const supplicant = path.join(chroot, 'etc/wpa_supplicant');
  fs.mkdirSync(supplicant, { recursive: true });
  fs.writeFileSync(path.join(supplicant, 'wpa_supplicant.conf'), 'network={\n  psk="wifi-of-supplicant"\n}\n');
}

function withMember(chroot: string, group: string, member: string): string {
  const text = fs.readFileSync(path.join(chroot, 'etc/group'), 'utf8');
  return text.replace(new RegExp(`^${group}:.*$`, 'm'), (line) => `${line}${member}`);
}

function own(directory: string, id: number): void {
  fs.chownSync(directory, id, id);
  for (const name of fs.readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    fs.chownSync(path.join(directory, name), id, id);
  }
}
