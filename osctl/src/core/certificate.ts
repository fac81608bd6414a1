/** What osctl reads from a certificate, and what it says about one that ends soon or has ended. */
import { X509Certificate } from 'node:crypto';
import { KeelError } from '@keelos/proto/errors.ts';
import { formatDuration } from './duration.ts';
import { formatRelative, formatTime } from './quantity.ts';

/** Facts of a certificate. */
export interface CertificateFacts {
  /** SHA-256 of the DER form, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** Subject, one line. */
  readonly subject: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A warning is given when a client certificate has less than this left. */
export const EXPIRY_WARNING_MS = 4 * 3_600_000;
/** Two clocks that differ by more than this disagree. */
export const CLOCK_SKEW_MS_MAX = 120_000;

/** SHA-256 fingerprint of an X509Certificate, 64 lower-case hexadecimal digits. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}

/**
 * Facts of a certificate in PEM or DER form.
 *
 * @throws KeelError E_CONTEXT_FILE when it cannot be parsed; `what` names it in the message.
 */
export function readCertificate(bytes: string | Uint8Array, what: string): CertificateFacts {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(bytes);
  } catch (cause) {
    throw new KeelError('E_CONTEXT_FILE', `Cannot read ${what}: it is not a certificate`, {
      cause,
    });
  }
  return {
    fingerprint: fingerprintOf(certificate),
    subject: certificate.subject.split('\n').join(', '),
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
  };
}

/** Warning about a client certificate that ends within {@link EXPIRY_WARNING_MS}; undefined when there is time or it has ended. */
export function expiryWarning(certificate: CertificateFacts, now: number): string | undefined {
  const leftMs = certificate.notAfter.getTime() - now;
  if (leftMs <= 0 || leftMs >= EXPIRY_WARNING_MS) return undefined;
  return `Your client certificate expires in ${formatDuration(leftMs)} (${formatTime(certificate.notAfter)}). Run osctl init renew.`;
}

/** Why a node that calls the client certificate expired may do so, seen with this machine's clock. */
export function explainExpiry(certificate: CertificateFacts, now: number): string {
  const end = formatTime(certificate.notAfter);
  const here = formatTime(new Date(now));
  const whose = `your client certificate (${certificate.subject})`;
  if (certificate.notAfter.getTime() <= now) {
    return `${whose} expired at ${end}, ${formatRelative(certificate.notAfter, now)} by this machine's clock (${here})`;
  }
  return `${whose} has expired by the node's clock, but by this machine's clock (${here}) it is valid until ${end}: the two clocks disagree`;
}

/** Sentence about clocks that disagree by more than {@link CLOCK_SKEW_MS_MAX}; undefined when they agree. */
export function clockSkewWarning(nodeNow: Date, now: number): string | undefined {
  const differenceMs = nodeNow.getTime() - now;
  if (Math.abs(differenceMs) <= CLOCK_SKEW_MS_MAX) return undefined;
  const direction = differenceMs > 0 ? 'ahead of' : 'behind';
  return `The node's clock (${formatTime(nodeNow)}) is ${formatDuration(differenceMs)} ${direction} this machine's (${formatTime(new Date(now))}).`;
}
