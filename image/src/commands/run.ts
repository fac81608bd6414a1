/** `keel-image run`: a node from a disk image, its console on this terminal. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { ensureTools } from '../../../scripts/lib/apt.mjs';
import { useProductOf } from '../../../scripts/lib/cache.mjs';
import { followConsole } from '../shell/console-watch.ts';
import type { Vm } from '../shell/vm.ts';
import { startVm } from '../shell/vm.ts';
import { wholeNumber } from '../shell/whole-number-option.ts';
import { VM_TOOLS } from '../sys/vm-files.ts';

const EXAMPLES = `
The disk image itself is not changed: what the node writes goes to a disk over it, in the folder of --dir when given,
thrown away otherwise. Ctrl-C presses the power button; a second Ctrl-C pulls the plug.

Examples:
  $ keel-image run dist/0.1.0/disk.img
  $ keel-image run dist/0.1.0/disk.img --memory 2048 --port 50051 --dir /var/tmp/node1
  $ keel-image run dist/0.1.0/disk.img --once-healthy`;

const HEALTHY_TIMEOUT_MS = 300_000;
const POWER_OFF_TIMEOUT_MS = 60_000;
const MEMORY_MIB_MIN = 256;

interface RunOptions {
  readonly memory: number;
  readonly cpus: number;
  readonly port?: number;
  readonly dir?: string;
  readonly writeDisk?: boolean;
  readonly onceHealthy?: boolean;
}

/** First request: the power button. Second, or when the node does not go down in time: the plug. */
function stopOnSignals(vm: Vm): () => void {
  let asked = false;
  const onSignal = () => {
    if (asked) {
      void vm.kill();
      return;
    }
    asked = true;
    process.stderr.write('\nkeel-image: pressing the power button; once more pulls the plug\n');
    powerOff(vm).catch((error: Error) => process.stderr.write(`keel-image: ${error.message}\n`));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  return () => {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  };
}

/** Presses the power button and waits; the machine is off afterwards in any case. */
async function powerOff(vm: Vm): Promise<void> {
  try {
    await vm.powerButton();
    if (await vm.waitForExit({ timeoutMs: POWER_OFF_TIMEOUT_MS })) return;
  } catch (cause) {
    await vm.kill();
    throw new Error('Cannot press the power button: the plug was pulled', { cause });
  }
  await vm.kill();
  throw new Error(`The node did not power off in ${POWER_OFF_TIMEOUT_MS} ms: the plug was pulled`);
}

async function untilHealthy(vm: Vm): Promise<void> {
  try {
    await vm.announcement({ timeoutMs: HEALTHY_TIMEOUT_MS });
  } catch (error) {
    await vm.kill();
    throw error;
  }
  await powerOff(vm);
}

async function run(disk: string, options: RunOptions): Promise<void> {
  await ensureTools(VM_TOOLS);
  await useProductOf(disk); // the node's own disk is an overlay on it
  const dir = resolve(options.dir ?? (await mkdtemp(join(tmpdir(), 'keel-run-'))));
  const throwAway = async () => {
    if (options.dir === undefined) await rm(dir, { recursive: true });
  };
  const vm = await startVm({
    dir,
    disk,
    memoryMiB: options.memory,
    cpus: options.cpus,
    overlay: options.writeDisk !== true,
    ...(options.port === undefined ? {} : { apiPort: options.port }),
  }).catch(async (error) => {
    await throwAway();
    throw error;
  });
  process.stderr.write(`keel-image: API at ${vm.endpoint} (${vm.accelerator}), files in ${dir}\n`);
  const release = stopOnSignals(vm);
  try {
    const shown = followConsole(vm, (bytes) => process.stdout.write(bytes));
    if (options.onceHealthy === true) await untilHealthy(vm);
    await shown;
  } finally {
    release();
  }
  await throwAway();
}

/** The command. */
export function runCommand(): Command {
  return new Command('run')
    .description('Run a node from a disk image in QEMU, with its console here.')
    .argument('<disk>', 'raw disk image, as keel-image build makes it')
    .option('--memory <MiB>', 'memory', wholeNumber({ min: MEMORY_MIB_MIN, max: 1_048_576 }), 1024)
    .option('--cpus <count>', 'processors', wholeNumber({ min: 1, max: 64 }), 2)
    .option('--port <port>', 'port of the API on 127.0.0.1', wholeNumber({ min: 1, max: 65_535 }))
    .option('--dir <dir>', 'keep disk, console log and firmware variables in this folder')
    .option('--write-disk', 'write to the disk image itself')
    .option('--once-healthy', 'power off when the node answers; exit with 1 when it does not')
    .addHelpText('after', EXAMPLES)
    .action(run);
}
