/** Copying of roots, records, the history's bounds, and the speed that is told. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { HistoryEntry } from '@keelos/proto/update-record.ts';
import {
  EPOCH_RECORD,
  EVIDENCE_CHARS_MAX,
  EVIDENCE_MAX,
  HISTORY_MAX,
  KNOWN_EPOCHS_MAX,
  TRIAL_RECORD,
  UPDATE_PATHS,
} from '@keelos/proto/update-record.ts';
import { fittingHistory, withEntry } from '@keelos/ts-agent/core/update-record-shapes.ts';
import { speedOf, withSample } from '@keelos/ts-agent/core/update-status.ts';
import { copyRoot, FLUSH_BYTES, WRITE_BYTES } from '@keelos/ts-agent/shell/root-copy.ts';
import { UpdateHistory } from '@keelos/ts-agent/shell/update-history.ts';
import { UpdateProgress, WATCHERS_MAX } from '@keelos/ts-agent/shell/update-progress.ts';
import {
  epochFloor,
  failedRoots,
  keepTrial,
  knownEpoch,
  raiseEpochFloor,
  rememberEpoch,
  rememberFailedRoot,
  trialRecord,
} from '@keelos/ts-agent/shell/update-records.ts';
import { createFakeBlockDevice } from '@keelos/ts-agent/sys/block-device.fake.ts';
import { createFakeClock } from '@keelos/ts-agent/sys/clock.fake.ts';
import { MemoryStateStore } from '@keelos/ts-agent/sys/state-store.fake.ts';
import { DAMAGED_SUFFIX } from '@keelos/ts-agent/sys/state-store.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import fc from 'fast-check';
import { TRIAL } from './update-wishes.ts';

const SLOT_BYTES = 40 * WRITE_BYTES;
const CONTENT = Buffer.alloc(SLOT_BYTES);
for (let at = 0; at < SLOT_BYTES; at += 4) CONTENT.writeUInt32LE((at * 2_654_435_761) >>> 0, at);

/** Gives pieces of these sizes, one after the other, again and again; all of them in the same memory. */
function pieces(sizes: readonly number[]): UpdateSource {
  return {
    open: async () => ({ sizeBytes: SLOT_BYTES, name: 'pieces' }),
    async *read({ offsetBytes, lengthBytes }) {
      const memory = Buffer.alloc(WRITE_BYTES);
      const end = offsetBytes + lengthBytes;
      for (let at = offsetBytes, index = 0; at < end; index += 1) {
        const size = Math.min(sizes[index % sizes.length] ?? 1, end - at);
        CONTENT.copy(memory, 0, at, at + size);
        yield memory.subarray(0, size);
        at += size;
      }
    },
    close: async () => undefined,
  };
}

