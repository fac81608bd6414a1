/** Runs modes of {@link BROKEN_MODES} on one node, one after the other, and tells what each took. */
import assert from 'node:assert/strict';
import { UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { BrokenMode, Told } from './broken-modes.ts';
import type { ReleaseName } from './release-variants.data.ts';
import type { Try, UpdateLab } from './update-lab.ts';

const CAUSE_CHARS_MAX = 72;

/** Breaks it and asserts that the old release runs again: unattended, in time, with the cause written down. */
export async function proveMode(lab: UpdateLab, mode: BrokenMode): Promise<Try> {
  const { exitCode, bootsMax, cause, evidence, told = 'rolled-back' } = mode.expected;
  const seen = await lab.watch(() => mode.run(lab));
  const { ended, before, after, boots, entry } = seen;
  assert.equal(ended.exitCode, exitCode, `${ended.stderr}${ended.stdout}`);
  assert.deepEqual(after, before, 'another release runs than before');
  assert.ok(boots <= bootsMax, `${boots} boots, at most ${bootsMax}`);
  assert.ok(entry !== undefined, 'nothing was written into the history');
  assert.deepEqual([entry.kind, entry.outcome, entry.automatic], TOLD[told]);
  assert.match(entry.cause, cause);
  if (evidence !== undefined) assert.match(entry.evidence.join('\n'), evidence);
  await lab.assertWell(mode.name);
  return seen;
}

/** Kind, outcome, and whether nobody asked for it. */
const TOLD = {
  'rolled-back': ['update', UpdateOutcome.ROLLED_BACK, true],
  refused: ['update', UpdateOutcome.FAILED, false],
  'gave-way': ['rollback', UpdateOutcome.COMMITTED, true],
  repaired: ['repair', UpdateOutcome.COMMITTED, true],
} as const satisfies Record<Told, readonly [string, UpdateOutcome, boolean]>;

/** A good update works at once. */
export async function proveGood(
  lab: UpdateLab,
  name: ReleaseName,
  ...options: readonly string[]
): Promise<void> {
  const { ended, after } = await lab.tryRelease(name, ...options);
  assert.equal(ended.exitCode, 0, `${ended.stderr}${ended.stdout}`);
  assert.equal(after.rootHash, (await lab.factory.bundle(name)).rootHash);
}

/** A line of the table: mode, boots, seconds, recorded cause. */
export function modeLine(mode: BrokenMode, { boots, seconds, entry }: Try): string {
  const cause = (entry?.cause ?? '').slice(0, CAUSE_CHARS_MAX);
  return [
    mode.name.padEnd(26),
    String(boots).padStart(3),
    seconds.toFixed(0).padStart(6),
    ` ${cause === '' ? '-' : cause}`,
  ].join(' ');
}
