/** What the failure of a connection means to who fetches something: its code, and whether trying again may help. Pure. */
import type { ErrorCode } from '@keelos/proto/errors.ts';

/** How far the exchange had come. */
export type HttpStage = 'connect' | 'answer' | 'body';

/** Our own code for a wait that took too long, beside those of Node. */
export const TIMED_OUT = 'KEEL_TIMED_OUT';

/** The verdict. */
export interface HttpFailure {
  readonly code: ErrorCode;
  readonly isWorthRetry: boolean;
}

/** What OpenSSL and Node say of a certificate that is not accepted (nodejs.org/api/tls.html, "X509 certificate error codes"). */
const CERTIFICATE =
  /^(CERT_|CRL_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERROR_IN_CERT|ERR_TLS_CERT_ALTNAME|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)/;
/** Answers that are no HTTP, or no TLS. */
const PROTOCOL = /^(HPE_|ERR_SSL_|ERR_TLS_|ERR_HTTP_|EPROTO$)/;
/** The parser met the end in the middle: that is a broken connection. */
const CUT_SHORT = 'HPE_INVALID_EOF_STATE';

/** Judges an error by its code; `code` is empty when it has none. */
export function judgeFailure(code: string, stage: HttpStage): HttpFailure {
  if (CERTIFICATE.test(code)) return { code: 'E_SOURCE_UNTRUSTED', isWorthRetry: false };
  if (code === TIMED_OUT) return { code: 'E_SOURCE_TIMEOUT', isWorthRetry: true };
  // In the middle of a body it may be damage on the way, which the next connection does not have.
  if (stage === 'body') return { code: 'E_SOURCE_SHORT', isWorthRetry: true };
  if (PROTOCOL.test(code) && code !== CUT_SHORT) {
    return { code: 'E_SOURCE_ANSWER', isWorthRetry: false };
  }
  return { code: 'E_SOURCE_UNREACHABLE', isWorthRetry: true };
}

/** OpenSSL's way to say it: thread, number, library, function, reason, file, line. */
const OPENSSL = /^[0-9A-F]+:error:[^:]*:[^:]*:[^:]*:([^:]+):/;
/** What Node adds for who starts it. */
const NODE_ADVICE = /; if the root CA is installed locally.*$/s;
const LOOK_UP = /^query\w+ (E\w+) (\S+)$/;

/** The message of a failed connection in one line that an operator can read. */
export function plainReason(message: string): string {
  const openssl = OPENSSL.exec(message)?.[1];
  if (openssl !== undefined) return `TLS: ${openssl}`;
  const [, code, name] = LOOK_UP.exec(message) ?? [];
  if (code !== undefined) return `the name servers give no address of ${name} (${code})`;
  return message.replace(NODE_ADVICE, '').split('\n')[0]?.trim() ?? '';
}