describe('copying of a root', () => {
  const NEVER = new AbortController().signal;
  const copy = async (of: { size: number; resumed: number; sizes: number[] }) => {
    const device = createFakeBlockDevice(Buffer.alloc(SLOT_BYTES));
    CONTENT.copy(device.bytes, 0, 0, of.resumed);
    const durable: number[] = [];
    let inFlight = 0;
    let inFlightMost = 0;
    const hash = await copyRoot({
      source: pieces(of.sizes),
      sizeBytes: of.size,
      resumedBytes: of.resumed,
      signal: NEVER,
      onProgress: () => undefined,
      onDurable: (bytes) => durable.push(bytes),
      device: {
        ...device,
        async writeAt(offset, bytes) {
          inFlight += 1;
          inFlightMost = Math.max(inFlightMost, inFlight);
          // The device takes its time, and looks at the bytes at the end of it.
          await new Promise((resolve) => setImmediate(resolve));
          await device.writeAt(offset, bytes);
          inFlight -= 1;
        },
      },
    });
    return { device, durable, digest: hash.digest('hex'), inFlightMost };
  };

  it('whatever the pieces, the bytes and their hash are right (seed printed by fast-check)', async () => {
    const size = fc.integer({ min: 1, max: 3 * WRITE_BYTES });
    await fc.assert(
      fc.asyncProperty(
        size,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.array(fc.integer({ min: 1, max: WRITE_BYTES }), { minLength: 1, maxLength: 6 }),
        async (size, share, sizes) => {
          // Pieces of a few bytes would take for ever, and show nothing else.
          const large = sizes.map((one) => Math.max(one, 4_000));
          const resumed = Math.floor(share * size);
          const { device, digest, durable, inFlightMost } = await copy({
            size,
            resumed,
            sizes: large,
          });
          const expected = CONTENT.subarray(0, size);
          assert.ok(device.bytes.subarray(0, size).equals(expected));
          assert.equal(digest, createHash('sha256').update(expected).digest('hex'));
          assert.equal(durable.at(-1), size);
          assert.ok(inFlightMost <= 1, `${inFlightMost} writes at once`);
        },
      ),
      { numRuns: 40 },
    );
  });

  it('flushes before it says what is durable, every 16 MiB', async () => {
    const { device, durable } = await copy({ size: SLOT_BYTES, resumed: 0, sizes: [WRITE_BYTES] });
    assert.deepEqual(durable, [FLUSH_BYTES, 2 * FLUSH_BYTES, SLOT_BYTES]);
    let written = 0;
    const flushedAt: number[] = [];
    for (const call of device.calls) {
      if (call.kind === 'write') written = call.offsetBytes + call.lengthBytes;
      if (call.kind === 'flush') flushedAt.push(written);
    }
    assert.deepEqual(flushedAt, durable);
  });

  it('a source that gives too little or too much, and a disk that fails, end it', async () => {
    const short: UpdateSource = {
      ...pieces([1000]),
      read: (range, signal) => pieces([1000]).read({ ...range, lengthBytes: 9 }, signal),
    };
    const long: UpdateSource = {
      ...pieces([1000]),
      read: (range, signal) =>
        pieces([1000]).read({ ...range, lengthBytes: range.lengthBytes + 9 }, signal),
    };
    const run = (source: UpdateSource, failAfter?: number) => {
      const device = createFakeBlockDevice(Buffer.alloc(SLOT_BYTES));
      device.failAfter = failAfter;
      return copyRoot({
        source,
        device,
        sizeBytes: 5_000,
        resumedBytes: 0,
        signal: NEVER,
        onProgress: () => undefined,
        onDurable: () => undefined,
      });
    };
    await assert.rejects(run(short), { code: 'E_BUNDLE_TRUNCATED' });
    await assert.rejects(run(long), { code: 'E_SOURCE_LONG' });
    await assert.rejects(run(pieces([1000]), 0), { code: 'E_SLOT_WRITE' });
    await assert.rejects(run(pieces([1000]), 1), { code: 'E_SLOT_WRITE' });
  });
});

