/**
 * A node for tests: a real TLS 1.3 server with grpc-js behind it and certificates made at run time. Answers are real
 * protobuf messages; which ones is up to each test.
 */
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer, type TLSSocket } from 'node:tls';
import {
  create,
  type DescMethod,
  type DescService,
  type Message,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerWritableStream,
} from '@grpc/grpc-js';
import type { KeelError } from '@keelos/proto/errors.ts';
import { ConfigService } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { EnrolmentService } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { ErrorDetailSchema } from '@keelos/proto/gen/keel/v1/error_pb.js';
import { HealthService } from '@keelos/proto/gen/keel/v1/health_pb.js';
import { LifecycleService } from '@keelos/proto/gen/keel/v1/lifecycle_pb.js';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import { makeServerIdentity, type ServerIdentity } from './server-certificate.ts';

/** What a handler knows of a call. */
export interface FakeCall {
  /** The request; of a call with messages in both directions the first one. */
  readonly request: Message;
  /** What follows the first message of a call with messages in both directions. */
  readonly messages: AsyncIterator<Message>;
  /** Fingerprint of the client certificate of this connection; undefined when none was shown. */
  readonly clientFingerprint: string | undefined;
  /** Aborted when the client cancels. */
  readonly signal: AbortSignal;
}

/** Answer of a method: one message, or the messages of a stream. Throws a KeelError to fail. */
export type Handler = (call: FakeCall) => object | AsyncIterable<object>;

/** A running fake. */
export interface FakeNode {
  readonly port: number;
  readonly endpoint: string;
  readonly certificate: string;
  readonly identity: ServerIdentity;
  readonly fingerprint: string;
  /** Names of the methods that were called, in order. */
  readonly calls: string[];
  /** Every request, as it came. */
  readonly requests: Message[];
  close(): Promise<void>;
}

const SERVICES: readonly DescService[] = [
  ConfigService,
  DiagnosticsService,
  EnrolmentService,
  HealthService,
  LifecycleService,
  SystemService,
  UpdateService,
];

/** A detail as the agent sends it. */
function trailers(error: KeelError): Metadata {
  const metadata = new Metadata();
  const detail: MessageInitShape<typeof ErrorDetailSchema> = {
    code: error.code,
    hint: error.hint,
    details: { ...error.details },
  };
  const bytes = toBinary(ErrorDetailSchema, create(ErrorDetailSchema, detail));
  metadata.set('keel-error-bin', Buffer.from(bytes));
  return metadata;
}

function failureOf(error: unknown) {
  const { status, message } = error as KeelError;
  return { code: status, details: message, metadata: trailers(error as KeelError) };
}

async function* nothing(): AsyncGenerator<Message> {}

/** Starts a fake node whose methods are `handlers` by method name; the others answer UNIMPLEMENTED. */
export async function startFakeNode(
  handlers: Readonly<Record<string, Handler>>,
  { port = 0, identity: given }: { port?: number; identity?: ServerIdentity | undefined } = {},
): Promise<FakeNode> {
  const identity = given ?? (await makeServerIdentity(Date.now()));
  const server = new Server();
  const calls: string[] = [];
  const requests: Message[] = [];
  const fingerprints = new Map<string, string>();
  type Caller = { getPeer(): string; on(event: string, run: () => void): void };
  const context = (
    method: DescMethod,
    call: Caller,
    { request, messages = nothing() }: { request: Message; messages?: AsyncIterator<Message> },
  ): FakeCall => {
    calls.push(method.name);
    requests.push(request);
    const controller = new AbortController();
    call.on('cancelled', () => controller.abort());
    const clientFingerprint = fingerprints.get(call.getPeer());
    return { request, messages, signal: controller.signal, clientFingerprint };
  };
  const answer = async (
    call: ServerWritableStream<Message, object> | ServerDuplexStream<Message, object>,
    answers: () => Promise<AsyncIterable<object>>,
  ) => {
    try {
      for await (const one of await answers()) call.write(one);
      call.end();
    } catch (error) {
      call.emit('error', Object.assign(new Error(), failureOf(error)));
    }
  };
  for (const service of SERVICES) {
    const implementation = Object.fromEntries(
      service.methods
        .filter((method) => handlers[method.localName] !== undefined)
        .map((method) => [method.localName, serve(method, handlers[method.localName] as Handler)]),
    );
    server.addService(serviceDefinition(service), implementation as never);
  }

  function serve(method: DescMethod, handler: Handler) {
    if (method.methodKind === 'server_streaming') {
      return (call: ServerWritableStream<Message, object>) =>
        answer(call, async () => {
          const { request } = call;
          return handler(context(method, call, { request })) as AsyncIterable<object>;
        });
    }
    if (method.methodKind === 'bidi_streaming') {
      return (call: ServerDuplexStream<Message, object>) =>
        answer(call, async () => {
          const messages = call[Symbol.asyncIterator]() as AsyncIterator<Message>;
          const { value: request } = await messages.next();
          return handler(context(method, call, { request, messages })) as AsyncIterable<object>;
        });
    }
    type Unary = Caller & { readonly request: Message };
    return (call: Unary, callback: (error: unknown, value?: object) => void) => {
      const { request } = call;
      Promise.resolve()
        .then(() => handler(context(method, call, { request })))
        .then(
          (value) => callback(null, value),
          (error) => callback(failureOf(error)),
        );
    };
  }

  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  // All of them, also those whose handshake has not ended yet.
  const sockets = new Set<Socket>();
  let isClosed = false;
  const listener = createServer(
    {
      cert: identity.certificate,
      key: identity.key,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
    },
    (socket: TLSSocket) => {
      socket.on('error', () => undefined);
      const shown = socket.getPeerX509Certificate();
      if (shown !== undefined) {
        const peer = `${socket.remoteAddress}:${socket.remotePort}`;
        fingerprints.set(peer, shown.fingerprint256.replaceAll(':', '').toLowerCase());
      }
      injector.injectConnection(socket);
    },
  );
  listener.on('tlsClientError', () => undefined);
  listener.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    if (isClosed) socket.destroy();
  });
  listener.listen(port, '127.0.0.1');
  await once(listener, 'listening');
  const bound = (listener.address() as AddressInfo).port;
  const { fingerprint256 } = new X509Certificate(identity.certificate);
  return {
    port: bound,
    endpoint: `127.0.0.1:${bound}`,
    certificate: identity.certificate,
    identity,
    fingerprint: fingerprint256.replaceAll(':', '').toLowerCase(),
    calls,
    requests,
    close: async () => {
      isClosed = true;
      server.forceShutdown();
      for (const socket of sockets) socket.destroy();
      listener.close();
      await once(listener, 'close');
    },
  };
}

/** A TCP port of this machine on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
