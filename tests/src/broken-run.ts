/** Runs modes of {@link BROKEN_MODES} on one node, one after the other, and tells what each took. */
import assert from 'node:assert/strict';
import { UpdateOutcome } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { BrokenMode } from './broken-modes.ts';
import type { ReleaseName } from './release-variants.data.ts';
import type { Try, UpdateLab } from './update-lab.ts';
import { assertWell } from './update-view.ts';

const CAUSE_CHARS_MAX = 72;

/** Breaks it and asserts that the old release runs again: unattended, in time, with the cause written down. */
export async function proveMode(lab: UpdateLab, mode: BrokenMode): Promise<Try> {
  const { exitCode, bootsMax, cause, evidence, isFallback = false } = mode.expected;
  const seen = await lab.watch(() => mode.run(lab));
  const { ended, before, after, boots, entry } = seen;
  assert.equal(ended.exitCode, exitCode, `${ended.stderr}${ended.stdout}`);
  assert.deepEqual(after, before, 'another release runs than before');
  assert.ok(boots <= bootsMax, `${boots} boots, at most ${bootsMax}`);
  if (cause !== undefined) {
    assert.ok(entry !== undefined, 'nothing was written into the history');
    const outcome = isFallback ? UpdateOutcome.COMMITTED : UpdateOutcome.ROLLED_BACK;
    assert.deepEqual([entry.outcome, entry.automatic], [outcome, true]);
    assert.match(entry.cause, cause);
    if (evidence !== undefined) assert.match(entry.evidence.join('\n'), evidence);
  }
  await assertWell(lab.node, mode.name);
  return seen;
}

/** A good update works at once. */
export async function proveGood(lab: UpdateLab, name: ReleaseName): Promise<void> {
  const { ended, after } = await lab.tryRelease(name);
  assert.equal(ended.exitCode, 0, `${ended.stderr}${ended.stdout}`);
  assert.equal(after.rootHash, (await lab.factory.bundle(name)).rootHash);
}

/** A line of the table: mode, boots, seconds, recorded cause. */
export function modeLine(mode: BrokenMode, { boots, seconds, entry, ended }: Try): string {
  const refusal = ended.stderr.trim().split('\n')[0] ?? '';
  const cause = (entry?.cause ?? refusal).slice(0, CAUSE_CHARS_MAX);
  return [
    mode.name.padEnd(26),
    String(boots).padStart(3),
    seconds.toFixed(0).padStart(6),
    ` ${cause === '' ? '-' : cause}`,
  ].join(' ');
}
