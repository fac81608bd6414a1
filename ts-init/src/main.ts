/**
 * PID 1 of KeelOS.
 */
import { VERIFIER_NAME } from '@keelos/proto/verifier.ts';
import { SERVICE_ENVIRONMENT } from './core/services.data.ts';
import { runInit } from './shell/init.ts';
import { linuxBlockDevices } from './sys/block-device.ts';
import { linuxClock } from './sys/clock.ts';
import { linuxFiles } from './sys/files.ts';
import { kernelLogReader } from './sys/kernel-log-reader.ts';
import { createKernelLog } from './sys/kmsg.ts';
import { serveLines } from './sys/line-server.ts';
import { linuxLogFiles } from './sys/log-file.ts';
import { openNetlink } from './sys/netlink-socket.ts';
import { listenPowerButton } from './sys/power-button.ts';
import { createLinuxProcesses } from './sys/processes.ts';
import { freshRandom } from './sys/random.ts';
import { listenBugs, listenSignals } from './sys/signals.ts';
import { linuxSyscalls } from './sys/syscalls.ts';
import { blockHasher } from './sys/verity-hash.ts';
import { armWatchdogs } from './sys/watchdog.ts';

/** Boots the node and keeps it alive. Never rejects, and never lets the process end. */
export async function main(): Promise<void> {
  const processes = createLinuxProcesses();
  const machine = {
    files: linuxFiles,
    logFiles: linuxLogFiles,
    syscalls: linuxSyscalls,
    blockDevices: linuxBlockDevices,
    processes,
    clock: linuxClock,
    log: createKernelLog(),
    kernelLogReader: kernelLogReader(),
    openNetlink,
    armWatchdog: armWatchdogs,
    listenPowerButton,
    hashBlocks: blockHasher({
      processes,
      program: { executable: process.execPath, argv0: VERIFIER_NAME, args: [] },
      environment: SERVICE_ENVIRONMENT,
    }),
    randomBytes: freshRandom,
  };
  await runInit({ machine, listenBugs, listenSignals, serveLines });
}
