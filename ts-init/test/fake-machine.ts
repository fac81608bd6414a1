/**
 * A machine made of fakes.
 */
import { createHash } from 'node:crypto';
import type { Machine } from '../src/shell/machine.ts';
import { createFakeBlockDevices, type FakeBlockDevices } from '../src/sys/block-device.fake.ts';
import { createFakeClock, type FakeClock } from '../src/sys/clock.fake.ts';
import { createFakeFiles, type FakeFiles } from '../src/sys/files.fake.ts';
import {
  createFakeKernelLogReader,
  type FakeKernelLogReader,
} from '../src/sys/kernel-log-reader.fake.ts';
import { createFakeKernelLog, type FakeKernelLog } from '../src/sys/kmsg.fake.ts';
import { createFakeLogFiles, type FakeLogFiles } from '../src/sys/log-file.fake.ts';
import { createFakeNetlink, type FakeNetlink } from '../src/sys/netlink-socket.fake.ts';
import { createFakeProcesses, type FakeProcesses } from '../src/sys/processes.fake.ts';
import { createFakeSyscalls, type FakeSyscalls } from '../src/sys/syscalls.fake.ts';

/** All fakes, each with what it shows. */
export interface FakeMachine extends Machine {
  readonly files: FakeFiles;
  readonly logFiles: FakeLogFiles;
  readonly syscalls: FakeSyscalls;
  readonly blockDevices: FakeBlockDevices;
  readonly processes: FakeProcesses;
  readonly clock: FakeClock;
  readonly log: FakeKernelLog;
  readonly kernelLogReader: FakeKernelLogReader;
  /** Answers of the netlink sockets that are opened. */
  netlink: FakeNetlink;
  /** Longest time-out that the watchdog grants. */
  watchdogSecondsMax: number;
  /** How often the watchdog was fed. */
  feeds: number;
  pressPower: () => void;
}

/** A machine with these files. */
export function createFakeMachine(files: Readonly<Record<string, string>> = {}): FakeMachine {
  const machine: FakeMachine = {
    files: createFakeFiles(files),
    logFiles: createFakeLogFiles(),
    syscalls: createFakeSyscalls(),
    blockDevices: createFakeBlockDevices(),
    processes: createFakeProcesses(),
    clock: createFakeClock(),
    log: createFakeKernelLog(),
    kernelLogReader: createFakeKernelLogReader(),
    netlink: createFakeNetlink({ links: [], addresses: [] }),
    watchdogSecondsMax: 60,
    feeds: 0,
    pressPower: () => {},
    openNetlink: () => machine.netlink,
    armWatchdog: (timeoutSeconds) => ({
      kind: 'hardware',
      timeoutSeconds: Math.min(timeoutSeconds, machine.watchdogSecondsMax),
      feed() {
        machine.feeds += 1;
      },
    }),
    listenPowerButton(pressed) {
      machine.pressPower = pressed;
      return ['event0'];
    },
    hashBlocks: async (blocks, salt) =>
      blocks.map((block) => createHash('sha256').update(salt).update(block).digest()),
    randomBytes: (lengthBytes) => Buffer.alloc(lengthBytes, 0xab),
  };
  return machine;
}

/** Lets time pass until a promise settles. */
export async function settleWithTime<T>(machine: FakeMachine, work: Promise<T>): Promise<T> {
  let settled = false;
  work.finally(() => {
    settled = true;
  });
  for (let count = 0; count < 1000 && !settled; count += 1) await machine.clock.advance(100);
  return work;
}
