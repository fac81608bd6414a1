/** A server of which a test decides every byte, and what it was asked. */
import { once } from 'node:events';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import type { MadeCertificate } from './openssl-certificates.ts';

/** The head of a question. */
export interface AskedHead {
  /** "GET /path" */
  readonly line: string;
  readonly headers: ReadonlyMap<string, string>;
  /** First and last byte of the range; undefined without one. */
  readonly range: readonly [first: number, last: number] | undefined;
}

/** What the server does with a connection once a question has come. */
export type Behaviour = (asked: AskedHead, socket: Socket, count: number) => unknown;

/** Longest head that the server reads. */
const HEAD_BYTES_MAX = 65_536;

/** The server. */
export class HostileServer {
  readonly asked: AskedHead[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #scheme: string;
  behave: Behaviour;

  private constructor(behave: Behaviour, certificate: MadeCertificate | undefined) {
    this.behave = behave;
    this.#scheme = certificate === undefined ? 'http' : 'https';
    const take = (socket: Socket) => this.#take(socket);
    this.#server =
      certificate === undefined
        ? createServer(take)
        : createTlsServer({ key: certificate.keyPem, cert: certificate.certPem }, take);
    this.#server.on('connection', (socket: Socket) => this.#sockets.add(socket));
    this.#server.on('tlsClientError', () => undefined);
  }

  /** A server on the loopback, with TLS when there is a certificate. */
  static async start(behave: Behaviour, certificate?: MadeCertificate): Promise<HostileServer> {
    const server = new HostileServer(behave, certificate);
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** URL of a path, perhaps with another host name or credentials. */
  url(path = '/bundle', host = '127.0.0.1'): string {
    return `${this.#scheme}://${host}:${this.port}${path}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #take(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    let text = '';
    const onData = (bytes: Buffer): void => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\r\n\r\n');
      if (end === -1 && text.length < HEAD_BYTES_MAX) return;
      socket.off('data', onData);
      const head = headOf(text.slice(0, end));
      this.asked.push(head);
      this.behave(head, socket, this.asked.length);
    };
    socket.on('data', onData);
  }
}

function headOf(text: string): AskedHead {
  const [first = '', ...lines] = text.split('\r\n');
  const headers = new Map(
    lines.map((line): [string, string] => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.get('range') ?? '');
  return {
    line: first.replace(/ HTTP\/1\.1$/, ''),
    headers,
    range: range === null ? undefined : [Number(range[1]), Number(range[2])],
  };
}

/** The head of an answer. */
export function head(status: number | string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} x\r\n${lines.join('')}\r\n`;
}

/** Sends a whole answer and ends. */
export function send(
  socket: Socket,
  status: number,
  answer: { readonly headers?: Readonly<Record<string, string>>; readonly body?: Uint8Array },
): void {
  const { headers = {}, body = new Uint8Array() } = answer;
  socket.write(head(status, { 'content-length': String(body.length), ...headers }));
  socket.end(body);
}

/** Headers of an honest answer to a question for a range of `content`. */
export function partHeaders(
  asked: AskedHead,
  content: Uint8Array,
  validators: Readonly<Record<string, string>> = { etag: '"one"' },
): Record<string, string> {
  const [first, last] = asked.range ?? [0, content.length - 1];
  return {
    'content-range': `bytes ${first}-${last}/${content.length}`,
    'content-length': String(last + 1 - first),
    ...validators,
  };
}

/** An honest answer to a question for a range of `content`. */
export function sendPart(
  asked: AskedHead,
  socket: Socket,
  content: Uint8Array,
  validators?: Readonly<Record<string, string>>,
): void {
  const [first, last] = asked.range ?? [0, content.length - 1];
  const headers = partHeaders(asked, content, validators);
  send(socket, 206, { headers, body: content.subarray(first, last + 1) });
}
