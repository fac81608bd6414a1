/** Asks whether the API answers to a process that is not the agent, as an operator's would. */
import { once } from 'node:events';
import type { VerifierRequest } from '@keelos/proto/verifier.ts';
import { askVerifier, type VerifierOptions } from './verifier-process.ts';

/** Where the API is, and what it must show. */
export type ApiPlace = Omit<Extract<VerifierRequest, { task: 'reach-api' }>, 'task'>;

/** The port: empty, or why the API was not reached. */
export type ReachApi = (place: ApiPlace, signal: AbortSignal) => Promise<string>;

/** Time for the connection and the handshake, on an emulated machine that is busy. */
const REACH_MS = 15_000;
/** Time for the process in all. */
const PROCESS_MS_MAX = 60_000;

/** In a process of its own. */
export function apiReacher(options: VerifierOptions): ReachApi {
  return async (place, signal) => {
    const subject = 'asking of the API';
    const asking = { ...options, signal, action: 'ask the API', subject };
    const answer = await askVerifier(
      { task: 'reach-api', ...place },
      { ...asking, timeoutMs: PROCESS_MS_MAX },
    );
    return answer.kind === 'reached' ? answer.problem : `the answer was ${answer.kind}`;
  };
}

/** In this process: a TLS handshake with the certificate that is expected. Loads TLS when it is called. */
export async function reachApi({ host, port, fingerprint }: ApiPlace): Promise<string> {
  const { connect } = await import('node:tls');
  const late = AbortSignal.timeout(REACH_MS);
  const socket = connect({
    host,
    port,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
    // Self-signed: what counts is that it is the one.
    rejectUnauthorized: false,
  });
  // After the first error, or the end, nobody asks for another.
  socket.on('error', () => undefined);
  try {
    await once(socket, 'secureConnect', { signal: late });
    const shown = socket.getPeerX509Certificate()?.fingerprint256 ?? '';
    const found = shown.replaceAll(':', '').toLowerCase();
    if (found !== fingerprint) return `${host}:${port} shows another certificate (${found})`;
    return socket.alpnProtocol === 'h2' ? '' : `${host}:${port} does not speak HTTP/2`;
  } catch (cause) {
    if (late.aborted) return `${host}:${port} does not answer within ${REACH_MS / 1_000} s`;
    return `${host}:${port}: ${cause instanceof Error ? cause.message : cause}`;
  } finally {
    socket.destroy();
  }
}
