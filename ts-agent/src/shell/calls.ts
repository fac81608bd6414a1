/**
 * From a service's plain functions to what grpc-js calls: contexts with a signal, streams with back-pressure, one way
 * for errors.
 */
import type { EventEmitter } from 'node:events';
import { once } from 'node:events';
import type {
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { create, toBinary } from '@bufbuild/protobuf';
import type {
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
} from '@grpc/grpc-js';
import { Metadata } from '@grpc/grpc-js';
import { ErrorDetailSchema } from '@keelos/proto/gen/keel/v1/error_pb.js';
import type { MethodDefinition } from '@keelos/proto/grpc.ts';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import type { Caller } from '../core/access.ts';
import { failedCall } from '../core/error-status.ts';
import type { Limits } from '../core/limits.data.ts';

/** What a method knows of its call. */
export interface CallContext {
  readonly caller: Caller;
  /** "address:port" */
  readonly peer: string;
  /** Aborted when the caller cancels, the deadline passes, or the limit for calls of this kind is reached. */
  readonly signal: AbortSignal;
}

/** Functions of a service, by method name with a lower-case first letter. */
export type ServiceMethods<S extends DescService> = {
  readonly [K in keyof S['method']]: S['method'][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
    : S['method'][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
      : S['method'][K] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            context: CallContext,
          ) => AsyncIterable<MessageInitShape<O>>
        : never;
};

/** What {@link addService} needs beside the service itself. */
export interface CallEnvironment {
  readonly limits: Limits;
  readonly callerOf: (peer: string, method: string) => Caller;
  /** The node's time, Unix milliseconds. */
  readonly nowMs: () => number;
  readonly log: (line: string) => void;
  readonly correlationId: () => string;
}

/** A failed call in grpc-js's shape. */
export interface WireStatus {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;
}

/** Metadata key of the error's details. */
export const ERROR_KEY = 'keel-error-bin';

/** The wire status of `error`; unknown errors are logged. */
export function wireStatus(
  error: unknown,
  environment: Pick<CallEnvironment, 'log' | 'correlationId'>,
): WireStatus {
  const failed = failedCall(error, environment.correlationId());
  if (failed.logged !== undefined) environment.log(failed.logged);
  const { code, hint, details } = failed;
  const detail = create(ErrorDetailSchema, { code, hint, details });
  const metadata = new Metadata();
  metadata.set(ERROR_KEY, Buffer.from(toBinary(ErrorDetailSchema, detail)));
  return { code: failed.status, details: failed.message, metadata };
}

/** Puts `methods` on `server`. `alias` replaces the service's full name. */
export function addService<S extends DescService>(
  server: Server,
  service: {
    readonly descriptor: S;
    readonly methods: ServiceMethods<S>;
    readonly alias?: string;
    /** Methods that answer once and have the time of `slowCallMs`. */
    readonly slowMethods?: readonly string[];
  },
  environment: CallEnvironment,
): void {
  const { descriptor, methods, alias, slowMethods = [] } = service;
  for (const [name, definition] of Object.entries(serviceDefinition(descriptor))) {
    const method: unknown = methods[name];
    if (typeof method !== 'function') throw new TypeError(`no method ${name}`);
    const path = definition.path.replace(descriptor.typeName, alias ?? descriptor.typeName);
    const add = (handler: unknown, type: string): void => {
      server.register(
        path,
        handler as never,
        definition.responseSerialize as never,
        deserializer(definition) as never,
        type,
      );
    };
    if (definition.requestStream) add(bidiHandler(method as BidiMethod, path, environment), 'bidi');
    else if (definition.responseStream) {
      add(streamHandler(method as StreamMethod, path, environment), 'serverStream');
    } else {
      const { unaryCallMs, slowCallMs } = environment.limits;
      const limitMs = slowMethods.includes(name) ? slowCallMs : unaryCallMs;
      add(unaryHandler(method as UnaryMethod, { path, limitMs, environment }), 'unary');
    }
  }
}

/** A request that could not be read; thrown by the handler, where it becomes a proper status. */
class UnreadableRequest {
  readonly cause: unknown;

  constructor(cause: unknown) {
    this.cause = cause;
  }
}

type UnaryMethod = (request: Message, context: CallContext) => Promise<unknown>;
type StreamMethod = (request: Message, context: CallContext) => AsyncIterable<unknown>;
type BidiMethod = (
  requests: AsyncIterable<Message>,
  context: CallContext,
) => AsyncIterable<unknown>;

/** grpc-js answers INTERNAL to a deserializer that throws, so this one does not. */
function deserializer(
  definition: MethodDefinition,
): (bytes: Buffer) => Message | UnreadableRequest {
  return (bytes) => {
    try {
      return definition.requestDeserialize(bytes);
    } catch (cause) {
      return new UnreadableRequest(cause);
    }
  };
}

function readable(request: Message | UnreadableRequest): Message {
  if (request instanceof UnreadableRequest) throw request.cause;
  return request;
}

interface AnyCall {
  getPeer(): string;
  getDeadline(): Date | number;
}

function contextOf(
  call: AnyCall,
  options: {
    readonly path: string;
    readonly limitMs: number;
    readonly environment: CallEnvironment;
  },
): CallContext {
  const cancelled = new AbortController();
  (call as unknown as EventEmitter).on('cancelled', () => cancelled.abort());
  const { environment, path, limitMs } = options;
  const peer = call.getPeer();
  const caller = environment.callerOf(peer, path);
  // A call ends at the caller's deadline, at our limit, and when the caller's certificate does.
  const certificateMs =
    caller.kind === 'operator' ? caller.notAfterMs - environment.nowMs() : Number.POSITIVE_INFINITY;
  const deadlineMs = Number(call.getDeadline()) - Date.now();
  const timeMs = Math.max(0, Math.min(limitMs, deadlineMs, certificateMs));
  return {
    caller,
    peer,
    signal: AbortSignal.any([cancelled.signal, AbortSignal.timeout(timeMs)]),
  };
}

function unaryHandler(method: UnaryMethod, options: Parameters<typeof contextOf>[1]) {
  const { environment } = options;
  return (
    call: ServerUnaryCall<Message | UnreadableRequest, unknown>,
    callback: (error: WireStatus | null, value?: unknown) => void,
  ): void => {
    const answer = async (): Promise<unknown> => {
      const context = contextOf(call, options);
      const late = Promise.withResolvers<never>();
      const onAbort = (): void => late.reject(context.signal.reason);
      context.signal.addEventListener('abort', onAbort, { once: true });
      // A method that does not notice the signal must not keep the caller waiting.
      try {
        return await Promise.race([method(readable(call.request), context), late.promise]);
      } finally {
        context.signal.removeEventListener('abort', onAbort);
      }
    };
    answer().then(
      (value) => callback(null, value),
      (error: unknown) => callback(wireStatus(error, environment)),
    );
  };
}

type OutCall = ServerWritableStream<unknown, unknown> | ServerDuplexStream<unknown, unknown>;

/** Sends every item, waiting while the peer does not read. */
async function send(
  call: OutCall,
  items: AsyncIterable<unknown>,
  signal: AbortSignal,
): Promise<void> {
  for await (const item of items) {
    signal.throwIfAborted();
    if (!call.write(item)) await once(call, 'drain', { signal });
  }
  signal.throwIfAborted();
}

function sendAll(
  call: OutCall,
  environment: CallEnvironment,
  start: () => { readonly items: AsyncIterable<unknown>; readonly signal: AbortSignal },
): void {
  const run = async (): Promise<void> => {
    const { items, signal } = start();
    await send(call, items, signal);
  };
  run().then(
    () => call.end(),
    (error: unknown) => {
      const status = wireStatus(error, environment);
      if (!call.cancelled) call.emit('error', status);
    },
  );
}

function streamHandler(method: StreamMethod, path: string, environment: CallEnvironment) {
  return (call: ServerWritableStream<Message | UnreadableRequest, unknown>): void =>
    sendAll(call, environment, () => {
      const limitMs = environment.limits.streamCallMs;
      const context = contextOf(call, { path, limitMs, environment });
      return { items: method(readable(call.request), context), signal: context.signal };
    });
}

function bidiHandler(method: BidiMethod, path: string, environment: CallEnvironment) {
  return (call: ServerDuplexStream<Message | UnreadableRequest, unknown>): void =>
    sendAll(call, environment, () => {
      const limitMs = environment.limits.streamCallMs;
      const context = contextOf(call, { path, limitMs, environment });
      const requests = async function* (): AsyncGenerator<Message> {
        for await (const request of call) yield readable(request);
      };
      return { items: method(requests(), context), signal: context.signal };
    });
}
