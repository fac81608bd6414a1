/**
 * An update of a node: how fast it installs, how much memory it takes, and how long until it is committed, each against
 * what cannot be avoided on the same emulated machine.
 */
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { UpdatePhase, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { ApiClient } from '@keelos/tests/api-client.ts';
import type { TestBundle } from '@keelos/tests/bundle-factory.ts';
import type { ReleaseName } from '@keelos/tests/release-variants.data.ts';
import { UPDATE_TIMEOUT_MS, UpdateLab } from '@keelos/tests/update-lab.ts';
import { withApi } from '@keelos/tests/update-view.ts';
import { type Figure, figure } from './report.ts';
import { diskOf } from './rival-disk.ts';
import { rivalConsole } from './rival-machine.ts';

const MIB = 1024 ** 2;
/** Between two looks at the memory. */
const SAMPLE_MS = 2_000;
/** Pages that were needed at start are given back a little later. */
const IDLE_MS = 20_000;
const EXIT_TIMEOUT_MS = 300_000;
const MIN_HEALTHY_SECONDS = 5;
const RELEASES: readonly ReleaseName[] = ['good', 'good-again', 'good-third'];

/** What one update showed. */
interface Seen extends Install {
  readonly committedSeconds: number;
}

const pause = (ms: number) =>
  new Promise<void>((done) => {
    setTimeout(done, ms);
  });

/** Proportional memory of everything that is ours. */
async function ownBytes(client: ApiClient): Promise<number> {
  const { processes } = await client.unary(DiagnosticsService.method.listProcesses);
  return processes.reduce((total, { pssBytes }) => total + Number(pssBytes), 0);
}

/** An install: its phases in seconds, in their order, and the highest memory meanwhile. */
interface Install {
  readonly phases: ReadonlyMap<string, number>;
  readonly peakBytes: number;
}

/**
 * Follows an install from its first phase until it is armed, or until the node has gone down for its trial: over one
 * connection, because each new one costs the node as much as megabytes of the install.
 */
function install({ node }: UpdateLab): Promise<Install> {
  return withApi(node, async (client) => {
    const ended = new AbortController();
    const peak = peakOf(client, ended.signal);
    // While nothing is installed the stream tells how the last one ended, and is over.
    const phases = await node
      .until(UPDATE_TIMEOUT_MS, () => phasesOf(client))
      .finally(() => ended.abort());
    return { phases, peakBytes: await peak };
  });
}

/** Phases of the install that runs; undefined when none does. */
async function phasesOf(client: ApiClient): Promise<ReadonlyMap<string, number> | undefined> {
  const phases = new Map<string, number>();
  let now: UpdatePhase = UpdatePhase.UNSPECIFIED;
  let sinceMs = 0;
  const enter = (phase: UpdatePhase) => {
    const nowMs = performance.now();
    if (isInstalling(now)) phases.set(phaseName(now), (nowMs - sinceMs) / 1000);
    [now, sinceMs] = [phase, nowMs];
  };
  try {
    for await (const { status } of client.follow(UpdateService.method.watchUpdate)) {
      const phase: UpdatePhase = status?.phase ?? now;
      const hasBegun = isInstalling(now);
      if (phase !== now) enter(phase);
      if (hasBegun && phase === UpdatePhase.FAILED) throw new Error('the install has failed');
      if (hasBegun && !isInstalling(phase)) return phases;
    }
  } catch (error) {
    // Only an install that is nearly done goes down without a last word.
    if (now < UpdatePhase.VERIFYING || !isInstalling(now)) throw error;
    enter(UpdatePhase.ARMED);
    return phases;
  }
  if (isInstalling(now)) throw new Error('the node has ended the stream in the middle');
  return undefined;
}

function isInstalling(phase: UpdatePhase): boolean {
  return phase !== UpdatePhase.UNSPECIFIED && phase < UpdatePhase.ARMED;
}

function phaseName(phase: UpdatePhase): string {
  return (UpdatePhase[phase] ?? '').toLowerCase();
}

/** The highest memory until `signal` is aborted. */
async function peakOf(client: ApiClient, signal: AbortSignal): Promise<number> {
  let peakBytes = 0;
  while (!signal.aborted) {
    // A node that goes down has no answer.
    peakBytes = Math.max(peakBytes, await ownBytes(client).catch(() => 0));
    await pause(SAMPLE_MS);
  }
  return peakBytes;
}

async function measure(lab: UpdateLab, name: ReleaseName): Promise<Seen> {
  const startMs = performance.now();
  const ended = lab.update(name, '--wait', '--timeout', '9m');
  const installed = await install(lab);
  const { exitCode, stderr } = await ended;
  if (exitCode !== 0) throw new Error(stderr);
  const committedSeconds = (performance.now() - startMs) / 1000;
  return { ...installed, committedSeconds };
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
      idle.push(await withApi(lab.node, ownBytes));
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
  const installed = of.seen.map(({ phases }) => {
    const seconds = [...phases.values()].reduce((total, one) => total + one, 0);
    return perSecond(seconds);
  });
  const names = [...(of.seen[0]?.phases.keys() ?? [])];
  const bench = 'update';
  return [
    figure({
      ...{ bench, name: 'install', unit: 'MB/s', better: 'higher', values: installed },
      rival: { name: 'dd conv=fsync and sha256sum', values: of.copies.map(perSecond) },
    }),
    ...names.map((name) =>
      figure({
        ...{ bench, name, unit: 's', better: 'lower' },
        values: of.seen.map(({ phases }) => phases.get(name) ?? 0),
      }),
    ),
    figure({ bench, name: 'memory-above-idle', unit: 'bytes', better: 'lower', values: above }),
    figure({
      ...{ bench, name: 'until-committed', unit: 's', better: 'lower' },
      values: of.seen.map(({ committedSeconds }) => committedSeconds),
      rival: { name: 'copy, hash, one boot, health time', values: sums },
    }),
  ];
}