const RELEASE = { slot: 'a', version: '1', rootHash: 'ab'.repeat(32) } as const;
const entry = (id: string, evidence: readonly string[] = []): HistoryEntry => ({
  id,
  kind: 'update',
  automatic: false,
  who: 'CN=x',
  reason: '',
  from: RELEASE,
  to: RELEASE,
  startedMs: 1,
  endedMs: 0,
  outcome: 'open',
  cause: '',
  code: '',
  evidence,
});
describe('records about updates', () => {
  const node = () => {
    const state = new MemoryStateStore();
    const logged: string[] = [];
    return { state, logged, clock: createFakeClock(5), log: (line: string) => logged.push(line) };
  };

  it('are read back; newer releases may add keys', () => {
    const ports = node();
    assert.equal(trialRecord(ports), undefined);
    keepTrial(ports, TRIAL);
    assert.deepEqual(trialRecord(ports), TRIAL);
    const more = encodeRecord(TRIAL_RECORD, { ...TRIAL, later: 1 });
    ports.state.replace(UPDATE_PATHS.trial, more);
    assert.equal(trialRecord(ports)?.id, 'one');
  });

  it('have the time-out that PID 1 reads in them, whatever is written there', () => {
    const ports = node();
    for (const [written, read] of [
      [0, 300],
      [0.5, 300],
      [1, 1],
      [86_400, 86_400],
      [86_401, 300],
    ] as const) {
      keepTrial(ports, { ...TRIAL, policy: { ...TRIAL.policy, healthTimeoutSeconds: written } });
      assert.equal(trialRecord(ports)?.policy.healthTimeoutSeconds, read);
    }
  });

  it('that are damaged, or have another shape, are set aside and count as none', () => {
    const whole = encodeRecord(TRIAL_RECORD, TRIAL);
    const flipped = Buffer.from(whole);
    flipped[whole.length - 5] = (flipped[whole.length - 5] ?? 0) ^ 1;
    const shapes = [
      { ...TRIAL, to: { ...RELEASE, slot: 'c' } },
      { ...TRIAL, sequence: -1 },
      [],
      null,
    ];
    const damaged = [flipped, whole.subarray(0, 50), Buffer.alloc(0)];
    for (const bytes of [...damaged, ...shapes.map((one) => encodeRecord(TRIAL_RECORD, one))]) {
      const ports = node();
      ports.state.replace(UPDATE_PATHS.trial, bytes);
      assert.equal(trialRecord(ports), undefined);
      assert.ok(ports.state.files.has(UPDATE_PATHS.trial + DAMAGED_SUFFIX));
      assert.match(ports.logged[0] ?? '', /^record set aside: /);
    }
  });

  it('a floor never sinks, and a root that failed twice is remembered once, last', () => {
    const ports = node();
    for (const [epoch, floor] of [
      [3, 3],
      [2, 3],
      [4, 4],
    ] as const) {
      raiseEpochFloor(ports, epoch);
      assert.equal(epochFloor(ports), floor);
    }
    assert.equal(knownEpoch(ports, 'a'), undefined);
    for (const [rootHash, epoch] of [
      ['a', 1],
      ['b', 2],
      ['a', 3],
    ] as const) {
      rememberEpoch(ports, { rootHash, epoch });
    }
    raiseEpochFloor(ports, 9);
    assert.deepEqual(
      [knownEpoch(ports, 'a'), knownEpoch(ports, 'b'), epochFloor(ports)],
      [3, 2, 9],
    );
    for (let one = 0; one < KNOWN_EPOCHS_MAX - 1; one += 1) {
      rememberEpoch(ports, { rootHash: `${one}`, epoch: 4 });
    }
    assert.deepEqual([knownEpoch(ports, 'a'), knownEpoch(ports, 'b')], [3, undefined]);
    ports.state.replace(UPDATE_PATHS.epoch, encodeRecord(EPOCH_RECORD, { epoch: 5 }));
    assert.deepEqual([epochFloor(ports), knownEpoch(ports, 'a')], [5, undefined]);
    for (const hash of ['a', 'b', 'a']) {
      rememberFailedRoot(ports, { rootHash: hash, version: '1', atMs: 1, cause: hash });
    }
    assert.deepEqual(
      failedRoots(ports).map(({ rootHash }) => rootHash),
      ['a', 'b'],
    );
  });

  it('the history keeps the newest, and its record always fits', () => {
    const ports = node();
    const history = new UpdateHistory(ports);
    const evidence = Array.from({ length: EVIDENCE_MAX + 4 }, () =>
      'é'.repeat(EVIDENCE_CHARS_MAX + 9),
    );
    for (let number = 0; number < HISTORY_MAX + 20; number += 1) {
      history.put(entry(`id-${number}`, evidence));
    }
    const kept = history.entries();
    assert.equal(kept.length, HISTORY_MAX);
    assert.equal(kept[0]?.id, `id-${HISTORY_MAX + 19}`);
    assert.equal(kept[0]?.evidence.length, EVIDENCE_MAX);
    assert.equal(kept[0]?.evidence[0]?.length, EVIDENCE_CHARS_MAX);
    assert.deepEqual(kept.at(-1)?.evidence, [], 'the oldest evidence goes first');
    const size = Buffer.byteLength(JSON.stringify(kept));
    assert.ok(size < 900_100, `${size} bytes`);
    assert.deepEqual(fittingHistory([entry('x')], 10), []);
    assert.equal(withEntry([entry('a'), entry('b')], { ...entry('b'), cause: 'c' })[1]?.cause, 'c');
  });

  it('the history forgets installs that changed nothing before anything else', () => {
    const told = (id: string, outcome: HistoryEntry['outcome']) => ({ ...entry(id), outcome });
    let kept: readonly HistoryEntry[] = [told('by-hand', 'committed')];
    for (let number = 0; number < 3 * HISTORY_MAX; number += 1) {
      kept = withEntry(kept, told(`look-${number}`, 'failed'));
    }
    assert.equal(kept.length, HISTORY_MAX);
    assert.equal(kept[0]?.id, `look-${3 * HISTORY_MAX - 1}`);
    assert.equal(kept.at(-1)?.id, 'by-hand');
    for (let number = 0; number < HISTORY_MAX; number += 1) {
      kept = withEntry(kept, told(`good-${number}`, 'committed'));
    }
    assert.equal(kept.at(-1)?.id, 'good-0', 'the oldest goes when most of them tell something');
    kept = withEntry(kept, told('once', 'failed'));
    kept = withEntry(kept, told('twice', 'failed'));
    assert.deepEqual(
      kept.slice(0, 2).map(({ id }) => id),
      ['twice', 'once'],
      'what failed before is known the next time',
    );
  });

  it('an entry is closed once, and noted only while it is open', () => {
    const history = new UpdateHistory(node());
    history.put(entry('one'));
    history.note('one', { cause: 'why' });
    history.close('one', { outcome: 'rolled-back' });
    history.close('one', { outcome: 'committed' });
    history.note('one', { cause: 'other' });
    history.close('two', { outcome: 'committed' });
    assert.deepEqual(
      history.entries().map((one) => [one.id, one.outcome, one.cause, one.endedMs]),
      [['one', 'rolled-back', 'why', 5]],
    );
  });
});

