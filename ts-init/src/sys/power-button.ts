/**
 * The power button: input devices that can send KEY_POWER.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, readSync } from 'node:fs';
import { canPressPower, hasPowerPress, INPUT_EVENT_BYTES } from '../core/power-key.ts';
import { pollReadable } from './native.ts';

const CLASS = '/sys/class/input';
const EVENTS_MAX = 64;
const READS_MAX = 64;

/**
 * Calls back whenever a power button is pressed.
 *
 * @returns the devices that are listened to, for example ["event0"]; empty when there is none.
 */
export function listenPowerButton(pressed: () => void): readonly string[] {
  const devices = eventDevices().filter((name) => {
    const bitmap = readFileSync(`${CLASS}/${name}/device/capabilities/key`, 'utf8');
    return canPressPower(bitmap);
  });
  for (const name of devices) {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    const descriptor = openSync(`/dev/input/${name}`, flags);
    const poll = pollReadable(descriptor, () => {
      const events = readEvents(descriptor);
      if (events === 'gone') {
        poll.close();
        closeSync(descriptor);
      } else if (hasPowerPress(events)) pressed();
    });
  }
  return devices;
}

function eventDevices(): string[] {
  try {
    return readdirSync(CLASS).filter((name) => /^event\d+$/.test(name));
  } catch {
    // A machine without input devices has no such folder.
    return [];
  }
}

/** All events that wait; "gone" when the device was taken away. */
function readEvents(descriptor: number): Buffer | 'gone' {
  const chunks: Buffer[] = [];
  for (let reads = 0; reads < READS_MAX; reads += 1) {
    const chunk = Buffer.alloc(INPUT_EVENT_BYTES * EVENTS_MAX);
    try {
      chunks.push(chunk.subarray(0, readSync(descriptor, chunk)));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return 'gone';
      break;
    }
  }
  return Buffer.concat(chunks);
}
