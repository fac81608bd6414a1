/**
 * One HTTP question over a connection of its own: straight or through a proxy, plain or with TLS. Every wait has an end.
 *
 * node:http parses; the connection is made here, so that looking up a name, connecting, the proxy's tunnel and the
 * handshake share one time, and a name server that is silent holds no thread (see udp.ts).
 */
import { once } from 'node:events';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { connect, isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { connect as connectTls } from 'node:tls';
import { KeelError } from '@keelos/proto/errors.ts';
import type { HttpStage } from '../core/http-failure.ts';
import { judgeFailure, plainReason, TIMED_OUT } from '../core/http-failure.ts';
import { basicCredentials, hostOf, portOf, shownUrl } from '../core/source-address.ts';
import { lookUp } from './udp.ts';

/** Times for one question. */
export interface HttpTimes {
  /** Name, connection, tunnel and handshake together. */
  readonly connectMs: number;
  /** From the question to the head of the answer. */
  readonly answerMs: number;
  /** Longest wait for the next byte of the answer. */
  readonly idleMs: number;
}

/** A question. */
export interface HttpQuestion {
  readonly url: URL;
  /** Absent: straight to the server. */
  readonly proxy?: URL;
  /** Certificate authorities, PEM; empty: those of Node.js. */
  readonly caPem: string;
  /** Name that the certificate must have; absent: the URL's host. */
  readonly serverName?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly times: HttpTimes;
}

/** A failure of the way to the server, or of its answer, that another try may not have. */
export class HttpProblem extends KeelError {
  readonly isWorthRetry: boolean;
  /** The server is at work on what was asked for, and says when to ask again (RFC 9110 section 10.2.3). */
  readonly isBusy: boolean;

  constructor(
    code: KeelError['code'],
    message: string,
    options: {
      readonly isWorthRetry: boolean;
      readonly isBusy?: boolean;
      readonly cause?: unknown;
    },
  ) {
    super(code, message, options);
    this.isWorthRetry = options.isWorthRetry;
    this.isBusy = options.isBusy ?? false;
  }
}

/** Largest head of an answer. */
const HEAD_BYTES_MAX = 16_384;

/**
 * Asks with GET and returns the answer once its head is here. Who calls must destroy it, whatever happens.
 *
 * @throws KeelError E_CANCELLED when `signal` is aborted; HttpProblem
 */
export async function askHttp(
  question: HttpQuestion,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { url, times } = question;
  const name = shownUrl(url);
  const socket = await inTime({ name, signal, ms: times.connectMs, stage: 'connect' }, (soon) =>
    open(question, soon),
  );
  try {
    return await inTime({ name, signal, ms: times.answerMs, stage: 'answer' }, (soon) =>
      ask(question, socket, soon),
    );
  } catch (cause) {
    socket.destroy();
    throw cause;
  }
}

interface Wait {
  readonly name: string;
  readonly signal: AbortSignal;
  readonly ms: number;
  readonly stage: HttpStage;
}

/** Runs one step within its time, and gives what it throws its code. */
async function inTime<T>(wait: Wait, step: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { name, signal, ms, stage } = wait;
  const late = AbortSignal.timeout(ms);
  try {
    return await step(AbortSignal.any([signal, late]));
  } catch (cause) {
    throw problemOf(cause, { name, stage, isCancelled: signal.aborted, isLate: late.aborted });
  }
}

/** The error of an exchange with `name`, with its code of the error table. */
export function problemOf(
  cause: unknown,
  facts: {
    readonly name: string;
    readonly stage: HttpStage;
    readonly isCancelled: boolean;
    readonly isLate: boolean;
  },
): KeelError {
  const { name, stage } = facts;
  if (facts.isCancelled) return cancelled(name);
  if (cause instanceof KeelError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const verdict = judgeFailure(facts.isLate ? TIMED_OUT : code, stage);
  return new HttpProblem(verdict.code, `Cannot fetch ${name}: ${reasonOf(cause, facts)}`, {
    isWorthRetry: verdict.isWorthRetry,
    cause,
  });
}

const LATE: Readonly<Record<HttpStage, string>> = {
  connect: 'no connection in time',
  answer: 'no answer in time',
  body: 'no more bytes came in time',
};

function reasonOf(
  cause: unknown,
  facts: { readonly stage: HttpStage; readonly isLate: boolean },
): string {
  if (facts.isLate) return LATE[facts.stage];
  const text = plainReason(cause instanceof Error ? cause.message : String(cause));
  return facts.stage === 'body' ? `the connection broke (${text})` : text;
}

/** The error of who gave up. */
export function cancelled(name: string): KeelError {
  return new KeelError('E_CANCELLED', `Cannot fetch ${name}: it was cancelled`);
}

/** A connection that is ready for the question. */
async function open(question: HttpQuestion, signal: AbortSignal): Promise<Duplex> {
  const { url, proxy } = question;
  const target = { host: hostOf(url), port: portOf(url) };
  const isSecure = url.protocol === 'https:';
  const first = proxy === undefined ? target : { host: hostOf(proxy), port: portOf(proxy) };
  const socket = await openTcp(first, signal);
  if (!isSecure) return socket;
  if (proxy !== undefined) await openTunnel({ socket, proxy, target }, signal);
  const { caPem, serverName = target.host } = question;
  return await openTls({ socket, caPem, serverName, protocol: 'http/1.1' }, signal);
}

/** Connects to a host by name or address. @throws the error of the look-up or of connect(2) */
export async function openTcp(
  { host, port }: { readonly host: string; readonly port: number },
  signal: AbortSignal,
): Promise<Socket> {
  const address = isIP(host) === 0 ? await addressOf(host, signal) : host;
  signal.throwIfAborted();
  const socket = connect({ host: address, port });
  // Late errors of a socket that is done with are of no interest.
  socket.on('error', () => undefined);
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (cause) {
    socket.destroy();
    throw cause;
  }
}

/** Names below localhost are this machine, whatever a name server says (RFC 6761 section 6.3). */
async function addressOf(host: string, signal: AbortSignal): Promise<string> {
  return /(^|\.)localhost\.?$/i.test(host) ? '127.0.0.1' : await lookUp(host, signal);
}

/** A connection that is to be encrypted. */
export interface TlsStart {
  readonly socket: Socket;
  /** Certificate authorities, PEM; empty: those of Node.js. */
  readonly caPem: string;
  /** Name or address that the certificate must be for. */
  readonly serverName: string;
  /** Protocol that is offered (ALPN). */
  readonly protocol: string;
}

/** Shakes hands. @throws the error of the handshake; the socket is destroyed then */
export async function openTls(
  { socket, caPem, serverName, protocol }: TlsStart,
  signal: AbortSignal,
): Promise<TLSSocket> {
  const secured = connectTls({
    socket,
    host: serverName,
    ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
    ...(caPem === '' ? {} : { ca: caPem }),
    ALPNProtocols: [protocol],
  });
  secured.on('error', () => undefined);
  try {
    await once(secured, 'secureConnect', { signal });
    return secured;
  } catch (cause) {
    secured.destroy();
    socket.destroy();
    throw cause;
  }
}

/** Asks the proxy for a tunnel to the server (RFC 9110 section 9.3.6). */
async function openTunnel(
  way: {
    readonly socket: Socket;
    readonly proxy: URL;
    readonly target: { readonly host: string; readonly port: number };
  },
  signal: AbortSignal,
): Promise<void> {
  const { socket, proxy, target } = way;
  const { host, port } = target;
  const authority = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const asking = request({
    createConnection: () => socket,
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...proxyHeaders(proxy) },
    maxHeaderSize: HEAD_BYTES_MAX,
  });
  asking.on('error', () => undefined);
  try {
    const [answer, , early] = (await answerTo(asking, 'connect', signal)) as [
      IncomingMessage,
      Duplex,
      Buffer,
    ];
    checkTunnel(answer.statusCode ?? 0, proxy);
    // In TLS the client speaks first, so there is nothing that could have come already.
    if (early.length > 0) {
      throw new HttpProblem(
        'E_SOURCE_ANSWER',
        `Cannot use the proxy ${shownUrl(proxy)}: it sends bytes before the server can`,
        { isWorthRetry: false },
      );
    }
  } catch (cause) {
    asking.destroy();
    socket.destroy();
    throw cause;
  }
}

function checkTunnel(status: number, proxy: URL): void {
  if (status >= 200 && status < 300) return;
  // 407 and the like are an answer to us; 5xx means that the proxy does not reach the server.
  const isServerFar = status >= 500;
  throw new HttpProblem(
    isServerFar ? 'E_SOURCE_UNREACHABLE' : 'E_SOURCE_REFUSED',
    `Cannot use the proxy ${shownUrl(proxy)}: it answers ${status}`,
    { isWorthRetry: isServerFar },
  );
}

function proxyHeaders(proxy: URL): Record<string, string> {
  const credentials = basicCredentials(proxy);
  return credentials === undefined ? {} : { 'proxy-authorization': credentials };
}

/** Sends the question and waits for `event`. Some ends of a connection are no error to node:http, so they are looked for. */
async function answerTo(
  asking: ClientRequest,
  event: 'connect' | 'response',
  signal: AbortSignal,
): Promise<unknown[]> {
  const answered = once(asking, event, { signal });
  const closed = once(asking, 'close', { signal }).then(() => {
    throw new Error('the connection was closed without an answer');
  });
  closed.catch(() => undefined);
  asking.end();
  return await Promise.race([answered, closed]);
}

async function ask(
  question: HttpQuestion,
  socket: Duplex,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const { url, proxy, headers } = question;
  const isViaProxy = proxy !== undefined && url.protocol === 'http:';
  const credentials = basicCredentials(url);
  const target = `${url.pathname}${url.search}`;
  const asking = request({
    createConnection: () => socket,
    method: 'GET',
    path: isViaProxy ? `${url.protocol}//${url.host}${target}` : target,
    headers: {
      host: url.host,
      'user-agent': 'keelos',
      accept: '*/*',
      ...(credentials === undefined ? {} : { authorization: credentials }),
      ...(isViaProxy ? proxyHeaders(proxy) : {}),
      ...headers,
    },
    maxHeaderSize: HEAD_BYTES_MAX,
  });
  // What follows the answer on the wire is of no interest.
  asking.on('error', () => undefined);
  try {
    const [answer] = (await answerTo(asking, 'response', signal)) as [IncomingMessage];
    answer.on('error', () => undefined);
    return answer;
  } catch (cause) {
    asking.destroy();
    throw cause;
  }
}
