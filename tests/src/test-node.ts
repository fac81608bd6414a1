/**
 * A node for a test: its own disk, its own osctl contexts, and every way of starting, ending and looking at it.
 *
 * When a test fails, {@link keepEvidence} keeps what it takes to understand and to repeat it.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { BuiltImage } from '@keelos/image/shell/build.ts';
import { startVm, type Vm } from '@keelos/image/shell/vm.ts';
import { fileSize, readTail, VM_FILES } from '@keelos/image/sys/vm-files.ts';
import type { Announcement } from '@keelos/proto/console.ts';
import type { Test } from 'mocha';
import { parse } from 'yaml';
import { findBuiltNode } from '../../scripts/lib/node-image.mjs';
import { ApiClient, type ApiTarget } from './api-client.ts';
import type { ClientCertificate } from './certificate.ts';
import { tool } from './disk.ts';
import { type Ended, runProgram } from './program.ts';

/** Root folder of the checkout. */
export const CHECKOUT = resolve(import.meta.dirname, '../..');

const CONTEXT = 'test';
const BOOT_TIMEOUT_MS = 180_000;
const POWER_OFF_TIMEOUT_MS = 60_000;
const OSCTL_TIMEOUT_MS = 200_000;
const POLL_MS = 100;
const GIB = 1024 ** 3;
const API_PORT = 50051;

/** Health as osctl prints it. */
export interface HealthAnswer {
  readonly healthy: boolean;
  readonly checks: readonly {
    readonly name: string;
    readonly state: string;
    readonly message: string;
    readonly remedy: string;
  }[];
}

/** How to make a node. */
export interface NodeOptions {
  /** Time that the machine's real-time clock starts with: ISO 8601, UTC, without a zone. */
  readonly rtc?: string;
  /** Size of the disk; the image's own size when absent. */
  readonly diskGiB?: number;
  /** Changes the disk before the first boot. */
  readonly prepareDisk?: (disk: string) => Promise<void>;
  /** The machine has a hardware watchdog; true when absent. */
  readonly watchdog?: boolean;
  /** Do not wait for the node: it is not expected to come up. */
  readonly isBroken?: boolean;
  /** Disk to begin with; the image's own when absent. It is copied. */
  readonly disk?: string;
  /** A node that ran before on that disk: this one has its operator, its port and its firmware variables. */
  readonly after?: TestNode;
  /** Firmware variables to begin with instead of those of {@link NodeOptions.after}. They are copied. */
  readonly firmwareVars?: string;
  /** Every start makes a new file of all writes and flushes of the disk: {@link TestNode.writeLog}. */
  readonly hasWriteLog?: boolean;
}

/** A node under test. */
export class TestNode {
  /** How long a boot may take on two emulated machines at a time. */
  static readonly bootTimeoutMs = BOOT_TIMEOUT_MS;

  readonly name: string;
  readonly dir: string;
  readonly image: BuiltImage;
  readonly #options: NodeOptions;
  #vm: Vm | undefined;
  #announcement: Announcement | undefined;
  #apiPort = 0;
  #guestAddress = '';
  #starts = 0;

  private constructor(name: string, of: { dir: string; image: BuiltImage; options: NodeOptions }) {
    this.name = name;
    this.dir = of.dir;
    this.image = of.image;
    this.#options = of.options;
  }

  /** A new node on a disk of its own, booted until it has announced itself. */
  static async boot(name: string, options: NodeOptions = {}): Promise<TestNode> {
    const image = await findBuiltNode();
    const dir = await mkdtemp(join(tmpdir(), `keel-${name}-`));
    const node = new TestNode(name, { dir, image, options });
    try {
      await tool('cp', '--sparse=always', options.disk ?? image.disk, node.disk);
      await tool('chmod', 'u+w', node.disk);
      if (options.after !== undefined) await node.#continue(options.after);
      if (options.diskGiB !== undefined) await truncate(node.disk, options.diskGiB * GIB);
      await options.prepareDisk?.(node.disk);
      await node.start();
    } catch (error) {
      await keepLogs(dir, `${name} boot`);
      await node.destroy();
      throw error;
    }
    return node;
  }

