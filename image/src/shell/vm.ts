/**
 * A KeelOS machine in QEMU: started, watched, ended. Used by `keel-image run`, `npm run vm`, quickstart, tests and
 * benchmarks alike.
 */
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Announcement } from '@keelos/proto/console.ts';
import { parseAnnouncement } from '@keelos/proto/console.ts';
import { API_PORT } from '@keelos/proto/node-paths.ts';
import type { Accelerator } from '../core/qemu-command.ts';
import { CPU_MODELS, qemuCommand, shellQuoted } from '../core/qemu-command.ts';
import { chooseAccelerator } from '../sys/kvm-probe.ts';
import {
  freePort,
  isRunning,
  killProcess,
  startDetached,
  waitForEnd,
} from '../sys/qemu-process.ts';
import { qmpCommand } from '../sys/qmp.ts';
import type { VmState } from '../sys/vm-files.ts';
import {
  ensureFirmwareVars,
  ensureFolder,
  ensureOverlay,
  FIRMWARE_CODE,
  fileSize,
  makeEmptyFile,
  readFrom,
  readState,
  readTail,
  removeSocket,
  socketPath,
  VM_FILES,
  writeCommand,
  writeState,
} from '../sys/vm-files.ts';
import type { WaitOptions } from './console-watch.ts';
import { watchConsole } from './console-watch.ts';

const MIB = 1024 ** 2;
const POLL_MS = 100;
const START_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 10_000;
const MEMORY_MIB_DEFAULT = 1024;
const CPUS_DEFAULT = 2;
const DISK_BYTES_DEFAULT = 4096 * MIB;

/** How to start a machine. */
export interface VmOptions {
  /** The machine's folder; made when absent. Disk, firmware variables and console log stay there. */
  readonly dir: string;
  /** Disk image. With `overlay` it is not written to. */
  readonly disk: string;
  /** Changes go to a disk of the machine's own in `dir`, kept from start to start. Else `disk` itself is written. */
  readonly overlay: boolean;
  /** Format of `disk` without an overlay. */
  readonly diskFormat?: 'raw' | 'qcow2';
  /** Size of the overlay when it is made; at least that of `disk`. */
  readonly diskSizeBytes?: number;
  /** Port on 127.0.0.1 that leads to the API; a free one when absent or 0. */
  readonly apiPort?: number;
  readonly memoryMiB?: number;
  readonly cpus?: number;
  /** Processor that the machine sees; the one for the accelerator when absent. */
  readonly cpuModel?: string;
  readonly accelerator?: Accelerator;
  /** Variables file of the firmware to start from, the first time. */
  readonly firmwareVars?: string;
  /** What the real-time clock says at the start: a date, "utc" when absent. */
  readonly rtc?: string;
  /** The machine has a hardware watchdog; true when absent. */
  readonly watchdog?: boolean;
  /** A new file that gets every write and flush of the disk (dm-log-writes format). */
  readonly writeLog?: string;
  /** QEMU ends where the machine would restart. */
  readonly noReboot?: boolean;
  readonly extraArgs?: readonly string[];
  /** The machine goes on when this process ends. Else it is killed with it, even when this one is killed. */
  readonly detached?: boolean;
}

/** A started machine. */
export class Vm {
  readonly dir: string;
  readonly #state: VmState;

  constructor(dir: string, state: VmState) {
    this.dir = dir;
    this.#state = state;
  }

  get pid(): number {
    return this.#state.process.pid;
  }

  /** Port on 127.0.0.1. */
  get apiPort(): number {
    return this.#state.apiPort;
  }

  get endpoint(): string {
    return `127.0.0.1:${this.apiPort}`;
  }

  get accelerator(): Accelerator {
    return this.#state.accelerator;
  }

  /** Path of the console log. Every start appends. */
  get consoleLog(): string {
    return join(this.dir, VM_FILES.console);
  }

  /** The QEMU command, to repeat by hand in {@link dir}. */
  get commandLine(): string {
    return shellQuoted(this.#state.command);
  }

  /** A part of the console log, as long as it is there. */
  consoleBytes(from: number, bytesMax: number): Promise<Buffer> {
    return readFrom(this.consoleLog, from, bytesMax);
  }

  /** Offset in the console log at which this start begins. */
  get consoleOffset(): number {
    return this.#state.consoleOffset;
  }

  /** What the machine has printed since this start, or from `fromOffset` of the log on. */
  consoleText(fromOffset = this.consoleOffset): Promise<string> {
    return readTail(this.consoleLog, fromOffset);
  }

  isRunning(): Promise<boolean> {
    return isRunning(this.#state.process);
  }

  /**
   * Waits until the console shows a match, since this start or from `fromOffset` on.
   *
   * @throws KeelError E_TIMEOUT, with the end of the console and the QEMU command.
   */
  waitForConsole(
    pattern: RegExp,
    options: WaitOptions & { readonly fromOffset?: number },
  ): Promise<RegExpExecArray> {
    // A global pattern would remember where it stopped.
    const stateless = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''));
    return watchConsole(
      this,
      { ...options, what: String(pattern) },
      (text) => stateless.exec(text) ?? undefined,
    );
  }

