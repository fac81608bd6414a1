/**
 * How long from the start of the kernel until the API listens, against the same kernel that starts an empty init.
 */
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { TestNode } from '@keelos/tests/test-node.ts';
import { type Figure, figure } from './report.ts';
import { rivalDisk } from './rival-disk.ts';
import { rivalConsole } from './rival-machine.ts';

const EXIT_TIMEOUT_MS = 120_000;
const DIGITS = 3;
/** The kernel says this when it is about to execute the first program. */
const INIT_STARTS = /\[ *(\d+\.\d+)\] Run \/sbin\/init as init process/;
const STEP = 'api-listening';

const seconds = (microseconds: bigint) => Number((Number(microseconds) / 1e6).toFixed(DIGITS));

/** Seconds from the start of the kernel to the first instruction of an empty init. */
async function bootRival(disk: string): Promise<number> {
  const { isOff, text } = await rivalConsole(disk, EXIT_TIMEOUT_MS);
  const found = INIT_STARTS.exec(text)?.[1];
  if (!isOff || found === undefined || !text.includes('empty-init: reached')) {
    throw new Error(`The rival did not come up:\n${text.slice(-2000)}`);
  }
  return Number(found);
}

/** Every step of the present boot, in seconds since the start of the kernel. */
async function bootSteps(node: TestNode): Promise<Map<string, number>> {
  const client = await node.enrolledClient();
  try {
    const { steps } = await client.unary(DiagnosticsService.method.getBootTiming);
    return new Map(steps.map((step) => [step.name, seconds(step.monotonicUs)]));
  } finally {
    client.close();
  }
}

/** Boots the node once for the first time and `runs` times again, and the rival `runs` times. */
export async function boot(runs: number): Promise<Figure[]> {
  const rivals: number[] = [];
  const first: Map<string, number>[] = [];
  const again: Map<string, number>[] = [];
  const disk = await rivalDisk();
  const node = await TestNode.boot('bench-boot');
  try {
    const enrolled = await node.bootstrap();
    if (enrolled.exitCode !== 0) throw new Error(enrolled.stderr);
    first.push(await bootSteps(node));
    for (let run = 0; run < runs; run++) {
      await node.osctl('shutdown');
      await node.awaitPowerOff();
      // In turn, so that whatever else the machine does burdens both alike.
      rivals.push(await bootRival(disk));
      await node.start();
      again.push(await bootSteps(node));
    }
  } finally {
    await node.destroy();
  }
  const rival = { name: 'same kernel, empty init', values: rivals };
  const of = (name: string, from: readonly Map<string, number>[], step: string) =>
    figure({
      ...{ bench: 'boot', name, unit: 's', better: 'lower', rival },
      values: from.map((steps) => steps.get(step) ?? Number.NaN),
    });
  return [of(STEP, again, STEP), of(`${STEP}-first-boot`, first, STEP)];
}
