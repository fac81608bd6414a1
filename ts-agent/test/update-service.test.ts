import assert from 'node:assert/strict';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  DiagnosticsService,
  SlotChoice,
  SlotVerdict,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { Slot } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  SlotState,
  UpdateOutcome,
  UpdatePhase,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { collect, failure, failureCode, Openings, TestClient } from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';
import { testRoot } from './slot-disk.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const NEW = testRoot(2, 200);
const URL = 'https://bundles.example/keelos.squashfs';
const POLICY = {
  autoRollback: true,
  healthCheckTimeout: durationFromMs(600_000),
  minHealthy: durationFromMs(0),
};

describe('the calls about updates', function () {
  this.timeout(30_000);
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  const certificate = makeCertificate();
  const started = async (node: UpdateWorld) => {
    node.world.httpSource = async () => new MemorySource(madeBundle(NEW).bytes);
    const agent = openings.add(await node.world.start());
    const client = openings.add(new TestClient(agent, certificate));
    if (node.world.token !== '') await client.enrol(node.world.token).catch(() => undefined);
    return client;
  };

  it('start, watch, slots, cancel, history', async () => {
    const node = new UpdateWorld();
    const client = await started(node);
    const options = { noReboot: true, policy: POLICY };
    const { status } = await client.call(UpdateService, 'startUpdate', { url: URL, options });
    assert.equal(status?.version, '0.2.0');
    assert.equal(status?.slot, Slot.B);
    const seen: UpdatePhase[] = [];
    for await (const one of client.stream(UpdateService, 'watchUpdate', {})) {
      seen.push(one.status?.phase ?? UpdatePhase.UNSPECIFIED);
      if (seen.at(-1) === UpdatePhase.ARMED) break;
    }
    assert.deepEqual(
      seen,
      [...seen].sort((a, b) => a - b),
    );
    const { slots, bootCounting, bootOptions } = await client.call(UpdateService, 'listSlots', {});
    assert.deepEqual(
      slots.map((one) => [one.slot, one.state, one.running, one.next, one.version, one.triesLeft]),
      [
        [Slot.A, SlotState.COMMITTED, true, false, '0.1.0', slots[0]?.triesLeft],
        [Slot.B, SlotState.ARMED, false, true, '0.2.0', 1],
      ],
    );
    assert.equal(bootCounting, true);
    assert.equal(bootOptions.length, 3);
    const second = client.call(UpdateService, 'startUpdate', { url: URL, options });
    assert.equal(await failureCode(second), 'E_UPDATE_UNSETTLED');
    const ended = await client.call(UpdateService, 'cancelUpdate', { id: status?.id ?? '' });
    assert.equal(ended.status?.phase, UpdatePhase.CANCELLED);
    const { entries } = await client.call(UpdateService, 'listRollbackHistory', {});
    assert.deepEqual(
      entries.map((one) => [one.id, one.kind, one.outcome, one.to?.version, one.who !== '']),
      [[status?.id, 'update', UpdateOutcome.CANCELLED, '0.2.0', true]],
    );
  });

  it('a slot is not verified while it is written, and what a cut install left is not damage', async () => {
    const node = new UpdateWorld();
    const client = await started(node);
    const source = new MemorySource(madeBundle(NEW).bytes);
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    source.onPiece = async (at) => {
      if (at < 400_000 || at > 700_000) return;
      reached.resolve();
      await goOn.promise;
      throw new KeelError('E_SOURCE_UNREACHABLE', 'gone');
    };
    node.world.httpSource = async () => source;
    await client.call(UpdateService, 'startUpdate', { url: URL, options: { policy: POLICY } });
    await reached.promise;
    const verify = (slot: SlotChoice) =>
      collect(client.stream(DiagnosticsService, 'verifySlot', { slot }));
    const verdict = async (slot: SlotChoice) => {
      const { event } = (await verify(slot)).at(-1) ?? {};
      assert.ok(event?.case === 'report');
      return [event.value.verdict, event.value.problem];
    };
    assert.equal(await failureCode(verify(SlotChoice.OTHER)), 'E_UPDATE_RUNNING');
    assert.deepEqual(await verdict(SlotChoice.RUNNING), [SlotVerdict.INTACT, '']);
    goOn.resolve();
    await collect(client.stream(UpdateService, 'watchUpdate', {}));
    const { slots } = await client.call(UpdateService, 'listSlots', {});
    assert.equal(slots[1]?.state, SlotState.PARTIAL);
    const [unfinished, problem] = await verdict(SlotChoice.OTHER);
    assert.equal(unfinished, SlotVerdict.UNKNOWN);
    assert.match(String(problem), /^An install into this slot has begun and not ended/);
    node.world.httpSource = async () => new MemorySource(madeBundle(NEW).bytes);
    const options = { policy: POLICY, noReboot: true };
    await client.call(UpdateService, 'startUpdate', { url: URL, options });
    for await (const { status } of client.stream(UpdateService, 'watchUpdate', {})) {
      if (status?.phase === UpdatePhase.ARMED) break;
    }
    assert.deepEqual(await verdict(SlotChoice.OTHER), [SlotVerdict.INTACT, '']);
  });

  it('the trial is committed by the agent that starts in it, and told to who watches', async () => {
    const node = new UpdateWorld();
    node.know(NEW, '0.2.0');
    const before = await started(node);
    const options = { policy: POLICY };
    const { status } = await before.call(UpdateService, 'startUpdate', { url: URL, options });
    const id = status?.id ?? '';
    for await (const one of before.stream(UpdateService, 'watchUpdate', { id })) {
      if (one.status?.phase === UpdatePhase.ARMED && node.isRebootAsked) break;
    }
    await openings.closeAll();
    assert.equal(await node.boot(), '0.2.0');
    const after = await started(node);
    const phases: UpdatePhase[] = [];
    for await (const one of after.stream(UpdateService, 'watchUpdate', {})) {
      assert.equal(one.status?.id, id);
      phases.push(one.status?.phase ?? UpdatePhase.UNSPECIFIED);
    }
    assert.equal(phases.at(-1), UpdatePhase.COMMITTED);
    const { slots } = await after.call(UpdateService, 'listSlots', {});
    assert.deepEqual(
      slots.map((one) => [one.slot, one.state, one.running, one.entry]),
      [
        [Slot.A, SlotState.COMMITTED, false, slots[0]?.entry],
        [Slot.B, SlotState.COMMITTED, true, 'keel-2+9.conf'],
      ],
    );
  });

  it('what cannot be meant is refused before anything is asked', async () => {
    const client = await started(new UpdateWorld());
    const seconds = (value: number) => durationFromMs(value * 1000);
    const minHealthy = seconds(0);
    const CASES = [
      [{ sha256: 'ABC' }, /sha256/],
      [{ policy: { healthCheckTimeout: seconds(-1) } }, /-1 s, expected 1 s to 86400 s/],
      [{ policy: { healthCheckTimeout: seconds(0), minHealthy } }, /0 s, expected 1 s to/],
      [{ policy: { healthCheckTimeout: seconds(0.9), minHealthy } }, /0.9 s, expected 1 s to/],
      [{ policy: { healthCheckTimeout: seconds(90_000) } }, /90000 s, expected 1 s to 86400 s/],
      [{ policy: { minHealthy: seconds(-1) } }, /min_healthy: -1 s, expected 0 s to/],
      [
        {
          policy: {
            autoRollback: true,
            healthCheckTimeout: seconds(5),
            minHealthy: seconds(5),
          },
        },
        /5 s, expected more than min_healthy \(5 s\)/,
      ],
    ] as const;
    for (const [options, message] of CASES) {
      const call = client.call(UpdateService, 'startUpdate', { url: URL, options });
      const refusal = await failure(call);
      assert.equal(refusal.detail?.code, 'E_INVALID_ARGUMENT');
      assert.match(refusal.error.message, message);
    }
    // The shortest time that goes without auto-rollback is not held against a default that has no effect.
    const short = { dryRun: true, policy: { healthCheckTimeout: seconds(8) } };
    await client.call(UpdateService, 'startUpdate', { url: URL, options: short });
    await collect(client.stream(UpdateService, 'watchUpdate', {}));
    for (const reason of ['', '   ', 'x'.repeat(257)]) {
      const call = client.call(UpdateService, 'triggerRollback', { reason, policy: POLICY });
      assert.equal(await failureCode(call), 'E_INVALID_ARGUMENT', reason);
    }
    const long = client.call(UpdateService, 'listRollbackHistory', { limit: 101 });
    assert.equal(await failureCode(long), 'E_INVALID_ARGUMENT');
    const rollback = client.call(UpdateService, 'triggerRollback', { reason: 'r', policy: POLICY });
    assert.equal(await failureCode(rollback), 'E_SLOT_EMPTY');
    const nothing = await failure(client.call(UpdateService, 'cancelUpdate', {}));
    assert.equal(nothing.detail?.code, 'E_NOT_FOUND');
  });
});
