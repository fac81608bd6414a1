import assert from 'node:assert/strict';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  SlotChoice,
  SlotVerdict,
  type VerifySlotRequest,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { formatSpeed, progressText } from '../src/core/progress.ts';
import type { FakeHost } from './fake-host.ts';
import { createOperator, type Operator } from './operator.ts';

const HASH = 'ab'.repeat(32);
const INTACT = {
  slot: 1,
  running: true,
  device: '/dev/vda2',
  verdict: SlotVerdict.INTACT,
  source: 'command-line',
  rootHashExpected: HASH,
  rootHashFound: HASH,
  dataSha256: HASH,
  dataBytes: 40n * 2n ** 20n,
  treeBytes: 2n ** 20n,
  elapsed: durationFromMs(2000),
  fileSystem: { valid: true, files: 12n, directories: 3n, bytes: 2n ** 20n },
};
const DAMAGED = {
  ...INTACT,
  slot: 2,
  running: false,
  device: '/dev/vda3',
  verdict: SlotVerdict.DAMAGED,
  problem: '66 blocks differ from what was built.',
  badBlockCount: 66n,
  badBlocks: [
    { level: 0, block: 7n, offsetBytes: 28_672n, files: ['/usr/bin/keel', '/etc/\u001b[2Jx'] },
    { level: 2, block: 0n, offsetBytes: 41_943_040n, files: ['[hash tree]'] },
  ],
};

describe('osctl verify', () => {
  let operator: Operator;
  let host: FakeHost;

  beforeEach(async () => {
    operator = await createOperator();
    host = operator.host;
  });
  afterEach(() => operator.close());

  const verifies = (report: object, progress = 0) =>
    operator.given({
      verifySlot: async function* () {
        for (let step = 1; step <= progress; step += 1) {
          const value = { doneBytes: BigInt(step) * 2n ** 20n, totalBytes: 2n ** 22n };
          yield { event: { case: 'progress', value } };
        }
        yield { event: { case: 'report', value: report } };
      },
    });

  it('shows an intact slot with its speed, and exits with 0', async () => {
    const { requests } = await verifies(INTACT);
    const { exitCode, out, err } = await host.run(['verify']);
    assert.equal(exitCode, 0, err);
    assert.match(out, /^slot +A, running$/m);
    assert.match(out, /^verdict +intact$/m);
    assert.match(out, /^file system +well-formed: 12 files, 3 directories, 1\.0 MiB$/m);
    assert.match(out, /^took +2 s, 20\.5 MiB\/s$/m);
    assert.equal((requests[0] as VerifySlotRequest).slot, SlotChoice.RUNNING);
    assert.equal(err, '');
  });

  it('shows bad blocks with their files, and exits with 11', async () => {
    await verifies(DAMAGED);
    const { exitCode, out, err } = await host.run(['verify', '--slot', 'other']);
    assert.equal(exitCode, 11);
    assert.match(out, /^data +7 +28672 +\/usr\/bin\/keel, \/etc\/\\x1b\[2Jx$/m);
    assert.match(out, /^tree 2 +0 +41943040 +\[hash tree\]$/m);
    assert.match(out, /^and 64 more$/m);
    assert.match(err, /^osctl: Cannot trust slot B: 66 blocks differ from what was built\.$/m);
  });

  it('prints the report as JSON with a fixed shape, damaged or not', async () => {
    await verifies(DAMAGED);
    const { exitCode, out, err } = await host.run(['verify', '-o', 'json']);
    assert.equal(exitCode, 11);
    const data = JSON.parse(out);
    assert.deepEqual(Object.keys(data), [
      ...['slot', 'running', 'device', 'verdict', 'problem', 'source', 'rootHashExpected'],
      ...['rootHashFound', 'dataSha256', 'dataBytes', 'treeBytes', 'elapsedSeconds'],
      ...['badBlockCount', 'badBlocks', 'fileSystem'],
    ]);
    assert.deepEqual([data.slot, data.verdict, data.elapsedSeconds], ['b', 'damaged', 2]);
    assert.deepEqual(data.badBlocks[1], {
      level: 2,
      block: 0,
      offsetBytes: 41_943_040,
      files: ['[hash tree]'],
    });
    assert.equal(JSON.parse(err).error.code, 'E_SLOT_DAMAGED');
  });

  it('says that a slot is empty, which is no error', async () => {
    const problem = 'The slot holds nothing.';
    await verifies({ slot: 2, device: '/dev/vda3', verdict: SlotVerdict.EMPTY, problem });
    const { exitCode, out } = await host.run(['verify', '--slot', 'b']);
    assert.equal(exitCode, 0);
    assert.match(out, /^verdict +empty$/m);
    const json = JSON.parse((await host.run(['verify', '--slot', 'B', '-o', 'json'])).out);
    assert.deepEqual([json.verdict, json.fileSystem, json.badBlocks], ['empty', null, []]);
  });

  it('fails for a slot that cannot be verified, and for a verdict of a newer node', async () => {
    for (const verdict of [SlotVerdict.UNKNOWN, SlotVerdict.UNSPECIFIED, 99]) {
      await verifies({ slot: 2, device: '/dev/vda3', verdict, problem: 'no SquashFS' });
      const { exitCode, err } = await host.run(['verify', '--slot', 'other']);
      assert.equal(exitCode, 1);
      assert.match(err, /^osctl: Cannot verify slot B: no SquashFS$/m);
      await operator.stop();
    }
  });

  it('passes on that another verification runs', async () => {
    await operator.given({
      // biome-ignore lint/correctness/useYield: it fails before it has anything to send
      verifySlot: async function* () {
        throw new KeelError('E_VERIFY_RUNNING', 'Cannot verify slot a: another one runs');
      },
    });
    assert.equal((await host.run(['verify'])).exitCode, 9);
  });

  it('refuses a slot that there is not, before it calls', async () => {
    const { calls } = await verifies(INTACT);
    const { exitCode, err } = await host.run(['verify', '--slot', 'C']);
    assert.equal(exitCode, 2);
    assert.match(err, /The slots are A, B, running, other\./);
    assert.deepEqual(calls, []);
  });

  it('shows progress on a terminal only, on one line that is free again at the end', async () => {
    await verifies(INTACT, 3);
    assert.equal((await host.run(['verify'])).err, '');
    host.isErrShown = true;
    const { err } = await host.run(['verify']);
    const shown = err.split('\r\u001b[K');
    assert.equal(shown.length, 5);
    assert.match(shown[2] ?? '', /^verifying: {2}50 % of 4\.0 MiB, [\d.]+ [KMGT]iB\/s$/);
    assert.equal(shown.at(-1), '');
    assert.equal((await host.run(['verify', '-o', 'json'])).err, '');
  });

  it('counts against a time-out, and is cancelled with its call', async () => {
    let cancelled: Promise<unknown> = Promise.reject(new Error('never called'));
    cancelled.catch(() => undefined);
    await operator.given({
      verifySlot: async function* ({ signal }) {
        cancelled = new Promise((resolve) => signal.addEventListener('abort', resolve));
        await cancelled;
      },
    });
    const { exitCode } = await host.run(['verify', '--timeout', '300ms']);
    assert.equal(exitCode, 8);
    await cancelled;
  });

  it('tells speed and progress of nothing', () => {
    assert.equal(formatSpeed(5, 0), '-');
    assert.equal(progressText({ doneBytes: 0, totalBytes: 0, elapsedMs: 0 }), '  0 % of 0 B, -');
    assert.match(progressText({ doneBytes: 9, totalBytes: 3, elapsedMs: 1 }), /^100 %/);
  });
});
