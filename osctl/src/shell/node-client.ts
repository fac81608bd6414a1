/** Calls to one node. Every error that leaves is a KeelError that says what to do. */
import type {
  DescMessage,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { fromBinary } from '@bufbuild/protobuf';
import { type CallOptions, type Client, Metadata, type ServiceError } from '@grpc/grpc-js';
import { KeelError } from '@keelos/proto/errors.ts';
import { ErrorDetailSchema } from '@keelos/proto/gen/keel/v1/error_pb.js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import { explainExpiry, readCertificate } from '../core/certificate.ts';
import { type Endpoint, formatEndpoint } from '../core/endpoint.ts';
import { type CallFailure, errorOfCall } from '../core/failure.ts';
import { type Identity, openChannel } from '../sys/channel.ts';
import type { Clock } from '../sys/clock.ts';
import { diagnose } from './diagnose.ts';
import { type Exchange, exchangeOver } from './exchange.ts';

const DETAIL_KEY = 'keel-error-bin';
/** Longest diagnosis, and the shortest: what a call that used up its time may take on top of it. */
const DIAGNOSIS_MS_MAX = 2000;
const DIAGNOSIS_MS_MIN = 500;
const RECEIVED_MESSAGE_LIMIT = /larger than max/i;

/** How a client is made. */
export interface NodeClientOptions {
  readonly endpoint: Endpoint;
  readonly identity: Identity;
  readonly clock: Clock;
  /** Deadline of every unary call, and of a stream unless `unbounded`. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** How answers are taken. */
export interface StreamOptions {
  /** There is no deadline. */
  readonly unbounded?: boolean;
  /** Ends the call as well as the client's own signal does. */
  readonly signal?: AbortSignal;
}

/** An open connection to a node. */
export interface NodeClient {
  readonly endpoint: Endpoint;
  /** One call, one answer. */
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>>;
  /** One call, many answers. Ending the loop early cancels the call. */
  stream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    options?: StreamOptions,
  ): AsyncIterable<MessageShape<O>>;
  /** A call with messages in both directions, within the deadline of this client. */
  exchange<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
  ): Exchange<I, O>;
  close(): void;
}

function failureOfCall(error: ServiceError): CallFailure {
  const [bytes] = error.metadata?.get(DETAIL_KEY) ?? [];
  const failure = { status: error.code, message: error.details || error.message };
  if (!(bytes instanceof Buffer)) return failure;
  try {
    const { code, hint, details } = fromBinary(ErrorDetailSchema, bytes);
    return { ...failure, detail: { code, hint, details } };
  } catch {
    // Not from a KeelOS node after all: the gRPC status is what we have.
    return failure;
  }
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'metadata' in error;
}

/** Adds to an error what only this side knows: the client certificate's dates and this machine's clock. */
function withExpiry(error: KeelError, { identity, clock, endpoint }: NodeClientOptions): KeelError {
  const certificate = readCertificate(identity.certificate, 'the client certificate');
  const now = clock.now();
  const expired = certificate.notAfter.getTime() <= now;
  if (error.code === 'E_NOT_ENROLLED' && !expired) return error;
  const explained = explainExpiry(certificate, now);
  return new KeelError(
    'E_CERTIFICATE_EXPIRED',
    `Cannot call ${formatEndpoint(endpoint)}: ${explained}`,
    {
      cause: error,
      details: {
        ...error.details,
        notAfter: certificate.notAfter.toISOString(),
        nodeMessage: error.message,
      },
      ...(error.code === 'E_CERTIFICATE_EXPIRED' ? { hint: error.hint } : {}),
    },
  );
}

