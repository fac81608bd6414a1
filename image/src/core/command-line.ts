/**
 * The kernel command line of an image: the verity device over the slot, and how the kernel behaves.
 */
import { slotGuid } from '@keelos/proto/guid.ts';

/** Bytes in a block of root file system and hash tree alike. */
export const VERITY_BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;

/** The hash tree of a root file system. */
export interface VerityFacts {
  /** Size of the file system with its padding: a multiple of {@link VERITY_BLOCK_BYTES}. */
  readonly dataBytes: number;
  /** SHA-256, hex. */
  readonly rootHash: string;
  /** Hex. */
  readonly salt: string;
}

/**
 * A flipped byte restarts the machine instead of reaching a program, by a panic: that leaves its reason in the firmware's
 * variables, where a plain restart leaves nothing. A block whose hashes are in memory is verified where the read ends,
 * not handed to a worker on another processor (measured: docs/decisions/0007-start-up.md).
 */
const VERITY_OPTIONS = ['panic_on_corruption', 'try_verify_in_tasklet'];

/**
 * Options that do not depend on the root, in the order in which they are passed, each with its reason.
 */
export const KERNEL_OPTIONS: readonly { readonly option: string; readonly reason: string }[] = [
  { option: 'root=/dev/dm-0', reason: 'the verity device that dm-mod.create makes' },
  { option: 'rootfstype=squashfs', reason: 'no guessing of the file system' },
  { option: 'ro', reason: 'nothing writes to the root' },
  { option: 'rootwait', reason: 'disks may appear late' },
  { option: 'init=/sbin/init', reason: 'keel as PID 1' },
  { option: 'gpt', reason: 'the backup partition table counts when the primary one is torn' },
  {
    option: 'MALLOC_ARENA_MAX=1',
    reason: 'what the kernel does not know becomes the environment of PID 1: one malloc arena',
  },
  { option: 'MALLOC_TRIM_THRESHOLD_=65536', reason: 'freed memory of PID 1 goes back at once' },
  { option: 'lockdown=integrity', reason: 'even root cannot change the running kernel' },
  { option: 'panic=10', reason: 'a panic reboots, after ten seconds to read it' },
  {
    option: 'softdog.soft_active_on_boot=1',
    reason: 'a hang before PID 1 ends too, for example the wait for a slot that is not there',
  },
  { option: 'softdog.soft_panic=1', reason: 'a hang leaves the traces of a crash' },
  {
    option: 'softdog.soft_margin=120',
    reason: 'so many seconds the kernel has to start PID 1, which feeds it from then on',
  },
  { option: 'ip=dhcp', reason: 'first address without a DHCP client of our own' },
  { option: 'console=tty0', reason: 'screen, for a person at the machine' },
  { option: 'console=ttyS0,115200', reason: 'serial line, and /dev/console: it comes last' },
];

/**
 * Command line for one root. It names its slot by {@link slotGuid}, so it is right in either slot.
 *
 * dm-verity target: Documentation/admin-guide/device-mapper/verity.rst; dm-mod.create: dm-init.rst.
 */
export function kernelCommandLine(verity: VerityFacts): string {
  if (verity.dataBytes % VERITY_BLOCK_BYTES !== 0) throw new RangeError('data is not padded');
  const device = `PARTUUID=${slotGuid(verity.rootHash)}`;
  const blocks = verity.dataBytes / VERITY_BLOCK_BYTES;
  const target = [
    ...['0', verity.dataBytes / SECTOR_BYTES, 'verity', 1, device, device],
    ...[VERITY_BLOCK_BYTES, VERITY_BLOCK_BYTES, blocks, blocks, 'sha256'],
    ...[verity.rootHash, verity.salt, VERITY_OPTIONS.length, ...VERITY_OPTIONS],
  ].join(' ');
  return [
    `dm-mod.create="root,,,ro,${target}"`,
    `dm-mod.waitfor=${device}`,
    ...KERNEL_OPTIONS.map(({ option }) => option),
    `keel.slot-hash=${verity.rootHash}`,
  ].join(' ');
}
