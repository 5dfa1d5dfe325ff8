import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, describe as group, it } from 'vitest';
import { describe, findSecrets } from '../../src/checks/secrets.ts';

let root: string;
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'secrets-'));
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const plant = (file: string, text: string): void => {
  fs.mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
  fs.writeFileSync(path.join(root, file), text);
};
const lines = (): string[] => findSecrets(root).map(describe);

const HASH = '$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7';
const KEY = '-----BEGIN OPENSSH PRIVATE KEY-----\nTOPSECRET\n-----END OPENSSH PRIVATE KEY-----\n';

group('accounts', () => {
  it('each with a password hash is a line, also a locked one with its hash, also in the backup', () => {
    const shadow = [`root:${HASH}:19000::::::`, 'daemon:*:19000::::::', `old:!${HASH}:1::::::`, 'new:!:1::::::'];
    const more = [
      'des:abJnggxhB/yWI:1::::::',
      'empty::1::::::',
      'off:!!:1::::::',
      'np:!*:1::::::',
      'nologin:*NOLOGIN*:::::::',
    ];
    plant('etc/shadow', [...shadow, ...more].join('\n'));
    plant('etc/shadow-', `root:${HASH}:19000::::::\n`);
    plant('etc/gshadow', `staff:${HASH}::\nadm:*::\nusers:!::\n`);
    plant('etc/passwd', `root:x:0:0:root:/root:/bin/bash\nantique:${HASH}:1000:1000::/home/a:/bin/sh\n`);
    expect(lines()).toEqual([
      'etc/gshadow: password hash of the group staff',
      'etc/passwd: password hash of the account antique',
      'etc/shadow: password hash of the account root',
      'etc/shadow: password hash of the locked account old',
      'etc/shadow: password hash of the account des',
      'etc/shadow-: password hash of the account root',
    ]);
  });

  it('that people have are looked through, wherever their home is', () => {
    plant(
      'etc/passwd',
      'root:x:0:0::/root:/bin/sh\nanna:x:1000:1000::/srv/people/anna/:/bin/sh\nnobody:x:65534:1::/n:\n',
    );
    for (const home of ['root', 'home/guest', 'srv/people/anna', 'etc/skel', 'n']) plant(`${home}/.vault-token`, 's.x');
    expect(lines()).toEqual([
      'etc/skel/.vault-token: token of Vault',
      'home/guest/.vault-token: token of Vault',
      'root/.vault-token: token of Vault',
      'srv/people/anna/.vault-token: token of Vault',
    ]);
  });
});

