/**
 * One Check of grpc.health.v1, over HTTP/2 in the clear or with TLS.
 *
 * The connection is ours (see http-connection.ts) and so is the one frame there and back: the client of grpc-js would look
 * the name up by getaddrinfo(3), and send an address as the name of the server.
 */
import { once } from 'node:events';
import type { ClientHttp2Session, IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2';
import { connect } from 'node:http2';
import type { Duplex } from 'node:stream';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  HealthCheckRequestSchema,
  HealthCheckResponseSchema,
  HealthCheckResponse_ServingStatus as Serving,
} from '@keelos/proto/gen/grpc/health/v1/health_pb.js';
import type { GrpcTarget } from '@keelos/proto/service-address.ts';
import { openTcp, openTls } from './http-connection.ts';

/** Bytes before a message: one of flags, four of length (gRPC over HTTP2, "Length-Prefixed-Message"). */
const PREFIX_BYTES = 5;
/** Largest answer; a real one has less than ten bytes. */
const ANSWER_BYTES_MAX = 1_024;

/** Where to ask. */
export interface GrpcQuestion extends GrpcTarget {
  /** Certificate authorities, PEM; empty: those of Node.js. */
  readonly caPem: string;
  /** Name or address that the certificate must be for. */
  readonly serverName: string;
}

/** Returns when the service is serving. @throws an error that says why it is not, or the signal's reason */
export async function askGrpcHealth(question: GrpcQuestion, signal: AbortSignal): Promise<void> {
  const socket = await open(question, signal);
  const { host, port, isSecure } = question;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const scheme = isSecure ? 'https' : 'http';
  const session = connect(`${scheme}://${authority}`, {
    createConnection: () => socket,
    settings: { enablePush: false },
  });
  // What the stream does not report is of no interest.
  session.on('error', () => undefined);
  try {
    const answer = await check(session, question.service, signal);
    const { status } = fromBinary(HealthCheckResponseSchema, answer);
    if (status !== Serving.SERVING) throw new Error(`it says ${Serving[status] ?? status}`);
  } finally {
    session.destroy();
    socket.destroy();
  }
}

async function open(question: GrpcQuestion, signal: AbortSignal): Promise<Duplex> {
  const socket = await openTcp(question, signal);
  if (!question.isSecure) return socket;
  const { caPem, serverName } = question;
  const secured = await openTls({ socket, caPem, serverName, protocol: 'h2' }, signal);
  if (secured.alpnProtocol === 'h2') return secured;
  secured.destroy();
  throw new Error('it does not speak HTTP/2');
}

/** The message of the answer. */
async function check(
  session: ClientHttp2Session,
  service: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const stream = session.request(
    {
      ':method': 'POST',
      ':path': '/grpc.health.v1.Health/Check',
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'keelos',
    },
    { signal },
  );
  stream.on('error', () => undefined);
  let trailers: IncomingHttpHeaders = {};
  stream.on('trailers', (headers: IncomingHttpHeaders) => {
    trailers = headers;
  });
  const broken = once(session, 'error', { signal }).then(([cause]) => Promise.reject(cause));
  broken.catch(() => undefined);
  const answered = once(stream, 'response', { signal });
  stream.end(
    frame(toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service }))),
  );
  const [head] = (await Promise.race([answered, broken])) as [
    IncomingHttpHeaders & IncomingHttpStatusHeader,
  ];
  const body = Buffer.concat(await Promise.race([piecesOf(stream), broken]));
  // A refusal may come in the head alone ("Trailers-Only").
  const status = trailers['grpc-status'] ?? head['grpc-status'];
  if (head[':status'] !== 200) throw new Error(`it answers ${head[':status']}`);
  if (status !== '0') throw new Error(`it answers with the gRPC status ${status ?? '(none)'}`);
  return messageOf(body);
}

async function piecesOf(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of stream) {
    sizeBytes += piece.length;
    if (sizeBytes > ANSWER_BYTES_MAX) throw new Error(`it answers with ${sizeBytes} bytes or more`);
    pieces.push(piece);
  }
  return pieces;
}

function frame(message: Uint8Array): Buffer {
  const framed = Buffer.alloc(PREFIX_BYTES + message.length);
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, PREFIX_BYTES);
  return framed;
}

function messageOf(body: Buffer): Uint8Array {
  const isWhole =
    body.length >= PREFIX_BYTES && body.readUInt32BE(1) === body.length - PREFIX_BYTES;
  if (!isWhole || body[0] !== 0) throw new Error('its answer is not one uncompressed message');
  return body.subarray(PREFIX_BYTES);
}
