import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Message } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import { type PushUpdateRequest, UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { FakeCall, Handler } from './fake-node.ts';
import { operatorOfEachTest } from './operator.ts';
import { updateState } from './updating-node.ts';

const SIZE_BYTES = 1_000_003;
/** Bytes in one message at most, by the API. */
const MESSAGE_BYTES_MAX = 512 * 1024;

/** The next bytes of a call, as many as were asked for. */
async function take(messages: AsyncIterator<Message>, sizeBytes: number): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let doneBytes = 0;
  while (doneBytes < sizeBytes) {
    const { value, done } = await messages.next();
    if (done === true) throw new Error(`the call ended after ${doneBytes} of ${sizeBytes} bytes`);
    const { message } = value as PushUpdateRequest;
    assert.equal(message.case, 'data');
    const data = message.value as Uint8Array;
    assert.ok(data.length > 0 && data.length <= MESSAGE_BYTES_MAX, `${data.length} bytes`);
    parts.push(data);
    doneBytes += data.length;
  }
  assert.equal(doneBytes, sizeBytes, 'more bytes than were asked for');
  return Buffer.concat(parts);
}

const wanted = (offsetBytes: number, sizeBytes: number) => ({
  message: {
    case: 'wanted',
    value: { offsetBytes: BigInt(offsetBytes), sizeBytes: BigInt(sizeBytes) },
  },
});
const told = (phase: UpdatePhase, doneBytes = 0) => ({
  message: {
    case: 'status',
    value: updateState(phase, { doneBytes: BigInt(doneBytes), totalBytes: BigInt(SIZE_BYTES) }),
  },
});

