/**
 * The port: TLS 1.3 with a client certificate asked for and judged by us, and a bound on how many connections may stay.
 *
 * Only what binding and the handshake need is loaded here; what answers calls is given later by {@link Listener.serve},
 * and connections wait for it.
 */
import type { X509Certificate } from 'node:crypto';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import type { TLSSocket, Server as TlsServer } from 'node:tls';
import { createServer as createTlsServer } from 'node:tls';
import type { ShownCertificate } from '../core/access.ts';
import { admitProven, connectionToClose } from '../core/admission.ts';
import { fingerprintOf, subjectOf } from '../core/client-certificate.ts';
import type { Limits } from '../core/limits.data.ts';
import type { ServerIdentity } from './server-identity.ts';

/** Where and as whom to listen. */
export interface ListenerOptions {
  /** "::" takes IPv4 as well. */
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly identity: ServerIdentity;
  readonly limits: Limits;
  /** True for a certificate that is enrolled. */
  readonly isProven: (shown: ShownCertificate) => boolean;
}

interface Connection {
  readonly address: string;
  readonly socket: Socket;
  isProven: boolean;
  certificate: X509Certificate | undefined;
  shown: ShownCertificate | undefined;
}

/** Connections that wait for {@link Listener.serve}. */
const WAITING_MAX = 64;

/** An open port. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #tcp: Server;
  readonly #tls: TlsServer;
  /** By peer, "address:port"; in the order of arrival. */
  readonly #connections = new Map<string, Connection>();
  #waiting: TLSSocket[] = [];
  #take: ((socket: TLSSocket) => void) | undefined;

  private constructor(options: ListenerOptions) {
    this.#options = options;
    this.#tls = createTlsServer({
      key: options.identity.keyPem,
      cert: options.identity.certificatePem,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      requestCert: true,
      // Judged in core/access.ts and core/client-certificate.ts: OpenSSL knows certificate authorities only.
      rejectUnauthorized: false,
      handshakeTimeout: options.limits.handshakeMs,
    });
    this.#tls.on('secureConnection', (socket) => this.#onSecure(socket));
    // A handshake that fails (plaintext, TLS 1.2, no end in time) is the peer's affair. Node leaves the closing to us.
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#tcp = createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
  }

  /** Binds the port. @throws the error of bind(2) or listen(2) */
  static async open(options: ListenerOptions): Promise<Listener> {
    const listener = new Listener(options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    listener.#tcp.once('error', reject);
    listener.#tcp.listen({ host: options.host, port: options.port, backlog: 511 }, resolve);
    await promise;
    listener.#tcp.off('error', reject);
    // accept(2) that fails for want of descriptors: the connection stays in the kernel's queue.
    listener.#tcp.on('error', () => undefined);
    return listener;
  }

  /** Port number. */
  get port(): number {
    return (this.#tcp.address() as AddressInfo).port;
  }

  /** Number of open connections. */
  get connectionCount(): number {
    return this.#connections.size;
  }

  /** Gives every connection, those that wait included, to `take`. */
  serve(take: (socket: TLSSocket) => void): void {
    this.#take = take;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const socket of waiting) if (!socket.destroyed) take(socket);
  }

  /** Certificate that `peer` ("address:port") showed; undefined when it showed none. */
  certificateOf(peer: string): X509Certificate | undefined {
    return this.#connections.get(peer)?.certificate;
  }

  /** What tells that certificate from others. */
  shownBy(peer: string): ShownCertificate | undefined {
    return this.#connections.get(peer)?.shown;
  }

  /** The certificate of `peer` has been enrolled. */
  markProven(peer: string): void {
    const connection = this.#connections.get(peer);
    if (connection !== undefined) connection.isProven = true;
  }

  /**
   * Stops listening, closes at once what has proven nothing, and gives the others `graceMs` to end by themselves.
   *
   * Whoever serves them has to tell them to end.
   */
  async close(graceMs: number): Promise<void> {
    const ended = Promise.withResolvers<void>();
    this.#tcp.close(() => ended.resolve());
    for (const { socket, isProven } of this.#connections.values()) if (!isProven) socket.destroy();
    const timer = setTimeout(() => {
      for (const { socket } of this.#connections.values()) socket.destroy();
    }, graceMs);
    await ended.promise;
    clearTimeout(timer);
  }

  #onConnection(socket: Socket): void {
    const peer = peerOf(socket);
    if (peer === undefined) {
      socket.destroy();
      return;
    }
    const address = socket.remoteAddress ?? '';
    const { limits } = this.#options;
    this.#takeBackExpired();
    connectionToClose(this.#connections.values(), address, limits)?.socket.destroy();
    const connection: Connection = {
      address,
      socket,
      isProven: false,
      certificate: undefined,
      shown: undefined,
    };
    this.#connections.set(peer, connection);
    const lifetime = setTimeout(() => {
      if (!connection.isProven) socket.destroy();
    }, limits.unprovenLifetimeMs);
    lifetime.unref();
    socket.once('close', () => {
      clearTimeout(lifetime);
      if (this.#connections.get(peer) === connection) this.#connections.delete(peer);
    });
    this.#tls.emit('connection', socket);
  }

  #proven(): { readonly fingerprint: string; readonly socket: Socket }[] {
    return [...this.#connections.values()].flatMap(({ isProven, shown, socket }) =>
      isProven && shown !== undefined ? [{ fingerprint: shown.fingerprint, socket }] : [],
    );
  }

  /** A certificate that has expired or was dropped protects its connections no longer. */
  #takeBackExpired(): void {
    for (const connection of this.#connections.values()) {
      const { isProven, shown } = connection;
      connection.isProven = isProven && shown !== undefined && this.#options.isProven(shown);
    }
  }

  #onSecure(socket: TLSSocket): void {
    // An error without a listener would end the process; 'close' follows and tidies up.
    socket.on('error', () => undefined);
    const connection = this.#connections.get(peerOf(socket) ?? '');
    if (connection === undefined || socket.alpnProtocol !== 'h2') {
      socket.destroy();
      return;
    }
    const certificate = socket.getPeerX509Certificate();
    if (certificate !== undefined) {
      connection.certificate = certificate;
      connection.shown = {
        fingerprint: fingerprintOf(certificate.raw),
        subject: subjectOf(certificate),
      };
    }
    if (connection.shown !== undefined && this.#options.isProven(connection.shown)) {
      const { fingerprint } = connection.shown;
      const admission = admitProven(this.#proven(), fingerprint, this.#options.limits);
      if (!admission.isAdmitted) {
        socket.destroy();
        return;
      }
      admission.toClose?.socket.destroy();
      connection.isProven = true;
    }
    if (this.#take !== undefined) this.#take(socket);
    else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(socket);
    else socket.destroy();
  }
}

function peerOf(socket: Socket): string | undefined {
  const { remoteAddress, remotePort } = socket;
  return remoteAddress === undefined ? undefined : `${remoteAddress}:${remotePort}`;
}
