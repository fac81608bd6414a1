import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import type { PushUpdateRequest } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { PushUpdateRequestSchema, UpdatePhase } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { PushedUpdate } from '@keelos/ts-agent/shell/push-source.ts';
import { pushedUpdate } from '@keelos/ts-agent/shell/push-source.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import fc from 'fast-check';

const CONTENT = Buffer.alloc(10_000).map((_, at) => (at * 13 + (at >> 8)) & 0xff);
const never = new AbortController().signal;

type Message = PushUpdateRequest['message'];

function request(message: Message): PushUpdateRequest {
  return create(PushUpdateRequestSchema, { message });
}

const start = (sizeBytes = CONTENT.length): Message => {
  const { message } = create(PushUpdateRequestSchema, {
    message: { case: 'start', value: { sizeBytes: BigInt(sizeBytes), name: 'b.squashfs' } },
  });
  return message;
};
const data = (value: Uint8Array): Message => ({ case: 'data', value: new Uint8Array(value) });

/** A caller who answers each range by `answer`, over queues as a call has them. */
class Caller {
  readonly wanted: string[] = [];
  readonly #queue: (Message | 'end')[] = [];
  #arrived = Promise.withResolvers<void>();
  readonly #answer: (from: number, to: number) => readonly (Message | 'end')[];

  constructor(
    first: readonly (Message | 'end')[],
    answer: (from: number, to: number) => readonly (Message | 'end')[] = honest,
  ) {
    this.#queue.push(...first);
    this.#answer = answer;
  }

  async *requests(): AsyncGenerator<PushUpdateRequest> {
    for (;;) {
      const message = this.#queue.shift();
      if (message === 'end') return;
      if (message !== undefined) {
        yield request(message);
        continue;
      }
      await this.#arrived.promise;
      this.#arrived = Promise.withResolvers();
    }
  }

  /** Runs the call; returns the last message's version, which stands for the status. */
  async run(install: PushedUpdate['install'], options: Partial<PushedUpdate> = {}) {
    let last: string | undefined;
    const answers = pushedUpdate(this.requests(), { signal: never, install, ...options });
    for await (const { message } of answers) {
      if (message?.case === 'status') last = message.value.version;
      if (message?.case !== 'wanted') continue;
      const from = Number(message.value.offsetBytes);
      const to = from + Number(message.value.sizeBytes);
      this.wanted.push(`${from}-${to}`);
      this.#queue.push(...this.#answer(from, to));
      this.#arrived.resolve();
    }
    return last;
  }
}

function honest(from: number, to: number): Message[] {
  return inPieces(CONTENT.subarray(from, to), 4_096);
}

function inPieces(bytes: Uint8Array, pieceBytes: number): Message[] {
  const pieces: Message[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    pieces.push(data(bytes.subarray(at, at + pieceBytes)));
  }
  return pieces;
}