  /**
   * Waits for what the node says about itself: addresses, fingerprint, token.
   *
   * @throws KeelError E_TIMEOUT as {@link waitForConsole}.
   */
  announcement(options: WaitOptions & { readonly fromOffset?: number }): Promise<Announcement> {
    return watchConsole(this, { ...options, what: 'the announcement' }, parseAnnouncement);
  }

  /** One QMP command; returns its result. */
  qmp(execute: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    const request = args === undefined ? { execute } : { execute, arguments: args };
    return qmpCommand(this.#state.qmpSocket, request);
  }

  /** Presses the ACPI power button. */
  async powerButton(): Promise<void> {
    await this.qmp('system_powerdown');
  }

  /** Presses Ctrl-Alt-Del. */
  async ctrlAltDel(): Promise<void> {
    const keys = ['ctrl', 'alt', 'delete'].map((data) => ({ type: 'qcode', data }));
    await this.qmp('send-key', { keys });
  }

  /** The reset button: no warning to the node. */
  async reset(): Promise<void> {
    await this.qmp('system_reset');
  }

  /** Pulls the plug. */
  async kill(): Promise<void> {
    await killProcess(this.#state.process, KILL_TIMEOUT_MS);
    await removeSocket(this.#state.qmpSocket);
  }

  /** Waits until the machine is off; false when it is not in time. */
  async waitForExit(options: WaitOptions): Promise<boolean> {
    const isOff = await waitForEnd(this.#state.process, options);
    if (isOff) await removeSocket(this.#state.qmpSocket);
    return isOff;
  }
}

async function waitForQmp(vm: Vm, qemuLog: string): Promise<void> {
  const deadline = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const problem = await vm.qmp('query-status').then(
      () => undefined,
      (error: Error) => error,
    );
    if (problem === undefined) return;
    const running = await vm.isRunning();
    if (running && performance.now() < deadline) {
      await delay(POLL_MS);
      continue;
    }
    await vm.kill();
    const said = (await readTail(qemuLog, 0)).trim();
    throw new Error(
      `Cannot start QEMU: ${said === '' ? problem.message : said}\n${vm.commandLine}`,
      {
        cause: problem,
      },
    );
  }
}

/**
 * Starts a machine, and returns when QEMU runs: the node is then still in its firmware.
 *
 * @throws Error when one is running in `dir`, or QEMU does not start: with its words and the command.
 */
export async function startVm(options: VmOptions): Promise<Vm> {
  const dir = resolve(options.dir);
  const disk = resolve(options.disk);
  await ensureFolder(dir);
  if ((await attach(dir)) !== undefined) {
    throw new Error(`Cannot start a machine in ${dir}: one is running there`);
  }
  const sizeBytes = options.diskSizeBytes ?? DISK_BYTES_DEFAULT;
  if (options.overlay) await ensureOverlay(join(dir, VM_FILES.disk), { base: disk, sizeBytes });
  await ensureFirmwareVars(join(dir, VM_FILES.vars), options.firmwareVars);
  if (options.writeLog !== undefined) await makeEmptyFile(resolve(options.writeLog));
  const accelerator = options.accelerator ?? (await chooseAccelerator());
  const apiPort =
    options.apiPort === undefined || options.apiPort === 0 ? await freePort() : options.apiPort;
  const qmpSocket = await socketPath();
  const command = qemuCommand({
    accelerator,
    memoryMiB: options.memoryMiB ?? MEMORY_MIB_DEFAULT,
    cpus: options.cpus ?? CPUS_DEFAULT,
    cpuModel: options.cpuModel ?? CPU_MODELS[accelerator],
    firmwareCode: FIRMWARE_CODE,
    firmwareVars: VM_FILES.vars,
    disk: options.overlay ? VM_FILES.disk : disk,
    diskFormat: options.overlay ? 'qcow2' : (options.diskFormat ?? 'raw'),
    consoleLog: VM_FILES.console,
    qmpSocket,
    apiPort,
    guestPort: API_PORT,
    ...(options.rtc === undefined ? {} : { rtc: options.rtc }),
    noReboot: options.noReboot ?? false,
    watchdog: options.watchdog ?? true,
    ...(options.writeLog === undefined ? {} : { writeLog: resolve(options.writeLog) }),
    extraArgs: options.extraArgs ?? [],
  });
  await writeCommand(dir, shellQuoted(command));
  const consoleOffset = await fileSize(join(dir, VM_FILES.console));
  const qemuLog = join(dir, VM_FILES.qemuLog);
  const known = { apiPort, qmpSocket, consoleOffset, accelerator, command };
  await writeState(dir, { ...known, process: null });
  const started = await startDetached(command, {
    cwd: dir,
    logPath: qemuLog,
    outlivesUs: options.detached ?? false,
  });
  const state = { ...known, process: started };
  await writeState(dir, state);
  const vm = new Vm(dir, state);
  await waitForQmp(vm, qemuLog);
  return vm;
}

/** The machine that runs in a folder; undefined when none does. */
export async function attach(dir: string): Promise<Vm | undefined> {
  const state = await readState(resolve(dir));
  if (state === undefined || !(await isRunning(state.process))) return undefined;
  return new Vm(resolve(dir), state);
}