/** What is planted, and what is said of it; null: it is no secret. */
const planted: [file: string, text: string, what: string | null][] = [
  ['etc/ssh/ssh_host_ed25519_key', KEY, 'private host key of SSH, the same on every client'],
  ['etc/ssh/ssh_host_ed25519_key.pub', 'ssh-ed25519 AAAA', null],
  ['etc/ssl/private/ssl-cert-snakeoil.key', KEY, 'private key of the snakeoil certificate, the same on every client'],
  ['etc/ssl/private/www', KEY.replaceAll('OPENSSH ', ''), 'private key'],
  ['etc/ssl/www.pem', `-----BEGIN CERTIFICATE-----\nx\n${KEY.replaceAll('OPENSSH', 'ENCRYPTED')}`, 'private key'],
  ['etc/ssl/ca.pem', '-----BEGIN CERTIFICATE-----\nx\n', null],
  ['etc/letsencrypt/archive/example.org/privkey1.pem', KEY.replaceAll('OPENSSH', 'EC'), 'private key'],
  ['home/anna/.ssh/id_rsa', KEY.replaceAll('OPENSSH', 'RSA'), 'private SSH key'],
  ['home/anna/.ssh/work', KEY, 'private SSH key'],
  ['home/anna/.ssh/authorized_keys', 'ssh-ed25519 AAAA', null],
  ['root/server.key', KEY, 'private key'],
  [
    'etc/NetworkManager/system-connections/school.nmconnection',
    '[wifi-security]\npsk=TOPSECRET\n',
    'password of a network (NetworkManager)',
  ],
  ['etc/NetworkManager/system-connections/agent', '[wifi-security]\npsk-flags=1\npsk=\n', null],
  [
    'etc/wpa_supplicant/wpa_supplicant.conf',
    'network={\n\tssid="a"\n\tpsk="TOPSECRET"\n}\n',
    'Wi-Fi password (wpa_supplicant)',
  ],
  ['etc/wpa_supplicant/open.conf', 'network={\n\t#psk="x"\n\tkey_mgmt=NONE\n}\n', null],
  ['etc/network/interfaces', 'iface wlan0 inet dhcp\n  wpa-psk TOPSECRET\n', 'Wi-Fi password (ifupdown)'],
  ['etc/netplan/1.yaml', 'access-points:\n  a:\n    password: "TOPSECRET"\n', 'password of a network (netplan)'],
  ['var/lib/iwd/school.psk', '[Security]\nPassphrase=TOPSECRET\n', 'Wi-Fi password (iwd)'],
  ['etc/wireguard/wg0.conf', '[Interface]\nPrivateKey = TOPSECRET\n', 'private key of WireGuard'],
  ['etc/wireguard/private', `${'A'.repeat(43)}=\n`, 'key of WireGuard'],
  ['etc/ppp/chap-secrets', '# client server secret\nanna * TOPSECRET *\n', 'password of a dial-up or VPN connection'],
  ['etc/ppp/pap-secrets', '# client server secret IP\n#\t*\tpassword\n', null],
  ['root/.netrc', 'machine example.org\nlogin anna\npassword TOPSECRET\n', 'password of a server'],
  ['root/.git-credentials', 'https://anna:TOPSECRET@example.org\n', 'password or token of a Git server'],
  ['root/.docker/config.json', '{"auths":{"example.org":{"auth":"TOPSECRET"}}}', 'credentials of a container registry'],
  ['home/a/.docker/config.json', '{"auths":{},"credsStore":"pass"}', null],
  ['root/.aws/credentials', '[default]\naws_secret_access_key = TOPSECRET\n', 'keys of a cloud storage'],
  ['root/.kube/config', 'users:\n- user:\n    token: TOPSECRET\n', 'credentials of a Kubernetes cluster'],
  ['root/.npmrc', '//registry.example.org/:_authToken=TOPSECRET\n', 'token of a package registry'],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how it names a variable
  ['home/a/.npmrc', '//registry.example.org/:_authToken=${TOKEN}\n', null],
  ['root/.pypirc', '[pypi]\nusername = a\npassword = TOPSECRET\n', 'password of a package registry'],
  ['root/.config/gh/hosts.yml', 'github.com:\n    oauth_token: TOPSECRET\n', 'token of an online service'],
  ['root/.pgpass', '*:*:*:postgres:TOPSECRET\n', 'password of a database'],
  ['root/.vnc/passwd', 'TOPSECRET', 'password of a remote desktop'],
  [
    'home/a/.mozilla/firefox/x.default/logins.json',
    '{"logins":[{"encryptedPassword":"TOPSECRET"}]}',
    'passwords saved in Firefox',
  ],
  ['etc/machine-id', '0123456789abcdef0123456789abcdef\n', 'identity of one machine, the same on every client'],
  ['var/lib/dbus/machine-id', 'uninitialized\n', null],
  ['etc/krb5.keytab', '\x05\x02TOPSECRET', 'Kerberos key of a machine or service'],
  ['var/lib/samba/private/secrets.tdb', 'TDB file TOPSECRET', "password of the machine's account in a Windows domain"],
  [
    'var/cache/debconf/passwords.dat',
    'Name: mysql/root\nTemplate: mysql/root\nValue: TOPSECRET\n',
    'password that was given to a package',
  ],
  ['var/cache/debconf/passwords.dat-old', 'Name: passwd/root\nValue: \nOwners: passwd\n', null],
  [
    'etc/apt/auth.conf.d/esm',
    'machine esm.example.org login bearer password TOPSECRET\n',
    'password of a package archive',
  ],
  [
    'etc/apt/sources.list.d/own.list',
    'deb https://anna:TOPSECRET@example.org stable main\n',
    'password of a package archive or proxy',
  ],
  ['etc/apt/sources.list', 'deb https://deb.debian.org/debian bookworm main\n', null],
  [
    'etc/lts.conf',
    '[default]\nLDM_AUTOLOGIN=True\nLDM_PASSWORD=TOPSECRET\n',
    'password with which a client logs in by itself',
  ],
  ['etc/sssd/sssd.conf', '[domain/x]\nldap_default_authtok = TOPSECRET\n', 'password of the directory server'],
  ['etc/fstab', '//srv/share /mnt cifs username=a,password=TOPSECRET 0 0\n', 'password of a file server'],
  ['etc/mysql/debian.cnf', '[client]\npassword =\n', null],
  ['etc/cups/printers.conf', 'DeviceURI smb://anna:TOPSECRET@printer/a\n', 'password of a printer'],
];