describe('the speed of a copy', () => {
  it('is that of the last seconds, and begins anew with the count', () => {
    let samples = withSample([], { atMs: 0, doneBytes: 0 });
    // A megabyte a second for ten seconds, then two.
    for (let ms = 100; ms <= 20_000; ms += 100) {
      const doneBytes = ms <= 10_000 ? ms * 1_000 : 10_000_000 + (ms - 10_000) * 2_000;
      samples = withSample(samples, { atMs: ms, doneBytes });
      assert.ok(samples.length <= 22, `${samples.length} samples`);
    }
    const now = { atMs: 20_000, doneBytes: 30_000_000, totalBytes: 40_000_000 };
    assert.deepEqual(speedOf(samples, now), { bytesPerSecond: 2_000_000, remainingMs: 5_000 });
    samples = withSample(samples, { atMs: 20_100, doneBytes: 5 });
    assert.equal(samples.length, 1);
    const none = { bytesPerSecond: 0, remainingMs: undefined };
    assert.deepEqual(speedOf(samples, { atMs: 20_200, doneBytes: 50, totalBytes: 90 }), none);
    assert.deepEqual(speedOf([], now), none);
    const stalled = { atMs: 22_000, doneBytes: 5, totalBytes: 90 };
    assert.deepEqual(speedOf(samples, stalled), none);
  });
});

describe('watchers of an update', () => {
  it('one too many is refused, not told that it is over; one who leaves makes room', async () => {
    const progress = new UpdateProgress(createFakeClock(0));
    progress.change({ id: 'u', phase: 'writing' });
    const watch = () => progress.watch(new AbortController().signal);
    const watchers = Array.from({ length: WATCHERS_MAX }, watch);
    for (const watcher of watchers) assert.equal((await watcher.next()).value?.phase, 'writing');
    await assert.rejects(watch().next(), { code: 'E_LIMIT_EXCEEDED' });
    await watchers[0]?.return(undefined);
    const again = watch();
    assert.equal((await again.next()).value?.phase, 'writing');
    for (const watcher of [...watchers, again]) await watcher.return(undefined);
  });

  it('hear of a thousand pieces a few times in a second, and of a new phase at once', async () => {
    const clock = createFakeClock(0);
    const progress = new UpdateProgress(clock);
    progress.change({ id: 'u', phase: 'writing' });
    const heard: string[] = [];
    const { signal } = new AbortController();
    const listening = (async () => {
      for await (const { phase, doneBytes } of progress.watch(signal)) {
        heard.push(`${phase} ${doneBytes}`);
      }
    })();
    await turnOfLoop();
    for (let piece = 1; piece <= 1000; piece += 1) {
      clock.advance(1);
      progress.count(piece, 1000);
      await turnOfLoop();
    }
    assert.equal(progress.status.doneBytes, 1000);
    assert.equal(getEventListeners(signal, 'abort').length, 1);
    progress.change({ phase: 'verifying' });
    await turnOfLoop();
    progress.change({ phase: 'failed' });
    await listening;
    const writing = ['writing 0', 'writing 250', 'writing 500', 'writing 750', 'writing 1000'];
    assert.deepEqual(heard, [...writing, 'verifying 1000', 'failed 1000']);
  });
});
