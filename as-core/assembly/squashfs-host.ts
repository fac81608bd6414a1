// What the SquashFS reader asks of the world, the places of faults, and the bound on its work.
import { STATUS_OK, STATUS_SQUASHFS_READ_FAILED, STATUS_SQUASHFS_TOO_MUCH_WORK } from './status';

// Reads exactly `length` bytes at `offset` of the image to `pointer`: 0, or a status.
@external("host", "read")
declare function hostRead(offset: u64, pointer: usize, length: u32): i32;

// Decodes a zstd frame to at most `targetMax` bytes: the length, or a status as a negative number.
@external("host", "decode")
declare function hostDecode(source: usize, sourceLength: u32, target: usize, targetMax: u32): i32;

/** Where in the image the last fault was seen; 0 when it has no place. */
export let faultAt: u64 = 0;
/** Number of the inode that the last fault belongs to; 0 for none. */
export let faultInode: u32 = 0;
let workLeft: u64 = 0;

/** Begins a job that may read and decode `bytes` bytes in all. */
export function beginWork(bytes: u64): void {
  workLeft = bytes;
  faultAt = 0;
  faultInode = 0;
}

/** Counts work; refused when the job has used up what it may. */
export function spend(bytes: u64): i32 {
  if (bytes > workLeft) return STATUS_SQUASHFS_TOO_MUCH_WORK;
  workLeft -= bytes;
  return STATUS_OK;
}

/** Remembers the inode at work. */
export function noteInode(number: u32): void {
  faultInode = number;
}

/** Remembers the place at work. */
export function notePlace(offset: u64): void {
  faultAt = offset;
}

/** Reads from the image. */
export function readImage(offset: u64, pointer: usize, length: u32): i32 {
  faultAt = offset;
  return hostRead(offset, pointer, length) == 0 ? STATUS_OK : STATUS_SQUASHFS_READ_FAILED;
}

/** Decodes: the length, or a negative status of the decoder. */
export function decode(source: usize, sourceLength: u32, target: usize, targetMax: u32): i32 {
  return hostDecode(source, sourceLength, target, targetMax);
}
