/** The files of a virtual machine: its disk, its firmware variables, and what was written down to find it again. */
import {
  copyFile,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rm,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { exec } from '../../../scripts/lib/exec.mjs';
import { makeFile, replaceFile } from '../../../scripts/lib/whole-file.mjs';
import type { Accelerator } from '../core/qemu-command.ts';
import type { ProcessIdentity } from './qemu-process.ts';
import { findProcess } from './qemu-process.ts';

/** The firmware of Debian's package ovmf. */
export const FIRMWARE_CODE = '/usr/share/OVMF/OVMF_CODE_4M.fd';
const FIRMWARE_VARS = '/usr/share/OVMF/OVMF_VARS_4M.fd';

/** What `ensureTools` takes, for running machines. */
export const VM_TOOLS = [
  { command: 'qemu-system-x86_64', package: 'qemu-system-x86', why: 'runs the node' },
  { command: 'qemu-img', package: 'qemu-utils', why: 'disk of the node' },
  { file: FIRMWARE_CODE, package: 'ovmf', why: 'UEFI firmware of the node' },
];

/** The socket of a machine, in a folder of its own whose name begins like this. */
const SOCKET_FOLDER = 'keel-vm-';
const SOCKET = 'qmp';

/** Names in a machine's folder. */
export const VM_FILES = {
  disk: 'disk.qcow2',
  vars: 'firmware-vars.fd',
  console: 'console.log',
  qemuLog: 'qemu.log',
  state: 'vm.json',
  command: 'command.txt',
} as const;

/** vm.json: the machine that was started last in a folder. */
export interface VmState {
  readonly process: ProcessIdentity;
  readonly apiPort: number;
  readonly qmpSocket: string;
  readonly consoleOffset: number;
  readonly accelerator: Accelerator;
  readonly command: readonly string[];
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Makes a disk that keeps its changes to itself over `base`, which must not change afterwards; one that is there
 * already is kept.
 */
export async function ensureOverlay(
  path: string,
  options: { readonly base: string; readonly sizeBytes: number },
): Promise<void> {
  if (await exists(path)) return;
  const size = String(Math.max(options.sizeBytes, (await stat(options.base)).size));
  const base = ['-b', options.base, '-F', 'raw'];
  await makeFile(path, (temporary) =>
    exec('qemu-img', ['create', '-q', '-f', 'qcow2', ...base, temporary, size]),
  );
}

/** The machine's own copy of the firmware's variables; one that is there already is kept. */
export async function ensureFirmwareVars(path: string, template?: string): Promise<void> {
  if (await exists(path)) return;
  await makeFile(path, (temporary) => copyFile(template ?? FIRMWARE_VARS, temporary));
}

/** A path for a socket: short, because socket addresses have at most 107 bytes, and private. */
export async function socketPath(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), SOCKET_FOLDER)), SOCKET);
}

/**
 * Removes what {@link socketPath} made, and nothing else: the path was read from a file. Nothing happens when it is gone.
 */
export async function removeSocket(path: string): Promise<void> {
  const folder = dirname(path);
  if (!folder.startsWith(join(tmpdir(), SOCKET_FOLDER)) || basename(path) !== SOCKET) return;
  await rm(path, { force: true });
  await rmdir(folder).catch(() => {
    // It is gone already, or somebody put something there, which is theirs.
  });
}

/** What vm.json says while a machine is being started: everything but its process. */
type StartingState = Omit<VmState, 'process'> & { readonly process: null };

function isState(value: unknown): value is VmState | StartingState {
  if (typeof value !== 'object' || value === null) return false;
  const { process, apiPort, qmpSocket, command } = value as Partial<VmState | StartingState>;
  const isIdentity =
    process === null ||
    (typeof process?.pid === 'number' && typeof process.startTicks === 'string');
  const hasRest = typeof apiPort === 'number' && typeof qmpSocket === 'string';
  return isIdentity && hasRest && Array.isArray(command);
}

/** Remembers a machine; before it is started, too, so that it is found when nobody was left to say how it went. */
export function writeState(dir: string, state: VmState | StartingState): Promise<void> {
  const text = `${JSON.stringify(state, null, 2)}\n`;
  return replaceFile(join(dir, VM_FILES.state), text, { mode: 0o600 });
}

/** The machine that was started last; undefined when none was, or the file is damaged. */
export async function readState(dir: string): Promise<VmState | undefined> {
  const state: unknown = await readFile(join(dir, VM_FILES.state), 'utf8')
    .then((text) => JSON.parse(text))
    .catch(() => undefined);
  if (!isState(state)) return undefined;
  // The command names the machine's own socket: it belongs to no other machine.
  const process = state.process ?? (await findProcess(state.command));
  return process === undefined ? undefined : { ...state, process };
}

/** Size of a file, 0 when there is none. */
export async function fileSize(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

/** What a file has behind `offset`, at most `bytesMax`. A file that is not there has nothing. */
export async function readFrom(
  path: string,
  offset: number,
  bytesMax = Number.POSITIVE_INFINITY,
): Promise<Buffer> {
  const file = await open(path, 'r').catch(() => undefined);
  if (file === undefined) return Buffer.alloc(0);
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(bytesMax, Math.max(0, size - offset)));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** {@link readFrom} as text. Bytes that are no UTF-8 become U+FFFD. */
export async function readTail(path: string, offset: number): Promise<string> {
  return (await readFrom(path, offset)).toString('utf8');
}

/** Makes a file of no bytes. @throws when there is one */
export async function makeEmptyFile(path: string): Promise<void> {
  await writeFile(path, '', { flag: 'wx' });
}

/** Makes the folder of a machine. */
export async function ensureFolder(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
}

/** Writes the command line down, for people. */
export async function writeCommand(dir: string, text: string): Promise<void> {
  await writeFile(join(dir, VM_FILES.command), `${text}\n`);
}
