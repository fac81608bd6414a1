/**
 * Every watchdog of the machine (Documentation/watchdog/watchdog-api.rst): the hardware's where there is one, and the
 * kernel's own, which counts since the kernel started (command line: softdog.soft_active_on_boot, softdog.soft_margin)
 * and ends a hang before PID 1 has begun.
 *
 * The descriptors are never closed in order ("magic close"), so once they are armed only feeding keeps the machine
 * alive: also while the node goes down.
 */
import { constants, existsSync, openSync, writeSync } from 'node:fs';
import { checked, libcFunction } from './native.ts';

/** A watchdog that counts. */
export interface Watchdog {
  readonly kind: 'hardware' | 'software';
  /** What the device has granted. */
  readonly timeoutSeconds: number;
  /** Starts the count again. Throws Node's error when the device fails. */
  feed(): void;
}

/** An open device, which counts since it was opened. */
export interface WatchdogDevice {
  feed(): void;
  /** ioctl(2) with an int; gives the int back that the driver leaves there. @throws SystemCallError when refused. */
  control(request: number, value: number): number;
  /** Name that the driver gives itself. @throws SystemCallError when refused. */
  identity(): string;
}

const DEVICE = '/dev/watchdog';
const DEVICES_MAX = 8;
/** _IOWR('W', 6, int). */
const WDIOC_SETTIMEOUT = 0xc0045706;
/** _IOR('W', 7, int). */
const WDIOC_GETTIMEOUT = 0x80045707;
/** _IOR('W', 0, struct watchdog_info): options, firmware version, and 32 bytes of name. */
const WDIOC_GETSUPPORT = 0x80285700;
const IDENTITY_OFFSET = 8;
const INFO_BYTES = 40;
/** What drivers/watchdog/softdog.c calls itself. */
const SOFTWARE_IDENTITY = 'Software Watchdog';
/** The software one bites first: it panics, which leaves traces; the hardware resets without a word. */
export const SOFTWARE_EARLIER_SECONDS = 10;
/** Assumed of a device that says nothing: shorter than any that is known, so that it is fed often enough. */
const ASSUMED_SECONDS = 10;

const ioctl = libcFunction('int ioctl(int descriptor, unsigned long request, void *argument)');

/**
 * Arms every watchdog, to be fed as one: "hardware" when one of them is.
 *
 * @throws Node's error with `code` when there is none.
 */
export function armWatchdogs(
  timeoutSeconds: number,
  opens: readonly (() => WatchdogDevice)[] = presentDevices(),
): Watchdog {
  const armed: Watchdog[] = [];
  let failure: unknown;
  for (const open of opens) {
    try {
      armed.push(armWatchdog(timeoutSeconds, open));
    } catch (error) {
      failure ??= error;
    }
  }
  if (armed.length === 0) throw failure;
  return {
    kind: armed.some(({ kind }) => kind === 'hardware') ? 'hardware' : 'software',
    timeoutSeconds: Math.min(...armed.map((one) => one.timeoutSeconds)),
    feed() {
      const failures: unknown[] = [];
      for (const one of armed) {
        try {
          one.feed();
        } catch (error) {
          failures.push(error);
        }
      }
      // One that fails must not starve the others.
      if (failures.length > 0) throw failures[0];
    },
  };
}

function presentDevices(): readonly (() => WatchdogDevice)[] {
  const paths = Array.from({ length: DEVICES_MAX }, (_, index) => `${DEVICE}${index}`);
  const present = paths.filter((path) => existsSync(path));
  // Where there is none, opening the first says so.
  return (present.length > 0 ? present : paths.slice(0, 1)).map((path) => () => openWatchdog(path));
}

/**
 * Arms a watchdog. A device that refuses the time-out keeps its own.
 *
 * @throws Node's error with `code` when it cannot be opened. Once it counts nothing is thrown: somebody has to feed it.
 */
export function armWatchdog(timeoutSeconds: number, open: () => WatchdogDevice): Watchdog {
  const device = open();
  try {
    // It counts from here on, with whatever time-out it was left with.
    device.feed();
  } catch {
    // The regular feeding meets the same failure, and tells it.
  }
  const kind = kindOf(device);
  const wantedSeconds =
    kind === 'software' ? timeoutSeconds - SOFTWARE_EARLIER_SECONDS : timeoutSeconds;
  return {
    kind,
    timeoutSeconds:
      granted(device, WDIOC_SETTIMEOUT, wantedSeconds) ??
      granted(device, WDIOC_GETTIMEOUT, 0) ??
      ASSUMED_SECONDS,
    feed: () => device.feed(),
  };
}

function kindOf(device: WatchdogDevice): Watchdog['kind'] {
  try {
    return device.identity() === SOFTWARE_IDENTITY ? 'software' : 'hardware';
  } catch {
    // The software one always tells its name.
    return 'hardware';
  }
}

function granted(device: WatchdogDevice, request: number, value: number): number | undefined {
  try {
    const seconds = device.control(request, value);
    return seconds > 0 ? seconds : undefined;
  } catch {
    return undefined;
  }
}

/** Opens a watchdog, which arms it. */
export function openWatchdog(path: string): WatchdogDevice {
  // Not "w", which makes a file where there is no device.
  const descriptor = openSync(path, constants.O_WRONLY);
  return {
    // Any byte but "V", which would ask for a magic close.
    feed: () => void writeSync(descriptor, '\0'),
    control(request, value) {
      const argument = Buffer.alloc(4);
      argument.writeInt32LE(value);
      checked('control the watchdog', ioctl()(descriptor, request, argument));
      return argument.readInt32LE(0);
    },
    identity() {
      const info = Buffer.alloc(INFO_BYTES);
      checked('identify the watchdog', ioctl()(descriptor, WDIOC_GETSUPPORT, info));
      const name = info.subarray(IDENTITY_OFFSET);
      return name.toString('latin1', 0, Math.max(0, name.indexOf(0)));
    },
  };
}
