/**
 * A gRPC client of the tests' own, so that the API is not seen through osctl's eyes alone. It pins the server's
 * certificate, which it takes from a handshake and compares with the fingerprint that the console shows.
 */
import { createHash } from 'node:crypto';
import tls from 'node:tls';
import type { DescMessage, DescMethod, DescService, MessageShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import * as grpc from '@grpc/grpc-js';
import { serviceDefinition } from '@keelos/proto/grpc.ts';
import type { ClientCertificate } from './certificate.ts';

const HANDSHAKE_TIMEOUT_MS = 20_000;
const CALL_TIMEOUT_MS = 30_000;
/** For streams that go on for as long as an update on an emulated machine. */
const FOLLOW_TIMEOUT_MS = 600_000;
const MESSAGE_BYTES_MAX = 64 * 1024 * 1024;

/** Where a node is, and which certificate it must show. */
export interface ApiTarget {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the server's certificate, lower-case hexadecimal; absent: any. */
  readonly fingerprint?: string;
}

/** A failed call. */
export interface CallFailure {
  readonly status: number;
  readonly message: string;
  readonly code: string | undefined;
}

/** Server certificate of the node as PEM, after a handshake that shows `client`. */
export function serverCertificate(target: ApiTarget, client?: ClientCertificate): Promise<string> {
  return new Promise((done, fail) => {
    const socket = tls.connect({
      host: target.host,
      servername: '', // an address is no server name (RFC 6066)
      port: target.port,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      ...(client === undefined ? {} : { cert: client.certificatePem, key: client.keyPem }),
    });
    socket.setTimeout(HANDSHAKE_TIMEOUT_MS, () => socket.destroy(new Error('handshake timed out')));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const { raw } = socket.getPeerCertificate();
      socket.destroy();
      const found = createHash('sha256').update(raw).digest('hex');
      if (target.fingerprint !== undefined && found !== target.fingerprint) {
        fail(new Error(`Server certificate is ${found}, expected ${target.fingerprint}`));
        return;
      }
      const body = raw.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
      done(`-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`);
    });
  });
}

/** A client that stays open until `close`. */
export class ApiClient {
  readonly #target: ApiTarget;
  readonly #credentials: grpc.ChannelCredentials;
  readonly #open = new Map<string, grpc.Client>();

  private constructor(target: ApiTarget, credentials: grpc.ChannelCredentials) {
    this.#target = target;
    this.#credentials = credentials;
  }

  /** Pins the server and prepares calls that show `client`, or no certificate at all. */
  static async connect(target: ApiTarget, client?: ClientCertificate): Promise<ApiClient> {
    const roots = Buffer.from(await serverCertificate(target, client));
    const [key, cert] =
      client === undefined
        ? [null, null]
        : [Buffer.from(client.keyPem), Buffer.from(client.certificatePem)];
    const credentials = grpc.credentials.createSsl(roots, key, cert, {
      checkServerIdentity: () => undefined, // the certificate is pinned; its names do not matter
    });
    return new ApiClient(target, credentials);
  }

  #clientOf(service: DescService): grpc.Client {
    const known = this.#open.get(service.typeName);
    if (known !== undefined) return known;
    const Client = grpc.makeGenericClientConstructor(
      serviceDefinition(service) as unknown as grpc.ServiceDefinition,
      service.typeName,
    );
    const made = new Client(`${this.#target.host}:${this.#target.port}`, this.#credentials, {
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.use_local_subchannel_pool': 1,
      // Any name will do, and an address is none (RFC 6066).
      'grpc.ssl_target_name_override': 'node.keelos.invalid',
    });
    this.#open.set(service.typeName, made);
    return made;
  }

  #method(method: DescMethod) {
    const definition = serviceDefinition(method.parent)[method.localName];
    if (definition === undefined) throw new TypeError(`No method ${method.name}`);
    return definition;
  }

  /** One unary call. Rejects with a grpc-js ServiceError. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    request: MessageShape<I> = create(method.input),
  ): Promise<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = this.#method(method);
    const deadline = new Date(Date.now() + CALL_TIMEOUT_MS);
    return new Promise((done, fail) => {
      this.#clientOf(method.parent).makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        request,
        new grpc.Metadata(),
        { deadline },
        (error, response) => {
          if (error !== null) fail(error);
          else done(response as MessageShape<O>);
        },
      );
    });
  }

  /** All messages of a server stream that ends by itself, or the first `count`. */
  async list<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    request: MessageShape<I> = create(method.input),
    count = Number.POSITIVE_INFINITY,
  ): Promise<MessageShape<O>[]> {
    const messages: MessageShape<O>[] = [];
    for await (const message of this.follow(method, request, CALL_TIMEOUT_MS)) {
      messages.push(message);
      if (messages.length >= count) break;
    }
    return messages;
  }

  /** Messages of a server stream as they come; whoever stops taking them ends it. */
  async *follow<I extends DescMessage, O extends DescMessage>(
    method: DescMethod & { input: I; output: O },
    request: MessageShape<I> = create(method.input),
    timeoutMs = FOLLOW_TIMEOUT_MS,
  ): AsyncGenerator<MessageShape<O>> {
    const { path, requestSerialize, responseDeserialize } = this.#method(method);
    const stream = this.#clientOf(method.parent).makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      new grpc.Metadata(),
      { deadline: new Date(Date.now() + timeoutMs) },
    );
    for await (const message of stream) yield message as MessageShape<O>;
  }

  close(): void {
    for (const client of this.#open.values()) client.close();
  }
}

/** What a rejected call says; fails when the call was not rejected. */
export async function failureOf(call: Promise<unknown>): Promise<CallFailure> {
  try {
    await call;
  } catch (error) {
    const { code, details, metadata } = error as grpc.ServiceError;
    const detail = metadata?.get('keel-error-bin')[0];
    const text = Buffer.isBuffer(detail) ? detail.toString('latin1') : '';
    return { status: code, message: details, code: /E_[A-Z_]+/.exec(text)?.[0] };
  }
  throw new Error('the call was answered');
}