  get disk(): string {
    return join(this.dir, 'disk.raw');
  }
  get target(): ApiTarget {
    return { host: '127.0.0.1', port: this.#apiPort, fingerprint: this.announcement.fingerprint };
  }
  get endpoint(): string {
    return `127.0.0.1:${this.#apiPort}`;
  }
  /** Variables of the firmware; there after the first start. */
  get firmwareVars(): string {
    return join(this.dir, VM_FILES.vars);
  }
  /** Log of the writes since the last start. */
  get writeLog(): string {
    return join(this.dir, `writes-${this.#starts}.log`);
  }
  /** What the console of the present boot said. */
  get announcement(): Announcement {
    if (this.#announcement === undefined) throw new Error(`${this.name} has not announced itself`);
    return this.#announcement;
  }
  get #running(): Vm {
    if (this.#vm === undefined) throw new Error(`${this.name} does not run`);
    return this.#vm;
  }
  get #contexts(): string {
    return join(this.dir, 'osctl.yaml');
  }

  /** Takes over what belongs to a node beside its disk. Both must not run at the same time. */
  async #continue(other: TestNode): Promise<void> {
    this.#apiPort = other.#apiPort;
    await copyFile(other.#contexts, this.#contexts);
    await copyFile(this.#options.firmwareVars ?? other.firmwareVars, this.firmwareVars);
  }

  /** Starts the machine and waits for the announcement, unless the node is meant to be broken. */
  async start(timeoutMs = BOOT_TIMEOUT_MS): Promise<void> {
    const mark = await this.#switchOn();
    if (this.#options.isBroken !== true) await this.awaitAnnouncement(mark, timeoutMs);
  }

  /** Starts the machine and waits no longer than for what its console says. */
  async startUntil(isSeen: (text: string) => boolean): Promise<void> {
    await this.awaitConsole(isSeen, await this.#switchOn());
  }

  /** Returns where the console of this start begins. */
  async #switchOn(): Promise<number> {
    this.#starts += 1;
    this.#vm = await startVm({
      dir: this.dir,
      disk: this.disk,
      overlay: false,
      apiPort: this.#apiPort,
      ...(this.#options.rtc === undefined ? {} : { rtc: this.#options.rtc }),
      watchdog: this.#options.watchdog ?? true,
      ...(this.#options.hasWriteLog === true ? { writeLog: this.writeLog } : {}),
    });
    this.#apiPort = this.#vm.apiPort;
    if (this.#guestAddress !== '') await this.forwardTo(this.#guestAddress);
    return this.#vm.consoleOffset;
  }

  /** Waits until the node has announced itself behind `mark`. */
  async awaitAnnouncement(mark: number, timeoutMs = BOOT_TIMEOUT_MS): Promise<void> {
    const announced = { timeoutMs, fromOffset: mark };
    this.#announcement = await this.#running.announcement(announced);
  }

  /** Size of the console log now: a mark for what comes after. */
  consoleSize(): Promise<number> {
    return fileSize(join(this.dir, VM_FILES.console));
  }

  /** What the console printed from byte `from` on. */
  consoleText(from: number): Promise<string> {
    return readTail(join(this.dir, VM_FILES.console), from);
  }

  /** Waits until what the console printed from byte `from` on is as wanted; returns it. */
  awaitConsole(isWanted: (text: string) => boolean, from = 0): Promise<string> {
    return this.until(BOOT_TIMEOUT_MS, async () => {
      const text = await this.consoleText(from);
      return isWanted(text) ? text : undefined;
    });
  }

  /** Asks again and again until there is an answer. */
  async until<T>(timeoutMs: number, ask: () => Promise<T | undefined>): Promise<T> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const answer = await ask();
      if (answer !== undefined) return answer;
      if (performance.now() > endMs) {
        throw new Error(`${this.name}: waited for ${timeoutMs} ms in vain (${this.dir})`);
      }
      await delay(POLL_MS);
    }
  }

  /** Runs osctl with this node's own contexts. */
  osctl(...args: string[]): Promise<Ended> {
    return this.osctlWithin(OSCTL_TIMEOUT_MS, ...args);
  }

  /** The same for a command that may take long. */
  osctlWithin(timeoutMs: number, ...args: string[]): Promise<Ended> {
    return runProgram(
      join(CHECKOUT, 'node_modules/.bin/node'),
      [join(CHECKOUT, 'osctl/bin/osctl.mjs'), ...args],
      { env: { OSCTL_CONFIG: this.#contexts }, timeoutMs },
    );
  }

  /** What an osctl command that must succeed prints as JSON. */
  async osctlJson<T>(...args: string[]): Promise<T> {
    const { exitCode, stdout, stderr } = await this.osctl(...args, '-o', 'json');
    assert.equal(exitCode, 0, `osctl ${args.join(' ')}: ${stderr}${stdout}`);
    return JSON.parse(stdout) as T;
  }

  /** Health, whether good or bad. */
  async health(): Promise<HealthAnswer> {
    const { exitCode, stdout, stderr } = await this.osctl('health', '-o', 'json');
    assert.ok(exitCode === 0 || exitCode === 7, `osctl health: ${stderr}`);
    return JSON.parse(stdout) as HealthAnswer;
  }

  /** Enrols an operator as a person would, with what the console shows. */
  bootstrap(options: { fingerprint?: string } = {}): Promise<Ended> {
    const { fingerprint, token = '' } = this.announcement;
    return this.osctl(
      ...['init', 'bootstrap', '--endpoint', this.endpoint, '--context', CONTEXT],
      ...['--fingerprint', options.fingerprint ?? fingerprint, '--token', token],
    );
  }

  /** The enrolled operator's certificate, out of osctl's contexts file. */
  async operator(): Promise<ClientCertificate> {
    const file = parse(await readFile(this.#contexts, 'utf8'));
    const { certificate, key } = file.contexts[CONTEXT];
    return { certificatePem: certificate, keyPem: key };
  }

  /** A client of our own with the enrolled certificate. */
  async enrolledClient(): Promise<ApiClient> {
    return ApiClient.connect(this.target, await this.operator());
  }

  /** The enrolled certificate and key as files, for programs that want files. */
  async credentialFiles(): Promise<{ certificateFile: string; keyFile: string }> {
    const { certificatePem, keyPem } = await this.operator();
    const certificateFile = join(this.dir, 'operator.crt');
    const keyFile = join(this.dir, 'operator.key');
    await writeFile(certificateFile, certificatePem);
    await writeFile(keyFile, keyPem, { mode: 0o600 });
    return { certificateFile, keyFile };
  }

  /** Leads the API port to another address of the guest than the one that QEMU's DHCP gives out. */
  async forwardTo(address: string): Promise<void> {
    this.#guestAddress = address;
    const own = `tcp:127.0.0.1:${this.#apiPort}`;
    const monitor = (line: string) =>
      this.#running.qmp('human-monitor-command', { 'command-line': line });
    await monitor(`hostfwd_remove net ${own}`);
    await monitor(`hostfwd_add net ${own}-${address}:${API_PORT}`);
  }

  pressPowerButton(): Promise<void> {
    return this.#running.powerButton();
  }

  pressCtrlAltDel(): Promise<void> {
    return this.#running.ctrlAltDel();
  }

  /** Pulls the plug: SIGKILL to QEMU. */
  async cutPower(): Promise<void> {
    await this.#vm?.kill();
    this.#vm = undefined;
  }

  /** Waits until the machine has powered itself off. */
  async awaitPowerOff(): Promise<void> {
    const isOff = await this.#running.waitForExit({ timeoutMs: POWER_OFF_TIMEOUT_MS });
    if (!isOff) throw new Error(`${this.name} did not power off in ${POWER_OFF_TIMEOUT_MS} ms`);
    this.#vm = undefined;
  }

  /** Ends the machine and removes everything that it left. */
  async destroy(): Promise<void> {
    await this.cutPower();
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** Keeps the logs of a node when the test has failed, and says how to repeat it. For `afterEach`. */
export async function keepEvidence(
  node: TestNode | undefined,
  test: Test | undefined,
): Promise<void> {
  if (node !== undefined && test?.state === 'failed') await keepLogs(node.dir, test.fullTitle());
}

/** Copies console log and QEMU command of the machine in `dir` to .vm/failed and prints where they are. */
export async function keepLogs(dir: string, title: string): Promise<void> {
  const folder = join(CHECKOUT, '.vm/failed', title.replaceAll(/[^A-Za-z0-9]+/g, '-').slice(0, 80));
  await mkdir(folder, { recursive: true });
  for (const name of [VM_FILES.console, VM_FILES.command, VM_FILES.qemuLog]) {
    const file = join(dir, name);
    if (existsSync(file)) await copyFile(file, join(folder, name));
  }
  const pattern = title.replaceAll(/[.*+?^${}()|[\]\\]/g, '.');
  process.stdout.write(
    [
      `    kept: ${folder}/console.log (console), command.txt (QEMU)`,
      `    repeat: npm test -- --only-qemu --grep ${JSON.stringify(pattern)}`,
      '',
    ].join('\n'),
  );
}
