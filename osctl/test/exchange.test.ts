import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import type { Message } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import {
  type PushUpdateRequestSchema,
  type PushUpdateResponseSchema,
  UpdatePhase,
  WatchUpdateResponseSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { exchangeOver } from '../src/shell/exchange.ts';
import { InstallWatch } from '../src/shell/install-watch.ts';
import type { NodeClient } from '../src/shell/node-client.ts';
import { updateState } from './updating-node.ts';

const DATA = { message: { case: 'data', value: new Uint8Array(1) } } as const;

/** A call whose messages never leave. */
function stuckCall() {
  let cancels = 0;
  const call = Object.assign(
    new Duplex({ objectMode: true, read: () => undefined, write: () => undefined }),
    {
      cancel: () => {
        cancels += 1;
      },
    },
  );
  const controller = new AbortController();
  const exchange = exchangeOver<typeof PushUpdateRequestSchema, typeof PushUpdateResponseSchema>(
    call as unknown as ClientDuplexStream<Message, Message>,
    { signal: controller.signal, translate: async (error) => error },
  );
  return { call, exchange, controller, cancels: () => cancels };
}

describe('osctl: a call with messages in both directions', () => {
  it('does not wait for a message to leave when the call has ended', async () => {
    const { call, exchange } = stuckCall();
    const sent = exchange.send(DATA);
    call.emit('status', { code: 14 });
    assert.equal(await sent, false);
    assert.equal(await exchange.send(DATA), false);
  });

  it('is cancelled by a signal, and by the end of the loop over its messages', async () => {
    const aborted = stuckCall();
    aborted.controller.abort();
    assert.equal(aborted.cancels(), 1);
    const left = stuckCall();
    left.call.push({});
    for await (const message of left.exchange.messages) {
      assert.ok(message);
      break;
    }
    assert.equal(left.cancels(), 1);
  });
});

describe('osctl: the states of an install beside its call', () => {
  /** Ids of the installs whose states were told, out of `states`, when the watch is closed after `closeAfter` of them. */
  async function told(
    states: readonly { id: string; phase: UpdatePhase }[],
    closeAfter = states.length,
  ) {
    const seen: string[] = [];
    let watch: InstallWatch | undefined;
    let closed: Promise<void> | undefined;
    const over = Promise.withResolvers<void>();
    const client = {
      stream: async function* () {
        try {
          for (const [index, status] of states.entries()) {
            if (index === closeAfter) closed = watch?.close();
            yield create(WatchUpdateResponseSchema, { status });
          }
        } finally {
          over.resolve();
        }
      },
    } as unknown as NodeClient;
    watch = new InstallWatch(client, {
      earlierId: 'u-6',
      onStatus: ({ id }) => {
        seen.push(id);
      },
    });
    watch.begin();
    watch.begin();
    await over.promise;
    await (closed ?? watch.close());
    return seen;
  }
  const before = { id: 'u-6', phase: UpdatePhase.FAILED };
  const now = updateState(UpdatePhase.WRITING);

  it('are told once each, and are not those of the install before', async () => {
    assert.deepEqual(await told([now, now]), ['u-7', 'u-7']);
    assert.deepEqual(await told([before, now]), []);
  });

  it('are told no more once the watch is closed', async () => {
    assert.deepEqual(await told([now, now, now], 1), ['u-7']);
  });
});
