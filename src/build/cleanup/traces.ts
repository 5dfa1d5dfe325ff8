/**
 * What a machine and those who work on it leave behind, by kind. In patterns `*` matches no leading dot.
 * - `remove` takes entries away, whatever they are
 * - `clear` takes all that a directory holds
 * - `empty` leaves a file with no bytes
 */
export type Trace = { what: string; remove?: readonly string[]; clear?: readonly string[]; empty?: readonly string[] };

/**
 * Caches that save each client work after each boot stay: those of fonts, of manual pages, of the dynamic linker, of
 * AppArmor. They tell nothing of anybody.
 */
export const traces: readonly Trace[] = [
  {
    what: 'backups of account files',
    remove: [
      'etc/{passwd,shadow,group,gshadow,subuid,subgid}{-,+,~}',
      'etc/{passwd,shadow,group,gshadow,subuid,subgid}.*',
      'etc/.pwd.lock',
    ],
    clear: ['var/backups'],
  },
  {
    what: 'packages that apt fetched, and its lists',
    remove: [
      'var/cache/apt/*.bin',
      'var/cache/apt/archives/*.deb',
      'var/cache/apt/archives/partial/*',
      'var/lib/apt/lists/*_*',
      'var/lib/apt/lists/partial/*',
      'var/lib/apt/lists/auxfiles/*',
    ],
  },
  {
    what: 'caches',
    clear: ['var/cache/{app-info,cups,PackageKit,samba,swcatalog}', 'var/lib/PackageKit', 'root/.cache'],
  },
  {
    what: 'temporary files, crash reports, core dumps',
    clear: ['tmp', 'var/tmp', 'var/crash', 'var/lib/systemd/coredump'],
  },
  {
    what: 'SSH host keys',
    remove: ['etc/ssh/ssh_host_*', 'etc/dropbear/dropbear_*_host_key', 'etc/dropbear/initramfs/dropbear_*_host_key'],
  },
  { what: 'the machine id', empty: ['etc/machine-id'] },
  {
    what: 'random seeds and the secret of systemd credentials',
    remove: [
      'var/lib/systemd/random-seed',
      'var/lib/systemd/credential.secret',
      'var/lib/urandom/random-seed',
      'var/lib/misc/random-seed',
      'boot/loader/random-seed',
      'boot/efi/loader/random-seed',
    ],
  },
  {
    what: 'the self-made (snakeoil) certificate',
    remove: ['etc/ssl/private/ssl-cert-snakeoil.key', 'etc/ssl/certs/ssl-cert-snakeoil.pem'],
  },
  {
    what: 'network connections with their passwords',
    remove: ['etc/netplan/*-NM-*.yaml', 'etc/wpa_supplicant/*.conf'],
    clear: ['etc/NetworkManager/system-connections', 'var/lib/{NetworkManager,bluetooth,connman,dhcp,dhcpcd,iwd}'],
  },
  {
    what: 'printers, print jobs and their keys',
    remove: ['etc/cups/{printers,classes,subscriptions}.conf*', 'etc/cups/passwd.md5', 'etc/printcap'],
    clear: ['etc/cups/{ppd,ssl}', 'var/spool/cups'],
  },
  {
    what: 'passwords that debconf keeps',
    remove: ['var/cache/debconf/*.dat-old'],
    empty: ['var/cache/debconf/passwords.dat'],
  },
  {
    what: "backups of the server's name servers",
    remove: ['etc/resolv.conf{-,~}', 'etc/resolv.conf.*', 'etc/resolvconf/resolv.conf.d/original'],
  },
  {
    what: "names of this machine's network and optical devices",
    remove: ['etc/udev/rules.d/70-persistent-{net,cd}.rules'],
  },
  {
    what: 'histories of shells and programs',
    remove: ['root/.*_history', 'root/.{lesshst,viminfo,wget-hsts,xsession-errors,Xauthority,ICEauthority}'],
  },
  {
    what: 'keys, tokens and passwords of root',
    remove: [
      'root/.ssh/{id_*,identity,*.pem,*.key,known_hosts*}',
      'root/.{netrc,git-credentials,npmrc,pypirc,pgpass,my.cnf,smbcredentials,vault-token}',
      'root/.{aws,azure,kube,docker,gnupg,password-store}',
      'root/.config/{gh,glab-cli,gcloud,rclone,hub,doctl}',
      'root/.local/share/keyrings',
    ],
  },
  {
    what: 'what services remember of people',
    remove: ['var/lib/samba/private/passdb.tdb', 'var/lib/samba/passdb.tdb'],
    clear: [
      'var/lib/AccountsService/{users,icons}',
      'var/lib/lightdm-data',
      'var/lib/sss/{db,mc,secrets}',
      'var/lib/sudo',
      'var/spool/cron/{atjobs,atspool}',
    ],
  },
];

/** `a{b,c}d` → `abd`, `acd`, as a shell does it: fnmatch(3) knows no braces. */
export function withoutBraces(pattern: string): string[] {
  const [, before, list, after] = /^([^{]*)\{([^{}]*)\}(.*)$/s.exec(pattern) ?? [];
  if (before === undefined || list === undefined || after === undefined) return [pattern];
  return list.split(',').flatMap((choice) => withoutBraces(`${before}${choice}${after}`));
}
