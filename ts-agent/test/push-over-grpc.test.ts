import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { create } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';
import { Client, credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { PushUpdateResponse } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { PushUpdateRequestSchema, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import { LIMITS } from '@keelos/ts-agent/core/limits.data.ts';
import type { ServiceMethods } from '@keelos/ts-agent/shell/calls.ts';
import { addService } from '@keelos/ts-agent/shell/calls.ts';
import type { PushedUpdate } from '@keelos/ts-agent/shell/push-source.ts';
import { pushedUpdate } from '@keelos/ts-agent/shell/push-source.ts';
import type { UpdateSource } from '@keelos/ts-agent/sys/update-source.ts';
import { Openings } from './agent-fixture.ts';

const CONTENT = Buffer.alloc(8 * 1_048_576).map((_, at) => (at * 31 + (at >> 12)) & 0xff);
const PIECE_BYTES = 262_144;
const never = new AbortController().signal;

type Call = ClientDuplexStream<unknown, PushUpdateResponse>;

describe('bundles that are pushed over gRPC', () => {
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  /** A server whose PushUpdate ends in `install`, and a call to it. */
  async function call(install: PushedUpdate['install']): Promise<Call> {
    const server = new Server({ 'grpc.max_receive_message_length': LIMITS.messageBytesMax });
    const others = UpdateService.methods.map(({ localName }) => [
      localName,
      async () => assert.fail(localName),
    ]);
    const methods = {
      ...Object.fromEntries(others),
      pushUpdate: (requests, { signal }) => pushedUpdate(requests, { signal, install }),
    } as ServiceMethods<typeof UpdateService>;
    addService(
      server,
      { descriptor: UpdateService, methods },
      {
        limits: LIMITS,
        callerOf: () => ({ kind: 'nobody' }),
        nowMs: () => 0,
        log: (line) => assert.fail(line),
        correlationId: () => 'x',
      },
    );
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    openings.add({ close: () => server.forceShutdown() });
    const client = openings.add(new Client(`127.0.0.1:${port}`, credentials.createInsecure()));
    const { pushUpdate: definition } = serviceDefinition(UpdateService);
    assert.ok(definition);
    return client.makeBidiStreamRequest(
      definition.path,
      definition.requestSerialize as never,
      definition.responseDeserialize as never,
    );
  }

  const start = {
    message: { case: 'start', value: { sizeBytes: BigInt(CONTENT.length), name: 'b' } },
  } as const;

  /** Sends all that is asked for, as osctl does; returns the version of the last status. */
  async function serve(stream: Call, pieceBytes = PIECE_BYTES): Promise<string | undefined> {
    let last: string | undefined;
    stream.write(create(PushUpdateRequestSchema, start));
    for await (const { message } of stream as AsyncIterable<PushUpdateResponse>) {
      if (message.case === 'status') last = message.value.version;
      if (message.case !== 'wanted') continue;
      const end = Number(message.value.offsetBytes + message.value.sizeBytes);
      for (let at = Number(message.value.offsetBytes); at < end; at += pieceBytes) {
        const value = new Uint8Array(CONTENT.subarray(at, Math.min(end, at + pieceBytes)));
        stream.write(create(PushUpdateRequestSchema, { message: { case: 'data', value } }));
      }
    }
    stream.end();
    return last;
  }

  async function hashOf(source: UpdateSource, offsetBytes: number, lengthBytes: number) {
    const hash = createHash('sha256');
    const range = { offsetBytes, lengthBytes };
    for await (const piece of source.read(range, never)) hash.update(piece);
    return hash.digest('hex');
  }

  it('arrive as they are, range after range', async () => {
    const stream = await call(async (source) => {
      const { sizeBytes } = await source.open(never);
      await hashOf(source, sizeBytes - 64, 64);
      return { version: await hashOf(source, 0, sizeBytes) };
    });
    assert.equal(await serve(stream), createHash('sha256').update(CONTENT).digest('hex'));
  });

  it('may come in the largest pieces that the API allows', async () => {
    const api = await readFile(
      new URL('../../proto/keel/v1/update.proto', import.meta.url),
      'utf8',
    );
    const allowed = /at most (\d+) (KiB|MiB)[^\n]*\n\s*bytes data = 2;/.exec(api);
    assert.ok(allowed);
    const pieceBytes = Number(allowed[1]) * (allowed[2] === 'KiB' ? 1024 : 1024 ** 2);
    const stream = await call(async (source) => {
      const { sizeBytes } = await source.open(never);
      return { version: await hashOf(source, 0, sizeBytes) };
    });
    const expected = createHash('sha256').update(CONTENT).digest('hex');
    assert.equal(await serve(stream, pieceBytes), expected);
  });

  const ends: readonly (readonly [name: string, end: (stream: Call) => void, code: string])[] = [
    ['a caller who gives up', (stream) => stream.cancel(), 'E_CANCELLED'],
    ['a caller who says that there is no more', (stream) => stream.end(), 'E_SOURCE_SHORT'],
  ];
  for (const [name, end, code] of ends) {
    it(`${name} ends the install: ${code}`, async () => {
      const failed = Promise.withResolvers<unknown>();
      const stream = await call(async (source) => {
        await hashOf(source, 0, CONTENT.length).catch(failed.resolve);
        return {};
      });
      stream.on('error', () => undefined);
      stream.on('data', () => end(stream));
      stream.write(create(PushUpdateRequestSchema, start));
      const cause = await failed.promise;
      assert.equal(cause instanceof Error && 'code' in cause ? cause.code : cause, code);
    });
  }
});