describe('osctl update from a file', () => {
  const operator = operatorOfEachTest();
  const { given, stop } = operator;
  let bundle: Buffer;
  let path: string;

  beforeEach(async () => {
    bundle = randomBytes(SIZE_BYTES);
    path = join(operator.host.folder, 'keelos-0.2.0-x86_64.squashfs');
    await writeFile(path, bundle);
  });
  const run = (...args: string[]) => operator.host.run(['update', '--source', path, ...args]);

  /** A node that takes a push; `states` are what it tells of the install, the last one for good. */
  function takes(
    pushUpdate: Handler,
    states: () => readonly object[] = () => [{}],
  ): ReturnType<typeof given> {
    return given({
      pushUpdate,
      watchUpdate: async function* () {
        for (const status of states()) yield { status };
      },
    });
  }

  /** Asks for `ranges` one after the other, and compares what comes. */
  async function* asks({ messages }: FakeCall, ranges: readonly [number, number][]) {
    for (const [offset, size] of ranges) {
      yield wanted(offset, size);
      const bytes = await take(messages, size);
      assert.ok(bytes.equals(bundle.subarray(offset, offset + size)), `bytes at ${offset}`);
    }
  }

  it('sends the ranges that the node asks for, in any order', async () => {
    const { requests } = await takes(async function* (call) {
      yield* asks(call, [
        [SIZE_BYTES - 4096, 4096],
        [0, 700_000],
        [700_000, SIZE_BYTES - 700_000],
        [5, 1],
      ]);
      yield told(UpdatePhase.ARMED);
    });
    const ran = await run('--enable-auto-rollback');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.out, /^0\.2\.0 is armed: /);
    const message = requests.map((one) => (one as PushUpdateRequest).message?.case === 'start');
    const { message: start } = requests[message.indexOf(true)] as PushUpdateRequest;
    assert.ok(start.case === 'start');
    const { name, sizeBytes, options } = start.value;
    assert.deepEqual([name, sizeBytes], ['keelos-0.2.0-x86_64.squashfs', BigInt(SIZE_BYTES)]);
    assert.equal(options?.policy?.autoRollback, true);
  });

  it('shows the phases of the install, and not the install before', async () => {
    let phase = UpdatePhase.UNSPECIFIED;
    const before = { id: 'u-6', phase: UpdatePhase.FAILED, version: '0.1.9' };
    await takes(
      async function* (call) {
        phase = UpdatePhase.WRITING;
        yield* asks(call, [[0, 1000]]);
        yield told(UpdatePhase.ARMED);
      },
      () => (phase === UpdatePhase.UNSPECIFIED ? [before] : [updateState(phase)]),
    );
    const ran = await run();
    assert.equal(ran.exitCode, 0, ran.err);
    assert.ok(['', 'writing 0.2.0\n'].includes(ran.err), ran.err);
  });

  it('follows the install when the call ends with the last byte', async () => {
    let isSent = false;
    const { calls } = await takes(
      async function* (call) {
        yield* asks(call, [[0, SIZE_BYTES]]);
        isSent = true;
        yield told(UpdatePhase.VERIFYING);
      },
      () => (isSent ? [updateState(UpdatePhase.ARMED)] : [{}]),
    );
    const ran = await run('-o', 'json');
    assert.equal(ran.exitCode, 0, ran.err);
    assert.equal(JSON.parse(ran.out).status.phase, 'armed');
    assert.equal(calls.at(-1), 'WatchUpdate');
  });

  /** A node that loses the connection in each of the first `losses` calls, after `bytesEach` bytes more. */
  function losesConnections(losses: number, bytesEach: number) {
    let doneBytes = 0;
    let calls = 0;
    return takes(
      async function* (call) {
        calls += 1;
        yield* asks(call, [[SIZE_BYTES - 100, 100]]);
        if (calls > losses) {
          yield* asks(call, [[doneBytes, SIZE_BYTES - doneBytes]]);
          yield told(UpdatePhase.ARMED);
          return;
        }
        if (bytesEach > 0) yield* asks(call, [[doneBytes, bytesEach]]);
        doneBytes += bytesEach;
        throw new KeelError('E_UNREACHABLE', 'Cannot go on: the connection broke');
      },
      () => [calls === 0 ? {} : updateState(UpdatePhase.WRITING, { doneBytes: BigInt(doneBytes) })],
    );
  }

  it('goes on where the node was after each lost connection', async () => {
    await losesConnections(30, 10_000);
    const ran = await run();
    assert.equal(ran.exitCode, 0, ran.err);
    assert.match(ran.err, /waiting: Cannot go on: the connection broke/);
  });

  it('gives up when the install comes no further', async () => {
    const { calls } = await losesConnections(1000, 0);
    const ran = await run();
    assert.equal(ran.exitCode, 3);
    const pushes = calls.filter((name) => name === 'PushUpdate').length;
    assert.ok(pushes >= 11 && pushes <= 12, `${pushes} calls`);
  });

  it('waits for the node to notice that the call before is gone', async () => {
    let calls = 0;
    await takes(
      async function* (call) {
        calls += 1;
        if (calls === 2) throw new KeelError('E_UPDATE_RUNNING', 'Cannot install: another runs');
        yield* asks(call, [[0, 10]]);
        if (calls === 1) throw new KeelError('E_UNREACHABLE', 'Cannot go on: lost');
        yield told(UpdatePhase.ARMED);
      },
      () => [calls === 0 ? {} : updateState(UpdatePhase.WRITING)],
    );
    assert.equal((await run()).exitCode, 0);
    assert.equal(calls, 3);
  });

  it('does not send again what the node has in full', async () => {
    let isSent = false;
    const { calls } = await takes(
      async function* (call) {
        yield* asks(call, [[0, SIZE_BYTES]]);
        isSent = true;
        throw new KeelError('E_UNREACHABLE', 'Cannot go on: lost');
      },
      () => [isSent ? updateState(UpdatePhase.ARMED) : {}],
    );
    assert.equal((await run()).exitCode, 0);
    assert.equal(calls.filter((name) => name === 'PushUpdate').length, 1);
  });

  it('does not try again at a node that was never there, or that refuses the bundle', async () => {
    await given({});
    await stop();
    assert.equal((await run()).exitCode, 3);
    assert.deepEqual(operator.host.slept, []);
    // biome-ignore lint/correctness/useYield: it fails before it has anything to send
    const { calls } = await takes(async function* () {
      throw new KeelError('E_UPDATE_RUNNING', 'Cannot install: another runs');
    });
    assert.equal((await run()).exitCode, 9);
    assert.equal(calls.filter((name) => name === 'PushUpdate').length, 1);
  });

  it('ends with the code of what the node finds wrong in the middle of a range', async () => {
    await takes(async function* ({ messages }) {
      yield wanted(0, SIZE_BYTES);
      await messages.next();
      throw new KeelError('E_BUNDLE_DAMAGED', 'Cannot install: a part has another hash');
    });
    const ran = await run();
    assert.equal(ran.exitCode, 23);
    assert.match(ran.err, /a part has another hash/);
  });

  it('refuses to read beyond the end of the bundle', async () => {
    await takes(async function* () {
      yield wanted(SIZE_BYTES - 1, 2);
      yield told(UpdatePhase.ARMED);
    });
    const ran = await run();
    assert.equal(ran.exitCode, 1);
    assert.match(ran.err, /the node asks for byte 1000004 of 1000003/);
  });

  it('says that the file became shorter', async () => {
    await takes(async function* ({ messages }) {
      await truncate(path, 10);
      yield wanted(0, 100);
      await messages.next();
      yield told(UpdatePhase.ARMED);
    });
    const ran = await run();
    assert.equal(ran.exitCode, 35);
    assert.match(ran.err, /it ended at byte 10, and was longer before/);
  });

  it('says what is wrong with a path before it calls', async () => {
    const { calls } = await given({});
    const { folder } = operator.host;
    const table: [string, RegExp][] = [
      [join(folder, 'none'), /there is no such file/],
      [folder, /it is not an ordinary file/],
      ['/dev/null', /it is not an ordinary file/],
    ];
    for (const [source, expected] of table) {
      const ran = await operator.host.run(['update', '--source', source]);
      assert.equal(ran.exitCode, 5, ran.err);
      assert.match(ran.err, expected);
    }
    assert.deepEqual(calls, []);
  });

  it('ends the call when it is interrupted', async () => {
    const controller = new AbortController();
    let cancelled: Promise<unknown> = Promise.reject(new Error('never called'));
    cancelled.catch(() => undefined);
    await takes(async function* ({ signal }) {
      cancelled = new Promise((resolve) => signal.addEventListener('abort', resolve));
      yield wanted(0, 10);
      controller.abort(new KeelError('E_CANCELLED', 'Cannot finish: interrupted'));
      await cancelled;
    });
    const ran = await operator.host.run(['update', '--source', path], controller.signal);
    assert.equal(ran.exitCode, 130);
    await cancelled;
  });
});
