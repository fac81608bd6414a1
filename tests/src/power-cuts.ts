/** Pulls the plug of a node at random moments of updates and trials. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type UpdateHistoryEntry, UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { Random } from '../fuzz/random.ts';
import { proveGood } from './broken-run.ts';
import type { ReleaseName } from './release-variants.data.ts';
import { UPDATE_TIMEOUT_MS, type UpdateLab } from './update-lab.ts';
import { awaitRest, historyOf } from './update-view.ts';

const GOOD: readonly ReleaseName[] = ['good', 'good-again', 'good-third'];
/** So often an update is left alone, to see that the next one works. */
const WHOLE_EVERY = 10;

/** What is to be cut. */
export interface CutPlan {
  readonly count: number;
  readonly random: Random;
  /** How long an update takes from its begin to its commit: cuts fall in between. */
  readonly wholeMs: number;
  /** The same for an update by a delta. Absent: every update is by its whole bundle. */
  readonly deltaMs?: number;
}

/** Updates of one kind, and where their cuts fell. */
export interface CutCount {
  readonly cuts: number;
  /** So many fell into an update that had begun; the others came before the node had accepted it. */
  readonly begun: number;
  /** So many ended a trial. */
  readonly inTrial: number;
}

/** What came of the cuts. */
export interface CutReport {
  readonly whole: CutCount;
  readonly byDelta: CutCount;
  /** After so many of them the release from before ran; after the others the new one. */
  readonly stayed: number;
  readonly seconds: number;
}

/** A trial that lost its power counts as failed: nothing tells it from one that was reset. */
const AGAIN = '--retry-failed';

class Counter implements CutCount {
  cuts = 0;
  begun = 0;
  inTrial = 0;

  /** @param entry what the history has of the update; undefined: nothing */
  count(entry: UpdateHistoryEntry | undefined): void {
    this.cuts += 1;
    if (entry !== undefined) this.begun += 1;
    if (entry?.outcome === UpdateOutcome.ROLLED_BACK) this.inTrial += 1;
  }
}

/** A good release that does not run now. */
async function nextRelease(lab: UpdateLab): Promise<ReleaseName> {
  const { rootHash } = await lab.running();
  for (const name of GOOD) {
    if ((await lab.factory.bundle(name)).rootHash !== rootHash) return name;
  }
  throw new Error('all good releases have the same root');
}

/**
 * Begins updates, every second one by a delta, and cuts the power during each, at a moment between its begin and the end of
 * its trial. Asserts after
 * each that one of the two releases runs and is well, and that whole updates work in between.
 */
export async function cutDuringUpdates(
  lab: UpdateLab,
  { count, random, wholeMs, deltaMs }: CutPlan,
): Promise<CutReport> {
  const startMs = performance.now();
  const [whole, delta] = [new Counter(), new Counter()];
  let stayed = 0;
  for (let cut = 1; cut <= count; cut++) {
    const name = await nextRelease(lab);
    const before = await lab.running();
    const target = await lab.factory.bundle(name);
    const byDelta = deltaMs !== undefined && cut % 2 === 0;
    const waitMs = random.below(Math.ceil(byDelta ? deltaMs : wholeMs));
    const [known] = await historyOf(lab.node);
    const kind = byDelta ? 'update by a delta' : 'update';
    const what = `cut ${cut}, ${waitMs} ms after the begin of the ${kind} to ${name}`;
    const url = byDelta ? await lab.deltaUrlOf(name) : await lab.urlOf(name);
    const how = byDelta ? ['--delta'] : [];
    // It follows the install through the cut; how it ends is not what is asked for.
    const update = lab.updateFrom(url, AGAIN, ...how, '--timeout', '5m').catch(() => undefined);
    await sleep(waitMs); // the moment is what is tried
    await lab.node.cutPower();
    await lab.node.start(UPDATE_TIMEOUT_MS);
    await update; // first: it may have come too late for the cut, and begun only now
    const running = await awaitRest(lab.node, UPDATE_TIMEOUT_MS);
    const isKnown = [before.rootHash, target.rootHash].includes(running.rootHash);
    assert.ok(isKnown, `${what}: ${running.rootHash} runs`);
    if (running.rootHash === before.rootHash) stayed += 1;
    const [newest] = await historyOf(lab.node);
    const own = newest?.id === known?.id ? undefined : newest;
    // A delta that the node did not take, or could not make its bundle of, is no cut.
    assert.doesNotMatch(own?.errorCode ?? '', /^E_DELTA_/, what);
    (byDelta ? delta : whole).count(own);
    await lab.assertWell(what);
    if (cut % WHOLE_EVERY === 0) await proveGood(lab, await nextRelease(lab), AGAIN);
  }
  await proveGood(lab, await nextRelease(lab), AGAIN);
  const seconds = (performance.now() - startMs) / 1000;
  return { whole, byDelta: delta, stayed, seconds };
}
