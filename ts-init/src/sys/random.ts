/**
 * Random bytes.
 */
import { randomBytes } from 'node:crypto';

/** `lengthBytes` bytes from the kernel's generator. */
export function freshRandom(lengthBytes: number): Buffer {
  return randomBytes(lengthBytes);
}
