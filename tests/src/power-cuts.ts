/** Pulls the plug of a node at random moments of updates and trials. */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import type { Random } from '../fuzz/random.ts';
import { proveGood } from './broken-run.ts';
import type { ReleaseName } from './release-variants.data.ts';
import { UPDATE_TIMEOUT_MS, type UpdateLab } from './update-lab.ts';
import { assertWell, awaitRest } from './update-view.ts';

const GOOD: readonly ReleaseName[] = ['good', 'good-again', 'good-third'];
/** So often an update is left alone, to see that the next one works. */
const WHOLE_EVERY = 10;

/** What is to be cut. */
export interface CutPlan {
  readonly count: number;
  readonly random: Random;
  /** How long an update takes from its begin to its commit: cuts fall in between. */
  readonly wholeMs: number;
}

/** What came of the cuts. */
export interface CutReport {
  readonly cuts: number;
  /** After so many of them the release from before ran; after the others the new one. */
  readonly stayed: number;
  readonly seconds: number;
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
 * Begins updates and cuts the power during each, at a moment between its begin and the end of its trial. Asserts after
 * each that one of the two releases runs and is well, and that whole updates work in between.
 */
export async function cutDuringUpdates(
  lab: UpdateLab,
  { count, random, wholeMs }: CutPlan,
): Promise<CutReport> {
  const startMs = performance.now();
  let stayed = 0;
  for (let cut = 1; cut <= count; cut++) {
    const name = await nextRelease(lab);
    const before = await lab.running();
    const target = await lab.factory.bundle(name);
    const waitMs = random.below(Math.ceil(wholeMs));
    const what = `cut ${cut}, ${waitMs} ms after the begin of the update to ${name}`;
    // It follows the install through the cut; how it ends is not what is asked for.
    const update = lab.update(name, '--timeout', '5m').catch(() => undefined);
    await delay(waitMs); // the moment is what is tried
    await lab.node.cutPower();
    await lab.node.start(UPDATE_TIMEOUT_MS);
    await update; // first: it may have come too late for the cut, and begun only now
    const running = await awaitRest(lab.node, UPDATE_TIMEOUT_MS);
    const isKnown = [before.rootHash, target.rootHash].includes(running.rootHash);
    assert.ok(isKnown, `${what}: ${running.rootHash} runs`);
    if (running.rootHash === before.rootHash) stayed += 1;
    await assertWell(lab.node, what);
    if (cut % WHOLE_EVERY === 0) await proveGood(lab, await nextRelease(lab));
  }
  await proveGood(lab, await nextRelease(lab));
  return { cuts: count, stayed, seconds: (performance.now() - startMs) / 1000 };
}
