/** One TLS handshake, to see who is there. Nothing is sent after it. */
import type { X509Certificate } from 'node:crypto';
import { connect, type TLSSocket } from 'node:tls';
import { SERVER_DNS_NAME } from '@keelos/proto/certificates.ts';
import type { Endpoint } from '../core/endpoint.ts';

/** What a handshake showed. */
export type ProbeResult =
  /** A TLS 1.3 server answered with this certificate, which has not been compared with anything. */
  | {
      readonly kind: 'server';
      readonly certificate: X509Certificate;
      /** Why the certificate does not pass with \`ca\` as the only trusted one, its name aside; undefined when it does. */
      readonly problem: string | undefined;
    }
  /** No connection, or it was closed before TLS began. */
  | { readonly kind: 'unreachable'; readonly reason: string }
  /** Nobody answered in time: not the connection, or not the handshake. */
  | { readonly kind: 'silent'; readonly reason: string }
  /** Something answered and would not finish a TLS 1.3 handshake. */
  | { readonly kind: 'refused'; readonly reason: string };

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: nothing listens there',
  ECONNRESET: 'the connection was closed before the TLS handshake was done',
  EPIPE: 'the connection was closed before the TLS handshake was done',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'no route to the host',
  ENETUNREACH: 'the network cannot be reached',
};

function failed(error: NodeJS.ErrnoException): ProbeResult {
  if (error.code === 'ETIMEDOUT') return { kind: 'silent', reason: 'no answer' };
  const reason = REASONS[error.code ?? ''];
  if (reason !== undefined) return { kind: 'unreachable', reason };
  if (error.code?.startsWith('ERR_SSL_') === true) {
    const words = error.code.slice('ERR_SSL_'.length).toLowerCase().replaceAll('_', ' ');
    return { kind: 'refused', reason: words };
  }
  return { kind: 'unreachable', reason: error.message };
}

function problemOf(socket: TLSSocket): string | undefined {
  if (socket.authorized) return undefined;
  // Typed as an Error; in fact OpenSSL's code as text.
  return String(socket.authorizationError).toLowerCase().replaceAll('_', ' ');
}

/** How to probe. */
export interface ProbeOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** PEM of the one trusted certificate, for `problem` of the result. */
  readonly ca?: string;
}

/** Makes one handshake with `endpoint`, showing no client certificate, within `timeoutMs`. Rejects only when aborted. */
export async function probeServer(
  endpoint: Endpoint,
  { timeoutMs, signal, ca }: ProbeOptions,
): Promise<ProbeResult> {
  signal.throwIfAborted();
  return await new Promise((resolve, reject) => {
    const socket = connect({
      host: endpoint.host,
      port: endpoint.port,
      servername: SERVER_DNS_NAME,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
      // The certificate is compared by the caller, with what was pinned.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(ca === undefined ? {} : { ca }),
    });
    let connected = false;
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      finish();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    const timer = setTimeout(() => {
      const reason = connected ? 'no answer to the TLS handshake' : 'no answer';
      settle(() => resolve({ kind: 'silent', reason }));
    }, timeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('connect', () => {
      connected = true;
    });
    socket.on('error', (error) => settle(() => resolve(failed(error))));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      settle(() =>
        resolve(
          certificate === undefined
            ? { kind: 'refused', reason: 'it shows no certificate' }
            : { kind: 'server', certificate, problem: problemOf(socket) },
        ),
      );
    });
  });
}
