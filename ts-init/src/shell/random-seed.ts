/**
 * Carries randomness over a reboot.
 *
 * The seed is mixed into the kernel's pool and not credited: two copies of a disk would start with the same one. Where
 * the processor or a virtio device gives randomness the kernel does not need it; where neither does, it still makes
 * two boots of the same machine differ.
 */
import type { Machine } from './machine.ts';

const SEED_FILE = '/var/lib/keel/random-seed';
const URANDOM = '/dev/urandom';
const SEED_BYTES = 512;
const SEED_MODE = 0o600;

/** Mixes the stored seed in and replaces it at once, so that it is never used twice. */
export async function loadRandomSeed(machine: Machine): Promise<void> {
  if (machine.files.exists(SEED_FILE)) {
    const seed = machine.files.readBytes(SEED_FILE);
    machine.files.writeKernelFile(URANDOM, seed.subarray(0, SEED_BYTES));
  }
  await saveRandomSeed(machine);
}

/** Stores a seed for the next boot. */
export async function saveRandomSeed(machine: Machine): Promise<void> {
  await machine.files.replaceDurably(SEED_FILE, machine.randomBytes(SEED_BYTES), SEED_MODE);
}
