/**
 * The operators whose certificates are enrolled: what is stored of them, and who is still among them.
 */
import type { RecordKind } from '@keelos/proto/state-record.ts';
import type { ClientCertificate } from './client-certificate.ts';
import { CERTIFICATE_BYTES_MAX, fingerprintOf } from './client-certificate.ts';

/** Record of the enrolled operators. */
export const OPERATORS_RECORD: RecordKind = { kind: 'operators', version: 1 };
/** Enrolled certificates at the same time. */
export const OPERATORS_MAX = 64;

/** One enrolled certificate. Times are Unix milliseconds. */
export interface Operator {
  readonly fingerprint: string;
  /** DER form in base64. */
  readonly certificate: string;
  readonly subject: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly enrolledAtMs: number;
  /** "token", or the fingerprint of the certificate that it succeeds. */
  readonly enrolledBy: string;
}

/** An operator from an accepted certificate. */
export function operatorFrom(
  certificate: ClientCertificate,
  enrolment: { readonly atMs: number; readonly by: string },
): Operator {
  return {
    fingerprint: certificate.fingerprint,
    certificate: Buffer.from(certificate.der).toString('base64'),
    subject: certificate.subject,
    notBeforeMs: certificate.notBeforeMs,
    notAfterMs: certificate.notAfterMs,
    enrolledAtMs: enrolment.atMs,
    enrolledBy: enrolment.by,
  };
}

/** `operators` without those that have expired by `nowMs`. */
export function withoutExpired(operators: readonly Operator[], nowMs: number): readonly Operator[] {
  return operators.filter((operator) => operator.notAfterMs >= nowMs);
}

/** `operators` with `added`, which replaces an entry of the same certificate; undefined when there is no room. */
export function withOperator(
  operators: readonly Operator[],
  added: Operator,
): readonly Operator[] | undefined {
  const others = operators.filter((operator) => operator.fingerprint !== added.fingerprint);
  return others.length < OPERATORS_MAX ? [...others, added] : undefined;
}

/**
 * `operators` without the rest of the line of `renewer`, so that it and its successor `successor` are the only ones
 * left of it: its predecessor, and successors that an earlier renewal brought.
 */
export function withoutLineage(
  operators: readonly Operator[],
  renewer: string,
  successor: string,
): readonly Operator[] {
  const predecessor = operators.find(({ fingerprint }) => fingerprint === renewer)?.enrolledBy;
  return operators.filter(
    ({ fingerprint, enrolledBy }) =>
      fingerprint === renewer ||
      fingerprint === successor ||
      (fingerprint !== predecessor && enrolledBy !== renewer),
  );
}

/** `operators` with room for one more: a full list loses the one that expires first. */
export function withRoom(operators: readonly Operator[]): readonly Operator[] {
  if (operators.length < OPERATORS_MAX) return operators;
  const first = operators.reduce((a, b) => (b.notAfterMs < a.notAfterMs ? b : a));
  return operators.filter((operator) => operator !== first);
}

/**
 * Reads the payload of {@link OPERATORS_RECORD}.
 *
 * Returns undefined when the shape is wrong or a fingerprint is not the one of its certificate.
 */
export function operatorsFrom(payload: unknown): readonly Operator[] | undefined {
  const list =
    typeof payload === 'object' && payload !== null && 'operators' in payload
      ? payload.operators
      : undefined;
  if (!Array.isArray(list) || list.length > OPERATORS_MAX) return undefined;
  return list.every(isOperator) ? list : undefined;
}

function isOperator(value: unknown): value is Operator {
  if (typeof value !== 'object' || value === null) return false;
  const entry = value as Partial<Record<keyof Operator, unknown>>;
  const texts = [entry.fingerprint, entry.certificate, entry.subject, entry.enrolledBy];
  const numbers = [entry.notBeforeMs, entry.notAfterMs, entry.enrolledAtMs];
  if (!texts.every((text) => typeof text === 'string')) return false;
  if (!numbers.every((number) => Number.isSafeInteger(number))) return false;
  const der = Buffer.from(String(entry.certificate), 'base64');
  return der.length <= CERTIFICATE_BYTES_MAX && fingerprintOf(der) === entry.fingerprint;
}
