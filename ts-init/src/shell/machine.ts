/**
 * Everything that PID 1 touches, in one place: the real machine in main.ts, fakes in tests.
 */
import type { BlockDevices } from '../sys/block-device.ts';
import type { Clock } from '../sys/clock.ts';
import type { Files } from '../sys/files.ts';
import type { KernelLogReader } from '../sys/kernel-log-reader.ts';
import type { KernelLog } from '../sys/kmsg.ts';
import type { LogFiles } from '../sys/log-file.ts';
import type { Netlink } from '../sys/netlink-socket.ts';
import type { Processes } from '../sys/processes.ts';
import type { Syscalls } from '../sys/syscalls.ts';
import type { HashBlocks } from '../sys/verity-hash.ts';
import type { Watchdog } from '../sys/watchdog.ts';

/** The ports. */
export interface Machine {
  readonly files: Files;
  readonly logFiles: LogFiles;
  readonly syscalls: Syscalls;
  readonly blockDevices: BlockDevices;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: KernelLog;
  readonly kernelLogReader: KernelLogReader;
  openNetlink(): Netlink;
  armWatchdog(timeoutSeconds: number): Watchdog;
  /** Names of the devices listened to. */
  listenPowerButton(pressed: () => void): readonly string[];
  readonly hashBlocks: HashBlocks;
  randomBytes(lengthBytes: number): Buffer;
}

/** Monotonic milliseconds, as the supervisor takes them. */
export function monotonicMs(machine: Machine): number {
  return machine.clock.monotonicUs() / 1000;
}

/** Message of anything thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** `code` of Node's and our own system errors; empty when there is none. */
export function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return typeof code === 'string' ? code : '';
}

/** Settles with `work`, or with "timeout" after `boundMs`. What `work` does later is ignored. */
export function bounded<T>(
  clock: Clock,
  boundMs: number,
  work: Promise<T>,
): Promise<T | 'timeout'> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(boundMs, () => resolve('timeout'));
    work.then(resolve, reject).finally(cancel);
  });
}
