/**
 * May this caller do that?
 */
import { KeelError } from '@keelos/proto/errors.ts';
import type { Operator } from './operators.ts';

/** What the TLS handshake showed of a caller. */
export interface ShownCertificate {
  readonly fingerprint: string;
  readonly subject: string;
}

/** Who calls. */
export type Caller =
  | {
      readonly kind: 'operator';
      readonly fingerprint: string;
      readonly subject: string;
      /** End of the certificate, Unix milliseconds: a stream ends with it. */
      readonly notAfterMs: number;
    }
  | { readonly kind: 'nobody' };

/** Who calls, for logs and records. */
export function subjectOfCaller(caller: Caller): string {
  return caller.kind === 'operator' ? caller.subject : 'nobody';
}

/** The only method that answers callers without an enrolled certificate. */
export const ENROL_METHOD = '/keel.v1.EnrolmentService/Enrol';

/** What {@link decideAccess} looks at. */
export interface AccessQuestion {
  /** Full method, "/package.Service/Method". */
  readonly method: string;
  readonly shown: ShownCertificate | undefined;
  /** Entry of the shown certificate, when it is enrolled. */
  readonly operator: Operator | undefined;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** Caller who may go on, or why not. An enrolled certificate that is not valid yet by this clock is let in. */
export function decideAccess(question: AccessQuestion): Caller | KeelError {
  const { method, shown, operator, nowMs } = question;
  if (operator !== undefined && operator.notAfterMs >= nowMs) {
    const { fingerprint, subject, notAfterMs } = operator;
    return { kind: 'operator', fingerprint, subject, notAfterMs };
  }
  if (method === ENROL_METHOD) return { kind: 'nobody' };
  if (shown === undefined) {
    return new KeelError(
      'E_NO_CLIENT_CERTIFICATE',
      `Cannot call ${method}: no client certificate was shown`,
    );
  }
  const named = `client certificate "${shown.subject}" (SHA-256 ${shown.fingerprint})`;
  const details = { subject: shown.subject, fingerprint_sha256: shown.fingerprint };
  if (operator !== undefined) {
    const notAfter = new Date(operator.notAfterMs).toISOString();
    return new KeelError(
      'E_CERTIFICATE_EXPIRED',
      `Cannot call ${method}: ${named} expired at ${notAfter}, the node's time is ${new Date(nowMs).toISOString()}`,
      { details: { ...details, not_after: notAfter } },
    );
  }
  return new KeelError('E_NOT_ENROLLED', `Cannot call ${method}: ${named} is not enrolled`, {
    details,
  });
}
