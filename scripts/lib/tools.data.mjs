// What must be on the machine, from which Debian package, and why. Nothing here ends up in the image.

/** @typedef {import('./apt.mjs').Tool} Tool */

/**
 * For `quickstart`: to build the image and to run it.
 * @type {readonly Tool[]}
 */
export const BASE_TOOLS = [
  { command: 'qemu-system-x86_64', package: 'qemu-system-x86', why: 'runs the node' },
  { command: 'qemu-img', package: 'qemu-utils', why: 'makes the virtual disk of a node' },
  { file: '/usr/share/OVMF/OVMF_CODE_4M.fd', package: 'ovmf', why: 'UEFI firmware of the node' },
  { command: 'mke2fs', package: 'e2fsprogs', why: 'makes the empty state partition' },
  { command: 'strip', package: 'binutils', why: 'takes symbols out of the programs of the image' },
  { command: 'flock', package: 'util-linux', why: 'keeps two builds apart' },
  { command: 'dpkg-deb', package: 'dpkg', why: 'unpacks the packages that go into the image' },
  { command: 'git', package: 'git', why: 'tells which files belong to the checkout' },
];

/**
 * For `npm test` besides: other people's tools that judge what we wrote.
 * @type {readonly Tool[]}
 */
export const TEST_TOOLS = [
  { command: 'veritysetup', package: 'cryptsetup-bin', why: 'judges our hash trees' },
  { command: 'sgdisk', package: 'gdisk', why: 'checks the partition table' },
  {
    command: 'mksquashfs',
    package: 'squashfs-tools',
    why: 'writes what we read, reads what we write',
  },
  { command: 'sqfs2tar', package: 'squashfs-tools-ng', why: 'reads the SquashFS that we wrote' },
  { command: 'mcopy', package: 'mtools', why: 'reads the EFI system partition' },
  { command: 'fsck.vfat', package: 'dosfstools', why: 'checks the EFI system partition' },
  { command: 'jq', package: 'jq', why: 'reads JSON in the commands that the docs show' },
  { command: 'openssl', package: 'openssl', why: 'makes client certificates that must be refused' },
  { command: 'python3', package: 'python3', why: 'runs wasmtime, the second host of keel-verify' },
  {
    command: 'pip3',
    package: 'python3-pip',
    why: 'installs wasmtime and virt-firmware into the cache',
  },
  { command: 'go', package: 'golang-go', why: 'builds grpcurl, the stranger that calls the API' },
];

/** The last version that Debian 12's own Go can build. */
export const GRPCURL = {
  module: 'github.com/fullstorydev/grpcurl/cmd/grpcurl',
  version: 'v1.8.9',
};
