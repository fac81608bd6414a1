/**
 * An update of a node: how fast it installs, how much memory it takes, and how long until it is committed, each against
 * what cannot be avoided on the same emulated machine.
 */
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { TestBundle } from '@keelos/tests/bundle-factory.ts';
import type { ReleaseName } from '@keelos/tests/release-variants.data.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { statusOf, withApi } from '@keelos/tests/update-view.ts';
import { type Figure, figure } from './report.ts';
import { diskOf } from './rival-disk.ts';
import { rivalConsole } from './rival-machine.ts';

const MIB = 1024 ** 2;
const POLL_MS = 250;
/** Pages that were needed at start are given back a little later. */
const IDLE_MS = 20_000;
const EXIT_TIMEOUT_MS = 300_000;
const MIN_HEALTHY_SECONDS = 5;
const RELEASES: readonly ReleaseName[] = ['good', 'good-again', 'good-third'];

/** What one update showed. */
interface Seen {
  readonly installSeconds: number;
  readonly peakBytes: number;
  readonly committedSeconds: number;
}

const pause = (ms: number) =>
  new Promise<void>((done) => {
    setTimeout(done, ms);
  });

/** Proportional memory of everything that is ours. */
async function ownBytes(lab: UpdateLab): Promise<number> {
  const { processes } = await withApi(lab.node, (client) =>
    client.unary(DiagnosticsService.method.listProcesses),
  );
  return processes.reduce((total, { pssBytes }) => total + Number(pssBytes), 0);
}

/** Follows an install until it is armed, or until the node has gone down for its trial. */
async function install(lab: UpdateLab): Promise<{ seconds: number; peakBytes: number }> {
  const startMs = performance.now();
  let peakBytes = 0;
  let hasBegun = false;
  let last: UpdatePhase = UpdatePhase.UNSPECIFIED;
  while (performance.now() - startMs < UPDATE_TIMEOUT_MS) {
    const { phase } = await withApi(lab.node, statusOf).catch((error: unknown) => {
      // Only an install that is nearly done goes down between two looks.
      if (last < UpdatePhase.VERIFYING) throw error;
      return { phase: UpdatePhase.ARMED };
    });
    last = phase;
    const isEnded = phase >= UpdatePhase.ARMED;
    if (hasBegun && phase === UpdatePhase.FAILED) throw new Error('the install has failed');
    if (hasBegun && isEnded) return { seconds: (performance.now() - startMs) / 1000, peakBytes };
    // Until it begins, the node tells how the last one ended.
    hasBegun ||= !isEnded && phase !== UpdatePhase.UNSPECIFIED;
    peakBytes = Math.max(peakBytes, await ownBytes(lab).catch(() => 0));
    await pause(POLL_MS);
  }
  throw new Error(`no install has ended within ${UPDATE_TIMEOUT_MS} ms`);
}

async function measure(lab: UpdateLab, name: ReleaseName): Promise<Seen> {
  const startMs = performance.now();
  const ended = lab.update(name, '--wait', '--timeout', '9m');
  const { seconds, peakBytes } = await install(lab);
  const { exitCode, stderr } = await ended;
  if (exitCode !== 0) throw new Error(stderr);
  const committedSeconds = (performance.now() - startMs) / 1000;
  return { installSeconds: seconds, peakBytes, committedSeconds };
}

/** Seconds of `dd conv=fsync` and of `sha256sum` over as many bytes on the same machine. */
async function rivalSeconds({ sizeBytes }: TestBundle): Promise<number> {
  const mebibytes = Math.ceil(sizeBytes / MIB);
  const disk = await diskOf({
    name: 'copy-and-hash',
    defines: ['-D_GNU_SOURCE', `-DMEBIBYTES=${mebibytes}`],
    programs: ['/bin/dd', '/bin/sha256sum'],
  });
  const { isOff, text } = await rivalConsole(disk, EXIT_TIMEOUT_MS);
  const found = /copy-and-hash: (\d+) (\d+)/.exec(text);
  if (!isOff || found === null) throw new Error(`The rival did not end:\n${text.slice(-2000)}`);
  return (Number(found[1]) + Number(found[2])) / 1000;
}

/** Seconds from `osctl reboot --wait` to a node that is healthy again. */
async function bootSeconds(lab: UpdateLab): Promise<number> {
  const startMs = performance.now();
  const { exitCode, stderr } = await lab.node.osctlWithin(
    UPDATE_TIMEOUT_MS,
    ...['reboot', '--wait', '--timeout', '5m'],
  );
  if (exitCode !== 0) throw new Error(stderr);
  return (performance.now() - startMs) / 1000;
}

/** `runs` updates of one node, each with its rivals. */
export async function update(runs: number): Promise<Figure[]> {
  const lab = await UpdateLab.open('bench-update');
  const seen: Seen[] = [];
  const [copies, boots, idle]: [number[], number[], number[]] = [[], [], []];
  try {
    const bundle = await lab.factory.bundle('good');
    for (let run = 0; run < runs; run++) {
      await pause(IDLE_MS);
      idle.push(await ownBytes(lab));
      copies.push(await rivalSeconds(bundle));
      boots.push(await bootSeconds(lab));
      seen.push(await measure(lab, RELEASES[run % RELEASES.length] ?? 'good'));
    }
    return figures(bundle, { seen, copies, boots, idle });
  } finally {
    await lab.close();
  }
}

function figures(
  { sizeBytes }: TestBundle,
  of: { seen: Seen[]; copies: number[]; boots: number[]; idle: number[] },
): Figure[] {
  const perSecond = (seconds: number) => sizeBytes / 1e6 / seconds;
  const sums = of.copies.map((copy, at) => copy + (of.boots[at] ?? 0) + MIN_HEALTHY_SECONDS);
  const above = of.seen.map(({ peakBytes }, at) => Math.max(0, peakBytes - (of.idle[at] ?? 0)));
  const installed = of.seen.map(({ installSeconds }) => perSecond(installSeconds));
  const bench = 'update';
  return [
    figure({
      ...{ bench, name: 'install', unit: 'MB/s', better: 'higher', values: installed },
      rival: { name: 'dd conv=fsync and sha256sum', values: of.copies.map(perSecond) },
    }),
    figure({ bench, name: 'memory-above-idle', unit: 'bytes', better: 'lower', values: above }),
    figure({
      ...{ bench, name: 'until-committed', unit: 's', better: 'lower' },
      values: of.seen.map(({ committedSeconds }) => committedSeconds),
      rival: { name: 'copy, hash, one boot, health time', values: sums },
    }),
  ];
}
