// The node that quickstart makes and `npm run vm` manages: one virtual machine with its disk in one folder. Runs on the
// pinned Node.

import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, rmdir, truncate } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { attach, startVm } from '../../image/src/shell/vm.ts';
import { VM_FILES } from '../../image/src/sys/vm-files.ts';
import { exec } from './exec.mjs';
import { finishedName, makeFile, replaceFile } from './whole-file.mjs';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const PREFERRED_PORT = 50051;
const DISK_BYTES = 4 * 1024 ** 3;
const COPY_TIMEOUT_MS = 60_000;
const POWER_OFF_TIMEOUT_MS = 60_000;
const OSCTL_TIMEOUT_MS = 180_000;
/** Everything that a node's folder may hold; nothing else is ever removed. */
const NODE_FILES = ['disk.raw', 'node.json', ...Object.values(VM_FILES)];
const BOOT_SECONDS = { kvm: 6, tcg: 25 };

/** Folder of the node. */
export function vmDir() {
  return resolve(process.env.KEEL_VM_DIR ?? join(CHECKOUT, '.vm/node'));
}

/**
 * What is written beside the disk.
 * @typedef {{ rootHash: string, apiPort: number }} NodeRecord
 */

/** @typedef {import('../../image/src/shell/vm.ts').Vm} Vm */
/** @typedef {Awaited<ReturnType<typeof createLocalNode>>} LocalNode */

/** @returns {Promise<NodeRecord | undefined>} undefined when there is no node yet, or its file is damaged */
export async function readRecord() {
  const record = await readFile(join(vmDir(), 'node.json'), 'utf8')
    .then((text) => JSON.parse(text))
    .catch(() => undefined);
  const isRecord = typeof record?.rootHash === 'string' && typeof record.apiPort === 'number';
  return isRecord ? record : undefined;
}

/** @param {NodeRecord} record */
function writeRecord(record) {
  return replaceFile(join(vmDir(), 'node.json'), `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * A new disk out of the image. It is complete or it is not there.
 * @param {string} image raw disk image
 */
async function makeDisk(image) {
  const disk = join(vmDir(), 'disk.raw');
  await mkdir(vmDir(), { recursive: true });
  await makeFile(disk, async (temporary) => {
    await exec('cp', ['--sparse=always', image, temporary], { timeoutMs: COPY_TIMEOUT_MS });
    await chmod(temporary, 0o644);
    await truncate(temporary, DISK_BYTES);
  });
}

/** @param {number} port 0 for any */
function portIsFree(port) {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen(port, '127.0.0.1', () => server.close(() => done(true)));
  });
}

/**
 * Runs osctl of this checkout with the caller's own contexts file.
 * @param {readonly string[]} args @param {{ timeoutMs?: number }} [options]
 */
export function osctl(args, { timeoutMs = OSCTL_TIMEOUT_MS } = {}) {
  const program = join(CHECKOUT, 'node_modules/.bin/node');
  return exec(program, [join(CHECKOUT, 'osctl/bin/osctl.mjs'), ...args], {
    timeoutMs,
    anyExit: true,
  });
}

/** Where osctl keeps its contexts. */
export async function contextsFile() {
  return (await osctl(['config', 'path'])).stdout.trim();
}

/**
 * Starts the machine of the folder on the disk that is there.
 * @param {{ say: (line: string) => void }} options
 * @returns {Promise<Vm>}
 */
export async function startNode({ say }) {
  const dir = vmDir();
  const record = await readRecord();
  if (record === undefined || !existsSync(join(dir, 'disk.raw'))) {
    throw new Error('There is no node yet. Make one with: npm run quickstart');
  }
  const wanted = Number(process.env.KEEL_VM_PORT ?? record.apiPort);
  const isFree = await portIsFree(wanted);
  if (!isFree) say(`port ${wanted} is in use on this machine: taking a free one`);
  const vm = await startVm({
    dir,
    disk: join(dir, 'disk.raw'),
    overlay: false,
    detached: true,
    apiPort: isFree ? wanted : 0,
  });
  await writeRecord({ ...record, apiPort: vm.apiPort });
  return vm;
}

/**
 * Powers the node off in order; pulls the plug when it does not go down.
 * @param {Vm} vm @param {{ say: (line: string) => void }} options
 */
export async function stopNode(vm, { say }) {
  await vm.powerButton();
  if (await vm.waitForExit({ timeoutMs: POWER_OFF_TIMEOUT_MS })) return;
  say(`it did not power off in ${POWER_OFF_TIMEOUT_MS / 1000} s: pulling the plug`);
  await vm.kill();
}

/**
 * Ends the machine at once and throws its files away; the folder goes with them when it holds nothing else.
 * @throws {Error} when the folder is none of a node: it is left as it is
 */
export async function resetNode() {
  const dir = vmDir();
  if (!existsSync(dir)) return;
  const names = await readdir(dir);
  const ours = names.filter((name) => NODE_FILES.includes(finishedName(name)));
  if (ours.length === 0) {
    throw new Error(`Cannot reset ${dir}: it holds no file of a node (is KEEL_VM_DIR right?)`);
  }
  const vm = await attach(dir);
  await vm?.kill();
  for (const name of ours) await rm(join(dir, name));
  if (ours.length === names.length) await rmdir(dir);
}

/**
 * The node of this checkout, made from `image` when there is none yet, or when the image is another one now.
 *
 * @param {{ image: { disk: string, rootHash: string }, say: (line: string) => void }} options
 */
export async function createLocalNode({ image, say }) {
  const dir = vmDir();
  /** @type {Vm | undefined} */
  let vm = await attach(dir);
  const record = await readRecord();
  if (record !== undefined && record.rootHash !== image.rootHash) {
    say('the image has changed since this node was made: making a new node');
    await resetNode();
    vm = undefined;
  }
  if (!existsSync(join(dir, 'disk.raw')) || (await readRecord()) === undefined) {
    await vm?.kill();
    vm = undefined;
    await makeDisk(image.disk);
    const apiPort = Number(process.env.KEEL_VM_PORT ?? PREFERRED_PORT);
    await writeRecord({ rootHash: image.rootHash, apiPort });
  }
  const running = () => {
    if (vm === undefined) throw new Error('the node does not run');
    return vm;
  };
  const node = {
    consoleLog: join(dir, 'console.log'),
    get endpoint() {
      return `127.0.0.1:${running().apiPort}`;
    },
    get accelerator() {
      return running().accelerator;
    },
    get bootEstimateSeconds() {
      return BOOT_SECONDS[running().accelerator];
    },
    ensureRunning: async () => {
      if (vm !== undefined) say(`the node runs already (${dir})`);
      vm ??= await startNode({ say });
    },
    restart: async () => {
      await stopNode(running(), { say });
      vm = await startNode({ say });
    },
    stop: () => stopNode(running(), { say }),
    announcement: (/** @type {number} */ timeoutMs) => running().announcement({ timeoutMs }),
    osctl,
    contextsFile,
    /** @param {string} context true when it leads to this very endpoint and its certificate is answered there */
    isOperator: async (context) => {
      const shown = await osctl(['config', 'show', context, '-o', 'json']);
      if (shown.exitCode !== 0 || JSON.parse(shown.stdout).endpoint !== node.endpoint) return false;
      const ended = await osctl(['status', '--context', context, '--timeout', '20s']);
      return ended.exitCode === 0;
    },
  };
  return node;
}
