/**
 * Which client certificates can be enrolled: self-signed, ECDSA on P-256 or P-384, for client authentication, short-lived.
 *
 * OpenSSL checks none of this while `rejectUnauthorized` is off, so all of it is here, in one place.
 */
import { createHash, X509Certificate } from 'node:crypto';
import { VALIDITY_MS_MAX } from '@keelos/proto/certificates.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { CertificateFacts } from './x509.ts';
import { Oid, readCertificate } from './x509.ts';

/** Largest certificate, DER form. A P-384 one with long names stays below 1 KiB. */
export const CERTIFICATE_BYTES_MAX = 8_192;
/** Allowance on top of {@link VALIDITY_MS_MAX}, for makers that date a certificate back against clock skew. */
export const VALIDITY_SKEW_MS = 10 * 60_000;
/** RFC 5280, 4.1.2.2. */
const SERIAL_BYTES_MAX = 20;
const DIGITAL_SIGNATURE = 0x80;

/** A certificate that passed. */
export interface ClientCertificate {
  readonly der: Uint8Array;
  /** SHA-256 of the DER form, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string;
  /** Subject in RFC 4514 form. */
  readonly subject: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** What the judge says. `expired` is apart from `unacceptable` because the operator's way out is another. */
export type CertificateVerdict =
  | { readonly kind: 'acceptable'; readonly certificate: ClientCertificate }
  | { readonly kind: 'expired'; readonly notBeforeMs: number; readonly notAfterMs: number }
  | { readonly kind: 'unacceptable'; readonly reason: string };

/** What the judge compares with. */
export interface JudgeOptions {
  readonly nowMs: number;
  /** No certificate may begin later: such a time would drag the node's clock to nonsense. */
  readonly notBeforeMsMax: number;
}

/** SHA-256 of a DER form, 64 lower-case hexadecimal digits. */
export function fingerprintOf(der: Uint8Array): string {
  return createHash('sha256').update(der).digest('hex');
}

/** Subject of a certificate in RFC 4514 form: last relative name first. */
export function subjectOf(certificate: X509Certificate): string {
  return (certificate.subject ?? '').split('\n').reverse().join(',');
}

/**
 * Judges whether `der` can be enrolled. A certificate that is not valid yet is acceptable: its first moment is then a
 * lower bound of the time.
 */
export function judgeClientCertificate(der: Uint8Array, options: JudgeOptions): CertificateVerdict {
  const unacceptable = (reason: string) => ({ kind: 'unacceptable', reason }) as const;
  if (der.length > CERTIFICATE_BYTES_MAX) {
    return unacceptable(
      `it has ${der.length} bytes, at most ${CERTIFICATE_BYTES_MAX} are accepted`,
    );
  }
  let facts: CertificateFacts;
  let parsed: X509Certificate;
  let isSelfSigned: boolean;
  try {
    facts = readCertificate(der);
    parsed = new X509Certificate(der);
    isSelfSigned = parsed.verify(parsed.publicKey);
  } catch (cause) {
    return unacceptable(`it cannot be read (${cause instanceof Error ? cause.message : 'no DER'})`);
  }
  const problem = profileProblem(facts) ?? timeProblem(facts, options);
  if (problem !== undefined) return unacceptable(problem);
  if (!isSelfSigned) {
    return unacceptable('it is not self-signed: its signature is not made by its own key');
  }
  if (facts.notAfterMs < options.nowMs) {
    return { kind: 'expired', notBeforeMs: facts.notBeforeMs, notAfterMs: facts.notAfterMs };
  }
  return {
    kind: 'acceptable',
    certificate: {
      der,
      fingerprint: fingerprintOf(der),
      subject: subjectOf(parsed),
      notBeforeMs: facts.notBeforeMs,
      notAfterMs: facts.notAfterMs,
    },
  };
}

type Expired = Extract<CertificateVerdict, { kind: 'expired' }>;

/** The error of a certificate that has expired. */
export function expiredError({ notAfterMs }: Expired, nowMs: number): KeelError {
  const notAfter = iso(notAfterMs);
  return new KeelError(
    'E_CERTIFICATE_EXPIRED',
    `Cannot enrol the certificate: it expired at ${notAfter}, the node's time is ${iso(nowMs)}`,
    { details: { not_after: notAfter } },
  );
}

/** The error of a certificate that came with the right token and has expired by the node's clock. */
export function clockAheadError({ notBeforeMs, notAfterMs }: Expired, nowMs: number): KeelError {
  const notAfter = iso(notAfterMs);
  return new KeelError(
    'E_CERTIFICATE_EXPIRED',
    `Cannot enrol the certificate: it is valid from ${iso(notBeforeMs)} and expired at ${notAfter}, but the node's time is ${iso(nowMs)}; when the certificate is new, the node's clock is ahead. The token stays good`,
    {
      details: { not_after: notAfter, node_time: iso(nowMs) },
      hint: "Set the node's clock right in its firmware and restart it. A node never goes back behind the last time that it knew: when it has remembered a wrong one, wipe its state partition or wait until that time has come.",
    },
  );
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

function profileProblem(facts: CertificateFacts): string | undefined {
  const { curve, signatureAlgorithm: signature } = facts;
  if (facts.version !== 3) return `it is a version ${facts.version} certificate, not version 3`;
  if (facts.serialBytes > SERIAL_BYTES_MAX) return 'its serial number is longer than 20 bytes';
  if (facts.subjectEmpty) return 'it has no subject';
  if (!facts.selfIssued) return 'it is not self-signed: issuer and subject differ';
  if (facts.keyAlgorithm !== Oid.ecPublicKey) return 'its key is not an ECDSA key';
  if (curve !== Oid.curveP256 && curve !== Oid.curveP384) {
    return 'its key is on another curve than P-256 or P-384';
  }
  if (signature !== Oid.ecdsaWithSha256 && signature !== Oid.ecdsaWithSha384) {
    return 'its signature is not ECDSA with SHA-256 or SHA-384';
  }
  if (facts.isAuthority) return 'it is a certificate authority';
  if (facts.keyUsage === undefined || (facts.keyUsage & DIGITAL_SIGNATURE) === 0) {
    return 'its key usage lacks digitalSignature';
  }
  if (!facts.extendedKeyUsage.includes(Oid.clientAuth)) {
    return 'its extended key usage lacks clientAuth';
  }
  if (facts.unknownCritical.length > 0) {
    return `it has an unknown critical extension (${facts.unknownCritical.join(', ')})`;
  }
  return undefined;
}

function timeProblem(facts: CertificateFacts, options: JudgeOptions): string | undefined {
  const validityMs = facts.notAfterMs - facts.notBeforeMs;
  if (validityMs <= 0) return 'it ends before it begins';
  if (validityMs > VALIDITY_MS_MAX + VALIDITY_SKEW_MS) {
    return `it is valid for ${Math.ceil(validityMs / 3_600_000)} hours, at most 24 are accepted`;
  }
  if (facts.notBeforeMs > options.notBeforeMsMax) return 'it begins too far in the future';
  return undefined;
}