async function translate(
  error: unknown,
  { method, startedMs }: { readonly method: string; readonly startedMs: number },
  options: NodeClientOptions,
): Promise<unknown> {
  const { endpoint, identity, clock, signal } = options;
  if (signal.aborted) return signal.reason;
  if (!isServiceError(error)) return error;
  const failure = failureOfCall(error);
  const own = errorOfCall(failure, method);
  if (own.code === 'E_CERTIFICATE_EXPIRED' || own.code === 'E_NOT_ENROLLED') {
    return withExpiry(own, options);
  }
  if (failure.detail !== undefined) return own;
  if (own.code !== 'E_UNREACHABLE' && own.code !== 'E_TIMEOUT') {
    return RECEIVED_MESSAGE_LIMIT.test(failure.message) || own.code !== 'E_LIMIT_EXCEEDED'
      ? own
      : new KeelError('E_RATE_LIMITED', own.message, { details: own.details });
  }
  const at = formatEndpoint(endpoint);
  if (own.code === 'E_TIMEOUT') {
    const seconds = options.timeoutMs / 1000;
    return new KeelError(
      'E_TIMEOUT',
      `Cannot finish ${method} on ${at}: no answer in ${seconds} s`,
    );
  }
  const leftMs = startedMs + options.timeoutMs - clock.monotonicMs();
  const timeoutMs = Math.min(Math.max(leftMs, DIAGNOSIS_MS_MIN), DIAGNOSIS_MS_MAX);
  const { serverCertificate } = identity;
  const found = await diagnose(endpoint, { serverCertificate, clock, timeoutMs, signal });
  if (found !== undefined) return found;
  return new KeelError('E_UNREACHABLE', `Cannot call ${at}: the connection was lost`, {
    details: { endpoint: at, reason: failure.message },
    hint: 'The node may be going down, starting, or have too many connections. Try again, or look at its console.',
  });
}

/** A method with what a call of it needs. */
interface Callable {
  readonly name: string;
  readonly localName: string;
  readonly parent: Parameters<typeof serviceDefinition>[0];
}

function definitionOf(method: Callable) {
  const definition = serviceDefinition(method.parent)[method.localName];
  if (definition === undefined) throw new TypeError(`no method ${method.localName}`);
  return definition;
}

/** One call on `channel` that is about to be made. */
function beginCall(method: Callable, options: NodeClientOptions) {
  const { clock, signal, timeoutMs } = options;
  signal.throwIfAborted();
  const startedMs = clock.monotonicMs();
  return {
    definition: definitionOf(method),
    withDeadline: (): CallOptions => ({ deadline: new Date(Date.now() + timeoutMs) }),
    translated: (error: unknown) => translate(error, { method: method.name, startedMs }, options),
  };
}

function callOn(channel: Client, options: NodeClientOptions): NodeClient['call'] {
  const { signal } = options;
  return async (method, request) => {
    const { definition, withDeadline, translated } = beginCall(method, options);
    const answer = new Promise<Message>((resolve, reject) => {
      const pending = channel.makeUnaryRequest<Message, Message>(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request as Message,
        new Metadata(),
        withDeadline(),
        (error, value) => {
          signal.removeEventListener('abort', cancel);
          if (value === undefined) reject(error);
          else resolve(value);
        },
      );
      const cancel = () => pending.cancel();
      signal.addEventListener('abort', cancel, { once: true });
    });
    try {
      return (await answer) as MessageShape<typeof method.output>;
    } catch (error) {
      throw await translated(error);
    }
  };
}

function streamOn(channel: Client, options: NodeClientOptions): NodeClient['stream'] {
  return async function* <I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    { unbounded = false, signal: own }: StreamOptions = {},
  ): AsyncIterable<MessageShape<O>> {
    const signal = own === undefined ? options.signal : AbortSignal.any([options.signal, own]);
    const { definition, withDeadline, translated } = beginCall(method, { ...options, signal });
    const pending = channel.makeServerStreamRequest<Message, Message>(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      request as Message,
      new Metadata(),
      unbounded ? {} : withDeadline(),
    );
    const cancel = () => pending.cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of pending) yield message as MessageShape<O>;
    } catch (error) {
      throw await translated(error);
    } finally {
      signal.removeEventListener('abort', cancel);
      pending.cancel();
    }
  };
}

function exchangeOn(channel: Client, options: NodeClientOptions): NodeClient['exchange'] {
  return (method) => {
    const { definition, withDeadline, translated } = beginCall(method, options);
    const pending = channel.makeBidiStreamRequest<Message, Message>(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      new Metadata(),
      withDeadline(),
    );
    return exchangeOver(pending, { signal: options.signal, translate: translated });
  };
}

/**
 * Opens a client. The connection itself is made by the first call.
 *
 * @throws KeelError E_CONTEXT_FILE when the certificates cannot be used.
 */
export function openNodeClient(options: NodeClientOptions): NodeClient {
  const { endpoint, identity } = options;
  const channel = openChannel(endpoint, identity);
  return {
    endpoint,
    call: callOn(channel, options),
    stream: streamOn(channel, options),
    exchange: exchangeOn(channel, options),
    close: () => channel.close(),
  };
}
