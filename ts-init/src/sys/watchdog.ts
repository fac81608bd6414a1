/**
 * The hardware watchdog (Documentation/watchdog/watchdog-api.rst).
 *
 * The descriptor is never closed in order ("magic close"), so once it is armed only feeding keeps the machine alive:
 * also while the node goes down.
 */
import { openSync, writeSync } from 'node:fs';
import { checked, libcFunction } from './native.ts';

/** A watchdog that counts. */
export interface Watchdog {
  readonly timeoutSeconds: number;
  /** Starts the count again. Throws Node's error when the device fails. */
  feed(): void;
}

const DEVICE = '/dev/watchdog0';
/** _IOWR('W', 6, int). */
const WDIOC_SETTIMEOUT = 0xc0045706;

const ioctl = libcFunction('int ioctl(int descriptor, unsigned long request, void *argument)');

/**
 * Arms the watchdog.
 *
 * @throws Node's error with `code` when there is none; a device that refuses the time-out keeps its own.
 */
export function armWatchdog(timeoutSeconds: number): Watchdog {
  const descriptor = openSync(DEVICE, 'w');
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(timeoutSeconds);
  checked('set watchdog time-out', ioctl()(descriptor, WDIOC_SETTIMEOUT, argument));
  return {
    timeoutSeconds: argument.readInt32LE(0),
    // Any byte but "V", which would ask for a magic close.
    feed: () => void writeSync(descriptor, '\0'),
  };
}