async function readRange(source: UpdateSource, offsetBytes: number, lengthBytes: number) {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.read({ offsetBytes, lengthBytes }, never)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const status = { version: '2', phase: UpdatePhase.ARMED };

describe('bundles that the caller sends', () => {
  it('are read in the ranges that the install asks for', async () => {
    const caller = new Caller([start()]);
    const last = await caller.run(async (source, { name }) => {
      assert.deepEqual(await source.open(never), { sizeBytes: 10_000, name });
      assert.deepEqual(await readRange(source, 9_936, 64), CONTENT.subarray(9_936));
      assert.deepEqual(await readRange(source, 0, 0), Buffer.alloc(0));
      assert.deepEqual(await readRange(source, 0, 10_000), CONTENT);
      return status;
    });
    assert.equal(last, '2');
    assert.deepEqual(caller.wanted, ['9936-10000', '0-10000']);
  });

  it('are the same, however the caller cuts them', async () => {
    const ranges = fc.array(fc.tuple(fc.nat(10_000), fc.nat(10_000)), { maxLength: 6 });
    await fc.assert(
      fc.asyncProperty(ranges, fc.integer({ min: 50, max: 3_000 }), async (all, pieceBytes) => {
        const answer = (from: number, to: number) =>
          inPieces(CONTENT.subarray(from, to), pieceBytes);
        await new Caller([start()], answer).run(async (source) => {
          for (const [one, other] of all) {
            const [from, to] = one < other ? [one, other] : [other, one];
            assert.deepEqual(await readRange(source, from, to - from), CONTENT.subarray(from, to));
          }
          return status;
        });
      }),
      { numRuns: 50 },
    );
  });

  type Answer = ConstructorParameters<typeof Caller>[1];
  const rows: readonly (readonly [
    name: string,
    first: readonly (Message | 'end')[],
    answer: Answer,
    code: string,
  ])[] = [
    ['no message at all', ['end'], undefined, 'E_INVALID_ARGUMENT'],
    ['bytes before the start', [data(CONTENT)], undefined, 'E_INVALID_ARGUMENT'],
    ['an empty message', [{ case: undefined }], undefined, 'E_INVALID_ARGUMENT'],
    ['the end too early', [start()], () => [data(CONTENT.subarray(0, 5)), 'end'], 'E_SOURCE_SHORT'],
    ['too many bytes', [start()], () => [data(Buffer.alloc(10_001))], 'E_SOURCE_LONG'],
    [
      'too many bytes at last',
      [start()],
      () => [data(Buffer.alloc(9_999)), data(Buffer.alloc(2))],
      'E_SOURCE_LONG',
    ],
    ['an empty piece', [start()], () => [data(Buffer.alloc(0))], 'E_INVALID_ARGUMENT'],
    ['a second start', [start()], () => [start()], 'E_INVALID_ARGUMENT'],
    ['nothing', [start()], () => [], 'E_SOURCE_TIMEOUT'],
    ['nothing from the beginning', [], undefined, 'E_SOURCE_TIMEOUT'],
  ];
  for (const [name, first, answer, code] of rows) {
    it(`${name}: ${code}`, async () => {
      const install = async (source: UpdateSource) => {
        await readRange(source, 0, 10_000);
        return status;
      };
      await assert.rejects(
        new Caller(first, answer).run(install, { idleMs: 50 }),
        (error: unknown) =>
          error instanceof KeelError && error.code === code && !/server|proxy/.test(error.hint),
      );
    });
  }

  it('a size that no bundle has is refused', async () => {
    const huge = request(start());
    assert.ok(huge.message.case === 'start');
    huge.message.value.sizeBytes = 2n ** 60n;
    await assert.rejects(
      new Caller([huge.message]).run(async () => status),
      {
        code: 'E_INVALID_ARGUMENT',
      },
    );
  });

  it('an install that fails ends the call with its reason', async () => {
    const install = async (source: UpdateSource) => {
      await readRange(source, 0, 10);
      throw new KeelError('E_SIGNATURE_WRONG', 'Cannot install: not signed');
    };
    await assert.rejects(new Caller([start()]).run(install), { code: 'E_SIGNATURE_WRONG' });
  });

  it('a range that was left in the middle is the last one', async () => {
    const install = async (source: UpdateSource) => {
      const range = { offsetBytes: 0, lengthBytes: 10_000 };
      for await (const piece of source.read(range, never)) {
        assert.equal(piece.length, 4_096);
        break;
      }
      await readRange(source, 0, 1);
      return status;
    };
    await assert.rejects(new Caller([start()]).run(install), /before the end of the first/);
  });

  it('a caller who leaves ends the install', async () => {
    const leave = new AbortController();
    const caller = new Caller([start()], () => {
      setImmediate(() => leave.abort());
      return [];
    });
    const ended = Promise.withResolvers<unknown>();
    const install = async (source: UpdateSource) => {
      try {
        await readRange(source, 0, 10);
      } catch (cause) {
        ended.resolve(cause);
        throw cause;
      }
      return status;
    };
    await assert.rejects(caller.run(install, { signal: leave.signal }), { code: 'E_CANCELLED' });
    const cause = await ended.promise;
    assert.ok(cause instanceof KeelError && cause.code === 'E_CANCELLED');
  });

  it('what the caller calls its bundle is made fit for a log', async () => {
    const named = request(start());
    assert.ok(named.message.case === 'start');
    named.message.value.name = `\u001b[2J${'é'.repeat(400)}`;
    await new Caller([named.message]).run(async (source) => {
      const { name } = await source.open(never);
      assert.match(name, /^[\x20-\x7e]{256}$/);
      return status;
    });
  });
});
