/** What `--help` prints. */
export const USAGE = `Usage: ltsp-update-image [OPTION]... [CHROOT]...

Makes compressed images of LTSP chroots and publishes them to the clients. A CHROOT is a subdirectory of the base
directory or a full path; without one it is the chroot of this machine's architecture.

  -b, --base=DIR          LTSP's base directory (default: /opt/ltsp)
  -c, --cleanup           remove user accounts, logs, caches and the like from the image, not from the chroot
      --compression=TYPE  gzip, lzo, xz, lz4 or zstd (default: what suits the chroot's kernels)
  -e, --exclude=LIST      leave these files and directories out, too, beside those in
                          /etc/ltsp/ltsp-update-image.excludes; separated by spaces or commas
  -f, --config-nbd        write nbd-server's configuration
  -m, --no-compress       make an image that is not compressed
  -n, --no-backup         do not keep the present image as NAME.img.old
  -r, --revert            swap NAME.img and NAME.img.old
      --all               every chroot in the base directory
  -h, --help              print this and exit
      --version           print the version and exit

See ltsp-update-image(8).
`;
