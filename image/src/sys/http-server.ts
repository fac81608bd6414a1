/** An HTTP or HTTPS server with limits on everything that a client can make large, long or many. */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

/** Limits of a server. */
export interface HttpLimits {
  /** Open connections; further ones are closed at once. */
  readonly connectionsMax: number;
  /** The same for one address. */
  readonly connectionsPerAddressMax: number;
  /** Request line and headers together. */
  readonly headerBytesMax: number;
  /** Number of headers. */
  readonly headersMax: number;
  /** From the first byte of a request to the end of its headers. */
  readonly headersMs: number;
  /** The same to the end of its body, which nobody reads. */
  readonly requestMs: number;
  /** TLS handshake. */
  readonly handshakeMs: number;
  /** A connection without a request. */
  readonly idleMs: number;
  /** Requests on one connection that may wait for the answers before theirs. */
  readonly pipelinedMax: number;
  /** For a client that was refused to read why. */
  readonly dismissMs: number;
  /** How often the times above are looked at. */
  readonly checkMs: number;
}

/** Limits in force. */
export const HTTP_LIMITS: HttpLimits = {
  connectionsMax: 512,
  connectionsPerAddressMax: 256,
  headerBytesMax: 8_192,
  headersMax: 64,
  headersMs: 10_000,
  requestMs: 15_000,
  handshakeMs: 10_000,
  idleMs: 15_000,
  pipelinedMax: 8,
  dismissMs: 1_000,
  checkMs: 2_000,
};

/** Why a client was cut off. */
export type Refusal =
  | 'connections'
  | 'address'
  | 'headers-large'
  | 'slow'
  | 'malformed'
  | 'pipelined'
  | 'tls';

/** Certificate chain and private key, files in PEM. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
}

/** What to serve, and where. */
export interface HttpServerOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  readonly limits: HttpLimits;
  readonly onRequest: (request: IncomingMessage, response: ServerResponse) => void;
  readonly onRefused: (reason: Refusal) => void;
}

const SHORT_ANSWERS: Readonly<Record<string, readonly [Refusal, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-large', '431 Request Header Fields Too Large'],
  ERR_HTTP_REQUEST_TIMEOUT: ['slow', '408 Request Timeout'],
};

/** A server that listens. */
export class HttpServer {
  readonly #options: HttpServerOptions;
  readonly #server: Server | TlsServer;
  readonly #byAddress = new Map<string, number>();
  #connections = 0;
  readonly #refused = new WeakSet<Socket>();
  /** Of each connection: requests that have no whole answer yet, and the end of the last answer. */
  readonly #queues = new WeakMap<Socket, { waiting: number; last: Promise<void> }>();

  private constructor(options: HttpServerOptions, server: Server | TlsServer) {
    this.#options = options;
    this.#server = server;
    const { limits, onRefused } = options;
    server.maxConnections = limits.connectionsMax;
    server.maxHeadersCount = limits.headersMax;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#inTurn(request, response);
    });
    server.on('drop', () => onRefused('connections'));
    server.on('connection', (socket: Socket) => this.#count(socket));
    server.on('tlsClientError', () => onRefused('tls'));
    server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
      const isGone = error.code === 'ECONNRESET' || !socket.writable;
      const [reason, line] = SHORT_ANSWERS[error.code ?? ''] ?? ['malformed', '400 Bad Request'];
      if (error.code !== 'ECONNRESET') this.#refuse(socket, reason);
      if (isGone) socket.destroy();
      else this.#dismiss(socket, line);
    });
  }

  /** Opens it. @throws when the address cannot be had, or certificate and key do not fit */
  static async open(options: HttpServerOptions): Promise<HttpServer> {
    const { limits, tls, host, port } = options;
    const http = {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersMs,
      requestTimeout: limits.requestMs,
      keepAliveTimeout: limits.idleMs,
      connectionsCheckingInterval: limits.checkMs,
    };
    const server =
      tls === undefined
        ? createServer(http)
        : createTlsServer({
            ...http,
            ...(await readTls(tls)),
            ...{ minVersion: 'TLSv1.3', handshakeTimeout: limits.handshakeMs },
          });
    const own = new HttpServer(options, server);
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen(port, host, done);
    });
    return own;
  }

  /** Where it listens. */
  get url(): string {
    const address = this.#server.address() as AddressInfo;
    const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
    return `${this.#options.tls === undefined ? 'http' : 'https'}://${host}:${address.port}`;
  }

  /** Open connections. */
  get connections(): number {
    return this.#connections;
  }

  /** A connection is refused once, whatever comes of it while it ends. */
  #refuse(socket: Socket, reason: Refusal): void {
    if (this.#refused.has(socket)) return;
    this.#refused.add(socket);
    this.#options.onRefused(reason);
  }

  /** Says why, and ends the connection soon, also when the client keeps its half of it open. */
  #dismiss(socket: Socket, line: string): void {
    socket.end(`HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
    setTimeout(() => socket.destroy(), this.#options.limits.dismissMs).unref();
  }

  /** Answers of one connection one after the other: what waits for the one before it takes no memory for its body. */
  async #inTurn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket } = request;
    const queue = this.#queues.get(socket) ?? { waiting: 0, last: Promise.resolve() };
    this.#queues.set(socket, queue);
    if (queue.waiting >= this.#options.limits.pipelinedMax) {
      this.#refuse(socket, 'pipelined');
      socket.destroy();
      return;
    }
    queue.waiting += 1;
    const before = queue.last;
    const ended = new Promise<void>((done) => void response.once('close', done));
    queue.last = ended.then(() => {
      queue.waiting -= 1;
    });
    await before;
    if (!socket.destroyed) this.#options.onRequest(request, response);
  }

  #count(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const count = (this.#byAddress.get(address) ?? 0) + 1;
    this.#connections += 1;
    this.#byAddress.set(address, count);
    socket.once('close', () => {
      this.#connections -= 1;
      const left = (this.#byAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, left);
    });
    if (count <= this.#options.limits.connectionsPerAddressMax) return;
    this.#options.onRefused('address');
    socket.destroy();
  }

  /** Takes a renewed certificate; open connections keep the old one. @throws when it does not fit: the old one stays */
  async renewTls(): Promise<void> {
    const { tls } = this.#options;
    if (tls === undefined || !('setSecureContext' in this.#server)) return;
    this.#server.setSecureContext({ ...(await readTls(tls)), minVersion: 'TLSv1.3' });
  }

  /** Takes no more connections, lets answers end for a while, and then ends them. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((done) => void this.#server.close(() => done()));
    this.#server.closeIdleConnections();
    const timer = setTimeout(() => this.#server.closeAllConnections(), graceMs);
    await closed;
    clearTimeout(timer);
  }
}

async function readTls({ certPath, keyPath }: TlsFiles): Promise<{ cert: Buffer; key: Buffer }> {
  return { cert: await readFile(certPath), key: await readFile(keyPath) };
}
