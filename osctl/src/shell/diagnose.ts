/** Why a call did not reach a node: one more handshake, and its result put into words. */
import { KeelError } from '@keelos/proto/errors.ts';
import { fingerprintOf, readCertificate } from '../core/certificate.ts';
import { type Endpoint, formatEndpoint } from '../core/endpoint.ts';
import { formatTime } from '../core/quantity.ts';
import type { Clock } from '../sys/clock.ts';
import { type ProbeResult, probeServer } from '../sys/tls-probe.ts';

/** What a diagnosis needs. */
export interface DiagnosisOptions {
  /** PEM of the certificate that the context pins. */
  readonly serverCertificate: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** The error of a handshake that did not come to a certificate. */
export function handshakeError(
  endpoint: Endpoint,
  result: Exclude<ProbeResult, { kind: 'server' }>,
): KeelError {
  const at = formatEndpoint(endpoint);
  const details = { endpoint: at, reason: result.reason };
  if (result.kind === 'unreachable') {
    return new KeelError('E_UNREACHABLE', `Cannot reach ${at}: ${result.reason}`, { details });
  }
  if (result.kind === 'silent') {
    return new KeelError('E_TIMEOUT', `Cannot reach ${at}: ${result.reason} in time`, { details });
  }
  return new KeelError(
    'E_TLS_REFUSED',
    `Cannot make a TLS 1.3 connection to ${at}: ${result.reason}`,
    {
      details,
    },
  );
}

/** The error of a server with another certificate than the expected one; both fingerprints are in it. */
export function mismatchError(
  endpoint: Endpoint,
  { expected, found }: { expected: string; found: string },
): KeelError {
  const at = formatEndpoint(endpoint);
  return new KeelError(
    'E_FINGERPRINT_MISMATCH',
    `Cannot trust ${at}: its certificate is not the expected one. Nothing secret was sent.\n  expected ${expected}\n  found    ${found}`,
    { details: { endpoint: at, expected, found } },
  );
}

/**
 * Looks why no connection came about. Undefined when the pinned server answers now and its certificate is valid, so
 * that the handshake is not the reason.
 */
export async function diagnose(
  endpoint: Endpoint,
  { serverCertificate, clock, timeoutMs, signal }: DiagnosisOptions,
): Promise<KeelError | undefined> {
  const result = await probeServer(endpoint, { timeoutMs, signal, ca: serverCertificate });
  if (result.kind !== 'server') return handshakeError(endpoint, result);
  const expected = readCertificate(serverCertificate, 'the pinned server certificate');
  const found = fingerprintOf(result.certificate);
  if (found !== expected.fingerprint) {
    return mismatchError(endpoint, { expected: expected.fingerprint, found });
  }
  const now = clock.now();
  const early = now < expected.notBefore.getTime();
  if (!early && now <= expected.notAfter.getTime()) {
    if (result.problem === undefined) return undefined;
    return new KeelError(
      'E_TLS_REFUSED',
      `Cannot trust ${formatEndpoint(endpoint)}: the node's server certificate is not acceptable (${result.problem})`,
      {
        hint: 'The certificate is the pinned one, but it cannot be used by a TLS server. Report it.',
      },
    );
  }
  const bound = early
    ? `is valid from ${formatTime(expected.notBefore)}`
    : `expired at ${formatTime(expected.notAfter)}`;
  return new KeelError(
    'E_TLS_REFUSED',
    `Cannot trust ${formatEndpoint(endpoint)}: the node's server certificate ${bound}, and this machine's clock says ${formatTime(new Date(now))}`,
    { hint: "Set this machine's clock. If it is right, the node needs a new certificate." },
  );
}
