/** What tests about updates ask for, and a node on which it has begun. */
import assert from 'node:assert/strict';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { TrialPolicy, TrialRecord } from '@keelos/proto/update-record.ts';
import type { UpdateOptions } from '@keelos/ts-agent/shell/update-engine.ts';
import { trialRecord } from '@keelos/ts-agent/shell/update-records.ts';
import { testRoot } from './slot-disk.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

export const POLICY: TrialPolicy = {
  autoRollback: true,
  healthTimeoutSeconds: 60,
  minHealthySeconds: 10,
};
/** An update that reboots by itself. */
export const OPTIONS: UpdateOptions = {
  sha256: '',
  isDryRun: false,
  isRebootLeft: false,
  retryFailed: false,
  policy: POLICY,
};
/** An update whose reboot is the operator's. */
export const REBOOT_LEFT: UpdateOptions = { ...OPTIONS, isRebootLeft: true };
/** An update of slot B that is on trial. */
export const TRIAL: TrialRecord = {
  id: 'one',
  kind: 'update',
  sequence: 7,
  who: 'CN=x',
  reason: '',
  armedMs: 1,
  armedBootId: 'b',
  from: { slot: 'a', version: '0.1.0', rootHash: 'ab'.repeat(32) },
  to: { slot: 'b', version: '0.2.0', rootHash: 'cd'.repeat(32) },
  policy: POLICY,
  isRebootLeft: true,
  hadGateway: false,
  heldChecks: [],
};
/** Root of 0.2.0. */
export const NEW = testRoot(2, 200);
export const WHO = 'CN=alice';

/** For assert.rejects: an error with that code and no other. */
export const fails = (code: ErrorCode) => (error: unknown) =>
  error instanceof KeelError && (error.code === code || assert.equal(error.code, code) === null);

/** A node on which 0.2.0 is armed and the machine has been started again. */
export async function inTrial() {
  const node = new UpdateWorld();
  const bundle = madeBundle(NEW);
  node.know(NEW, '0.2.0');
  await node.engine.install(new MemorySource(bundle.bytes), OPTIONS, WHO);
  assert.equal(await node.boot(), '0.2.0');
  return { node, bundle };
}

/** A node on which 0.2.0 is armed, and its trial record. */
export async function armed(): Promise<{ node: UpdateWorld; record: TrialRecord }> {
  const node = new UpdateWorld();
  node.know(NEW, '0.2.0');
  await node.engine.install(new MemorySource(madeBundle(NEW).bytes), REBOOT_LEFT, 'CN=a');
  const record = trialRecord(node.ports);
  assert.ok(record);
  return { node, record };
}

/** Outcome and cause of each entry of the history. */
export const historyOf = (node: UpdateWorld) =>
  node.engine.history.entries().map(({ outcome, cause }) => `${outcome} ${cause}`.trim());
