/** Switches a node on after its power was cut, and demands of it all that must be true then. */
import { COMMITTED_TRIES } from '@keelos/proto/boot-entry.ts';
import { Random } from '../fuzz/random.ts';
import { cutPoint, eventText, markBefore, type Recording } from './cut-points.ts';
import { FileNames } from './file-names.ts';
import {
  failedRootsOf,
  historyOf,
  problemsAtCut,
  problemsAtRest,
  unsettledTrials,
} from './judge.ts';
import type { Medium } from './medium.ts';
import { Node, type Rest, type World } from './node.ts';
import type { Release } from './releases.ts';
import type { Cast } from './scenarios.ts';
import { SURVIVALS, type Survival } from './survival.ts';

/** Starts of the machine until it rests: the trial, the way back, and one restart that a firmware may need. */
const STARTS_MAX = 3;
/** Losses of power in a row that change nothing. */
const LOSSES = 3;

/** The power comes back a quarter of an hour later: what was scheduled is due then. */
const OFF_MS = 900_000;

/** A broken promise. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** What recovery is judged by. */
export interface RecoveryParts {
  readonly world: World;
  readonly cast: Cast;
  readonly seed: number;
  /** Its root was spoilt on purpose; then its nine tries are spent first. */
  readonly rotten?: Release;
  /** A committed release may give way: its entry was spoilt on purpose. */
  readonly mayFallBack?: boolean;
  /** The state partition is lost at the cut too: what was written down before is not asked for. */
  readonly isStateLost?: boolean;
}

const judgedBy = ({ cast, rotten, mayFallBack, isStateLost = false }: RecoveryParts) => ({
  mayFallBack: mayFallBack === true || rotten !== undefined || isStateLost,
  releases: cast.releases,
  first: cast.first,
  isHistoryLost: isStateLost,
  ...(rotten === undefined ? {} : { rotten }),
});

function demand(where: string, problems: readonly string[]): void {
  if (problems.length > 0) throw new Broken(`${where}: ${problems.join('; ')}`);
}

function rested(where: string, rest: Rest): Extract<Rest, { kind: 'rest' }> {
  if (rest.kind === 'stuck') throw new Broken(`${where}: ${rest.reason}`);
  return rest;
}

/** A node that rests: what it runs, and all that must be true of it. */
function judgeRest(where: string, node: Node, running: Release, parts: RecoveryParts): void {
  demand(where, problemsAtRest(node.hardware.medium, running, judgedBy(parts)));
}

/**
 * Recovers from a cut: something healthy and signed boots within three starts, its records are readable and true, three
 * losses of power change nothing, and the next update works. @throws Broken
 */
export async function recover(left: Medium, parts: RecoveryParts): Promise<Node> {
  const { world, seed, rotten, isStateLost = false } = parts;
  const medium = isStateLost ? { ...left, files: new FileNames() } : left;
  demand('at the cut', problemsAtCut(medium, judgedBy(parts)));
  const node = new Node(world, medium, { seed, offMs: OFF_MS });
  const rest = rested('after the cut', await node.powerOn());
  const startsMax = STARTS_MAX + (rotten === undefined ? 0 : COMMITTED_TRIES);
  if (rest.starts > startsMax) throw new Broken(`after the cut: ${rest.starts} starts`);
  const { release } = rest.session;
  judgeRest('at rest', node, release, parts);
  if (!isStateLost) demand('at rest', unrecordedFailures(medium, node, release));
  const recovered = node.hardware.events.length;
  for (let losses = 0; losses < LOSSES; losses += 1) {
    if (!node.bootAndCut()) throw new Broken(`after ${losses} more losses: nothing boots`);
  }
  const after = rested('after three losses', await node.powerOn());
  if (after.session.release !== release) {
    throw new Broken(
      `three losses: ${release.version} gave way to ${after.session.release.version}`,
    );
  }
  judgeRest('after three losses', node, release, parts);
  await nextUpdate(node, parts);
  node.hardware.events.length = recovered;
  return node;
}

/** A trial that failed is told as one, and its root is remembered. */
function unrecordedFailures(cut: Medium, node: Node, running: Release): string[] {
  const { medium } = node.hardware;
  const failed = failedRootsOf(medium);
  const history = historyOf(medium);
  const forgotten = [...node.started].filter(
    (release) =>
      release !== running && release.behaviour !== 'healthy' && !failed.has(release.rootHash),
  );
  const wrong = unsettledTrials(cut)
    .map((id) => history.find((entry) => entry.id === id))
    .filter((entry) => entry?.outcome !== 'rolled-back' && entry?.outcome !== 'committed');
  return [
    ...forgotten.map(({ version }) => `${version} was tried, and is not remembered`),
    ...wrong.map((entry) => `the trial of ${entry?.to.version} is told as ${entry?.outcome}`),
  ];
}

/** The next update is installed, tried and committed. */
async function nextUpdate(node: Node, parts: RecoveryParts): Promise<void> {
  const { next, good } = parts.cast;
  let { session } = rested('before the next update', await node.powerOn());
  // Sometimes the one that was cut off, so that it goes on where it was.
  const [wanted, other] = parts.seed % 20 < 10 ? [next, good] : [good, next];
  const target = session.release === wanted ? other : wanted;
  try {
    await session.install(target, { retryFailed: true });
  } catch (cause) {
    throw new Broken(`next update: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
  session = rested('in the next update', await node.powerOn()).session;
  if (session.release !== target) {
    throw new Broken(`next update: ${session.release.version} runs, not ${target.version}`);
  }
  judgeRest('after the next update', node, target, parts);
}

/** A place in a recording, for people. */
export function placeText(
  { events }: Recording,
  at: { readonly count: number; readonly survival: Survival; readonly round: number },
): string {
  const last = eventText(events[at.count - 1]);
  const place = `${at.count} of ${events.length} events (last: ${last}; at: ${markBefore(events, at.count)})`;
  return `cut after ${place}, unflushed: ${at.survival} ${at.round}`;
}

/**
 * Cuts the power during the recovery too, at a place that the seed chooses, and again during that one; then recovers for
 * good. @throws Broken
 */
export async function recoverFromThreeCuts(
  medium: Medium,
  parts: RecoveryParts,
): Promise<readonly string[]> {
  const random = new Random(parts.seed, 1);
  const places: string[] = [];
  let left = medium;
  for (let cuts = 1; cuts < 3; cuts += 1) {
    const node = new Node(parts.world, left, { seed: parts.seed + cuts, offMs: OFF_MS });
    await node.powerOn();
    const recording = { base: left, events: node.hardware.events };
    const at = {
      count: random.below(recording.events.length + 1),
      survival: SURVIVALS[random.below(SURVIVALS.length)] ?? 'some',
      round: random.below(8),
    };
    places.push(placeText(recording, at));
    left = cutPoint(recording, at, parts.seed).medium;
    try {
      demand('at the cut', problemsAtCut(left, judgedBy(parts)));
    } catch (cause) {
      throw new Broken(`${String(cause)} (${places.join(', then ')})`, { cause });
    }
  }
  try {
    await recover(left, { ...parts, seed: parts.seed + 3 });
  } catch (cause) {
    throw new Broken(`${String(cause)} (${places.join(', then ')})`, { cause });
  }
  return places;
}
