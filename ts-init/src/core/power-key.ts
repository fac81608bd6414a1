/**
 * Was the power button pressed? Reads struct input_event of 64-bit Linux (linux/input.h):
 *
 *     0        8        16    18    20      24
 *     | sec    | usec   |type |code |value  |
 */

/** Size of one event. */
export const INPUT_EVENT_BYTES = 24;
const EV_KEY = 1;
const KEY_POWER = 116;
const PRESSED = 1;

/** True when one of the whole events in `bytes` is the power key going down. */
export function hasPowerPress(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + INPUT_EVENT_BYTES <= bytes.length; at += INPUT_EVENT_BYTES) {
    const isPower =
      view.getUint16(at + 16, true) === EV_KEY && view.getUint16(at + 18, true) === KEY_POWER;
    if (isPower && view.getInt32(at + 20, true) === PRESSED) return true;
  }
  return false;
}

/** True when a device's capabilities/key bitmap (words of 64 bits, highest first, hexadecimal) has KEY_POWER. */
export function canPressPower(keyBitmap: string): boolean {
  const words = keyBitmap.trim().split(/\s+/).reverse();
  const word = words[Math.floor(KEY_POWER / 64)];
  if (word === undefined || !/^[0-9a-f]{1,16}$/.test(word)) return false;
  return ((BigInt(`0x${word}`) >> BigInt(KEY_POWER % 64)) & 1n) === 1n;
}