group('in well-known places', () => {
  it.each(planted)('%s with %j: %s', (file, text, what) => {
    plant(file, text);
    expect(findSecrets(root)).toEqual(what === null ? [] : [{ path: file, what }]);
  });

  it('never a secret itself is told', () => {
    for (const [file, text] of planted) plant(file, text);
    const told = lines();
    expect(told).toHaveLength(planted.filter(([, , what]) => what !== null).length);
    expect(told.join('\n')).not.toContain('TOPSECRET');
  });

  it('a name with control characters cannot write over the terminal', () => {
    plant('home/\x1b[2Janna/.vault-token', 'x');
    expect(lines()).toEqual(['home/?[2Janna/.vault-token: token of Vault']);
  });
});

group('in an image that wants to fool', () => {
  it('nothing of the server is taken for a part of it', () => {
    const outside = fs.mkdtempSync(path.join(os.tmpdir(), 'server-'));
    try {
      fs.writeFileSync(path.join(outside, 'shadow'), `root:${HASH}:1::::::\n`);
      fs.mkdirSync(path.join(outside, '.ssh'));
      fs.writeFileSync(path.join(outside, '.ssh/id_rsa'), KEY);
      fs.mkdirSync(path.join(root, 'etc'));
      fs.mkdirSync(path.join(root, 'home'));
      fs.symlinkSync(path.join(outside, 'shadow'), path.join(root, 'etc/shadow'));
      fs.symlinkSync(`../../../../../..${outside}/shadow`, path.join(root, 'etc/gshadow'));
      fs.symlinkSync(outside, path.join(root, 'home/anna'));
      fs.symlinkSync(outside, path.join(root, 'root'));
      plant('etc/passwd', `eve:x:1000:1000::/../../..${outside}:/bin/sh\nmallory:x:1001:1001::${outside}:/bin/sh\n`);
      expect(lines()).toEqual([]);
    } finally {
      fs.rmSync(outside, { recursive: true });
    }
  });

  it('a link inside it leads to the file, which is told once', () => {
    plant('etc/machine-id', '0123456789abcdef0123456789abcdef\n');
    fs.mkdirSync(path.join(root, 'var/lib/dbus'), { recursive: true });
    fs.symlinkSync('/etc/machine-id', path.join(root, 'var/lib/dbus/machine-id'));
    plant('home/anna/dotfiles/netrc', 'password x');
    fs.symlinkSync('dotfiles/netrc', path.join(root, 'home/anna/.netrc'));
    expect(lines()).toEqual([
      'etc/machine-id: identity of one machine, the same on every client',
      'home/anna/.netrc: password of a server',
    ]);
  });

  it('no FIFO, directory, circle of links or endless file makes it wait or fail', () => {
    fs.mkdirSync(path.join(root, 'etc'));
    fs.mkdirSync(path.join(root, 'root/.netrc'), { recursive: true });
    execFileSync('mkfifo', [path.join(root, 'etc/shadow'), path.join(root, 'root/.pgpass')]);
    fs.symlinkSync('gshadow', path.join(root, 'etc/gshadow'));
    fs.symlinkSync('ssh', path.join(root, 'etc/ssh'));
    plant('home', 'a file');
    plant('root/.vault-token', 'x');
    fs.truncateSync(path.join(root, 'root/.vault-token'), 2 ** 40);
    expect(lines()).toEqual(['root/.vault-token: token of Vault']);
  });

  it('an empty tree has none', () => {
    expect(lines()).toEqual([]);
  });
});
