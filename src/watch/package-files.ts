/**
 * The files by which dpkg and apt show that packages change, by directory, relative to the chroot. `info` and `updates`
 * in dpkg's directory change thousands of times in one run; its end shows in `status` all the same.
 */
export const PACKAGE_FILES: readonly { directory: string; names: readonly string[] }[] = [
  { directory: 'var/lib/dpkg', names: ['status', 'arch', 'diversions', 'statoverride'] },
  { directory: 'var/log', names: ['dpkg.log'] },
  { directory: 'var/lib/apt', names: ['extended_states'] },
];
