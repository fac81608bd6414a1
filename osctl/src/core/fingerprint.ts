/** Fingerprints of certificates and one-time tokens: what a person copies from a console. */
import { KeelError } from '@keelos/proto/errors.ts';

const FINGERPRINT = /^[0-9a-f]{64}$/;
/** Characters of a token, without the dashes between its five groups of four. */
const TOKEN_CHARS = 20;
const TOKEN = /^[0-9A-Z]*$/;

/**
 * SHA-256 fingerprint as 64 lower-case hexadecimal digits. Upper case, colons, spaces and a leading "sha256:" do not matter.
 *
 * @throws KeelError E_USAGE when 64 hexadecimal digits do not remain.
 */
export function parseFingerprint(text: string): string {
  const digits = text
    .trim()
    .toLowerCase()
    .replace(/^sha-?256[:=]/, '')
    .replace(/[:\s]/g, '');
  if (FINGERPRINT.test(digits)) return digits;
  const reason = /^[0-9a-f]*$/.test(digits)
    ? `it has ${digits.length} hexadecimal digits, expected 64`
    : 'it is not hexadecimal';
  throw new KeelError('E_USAGE', `Cannot use fingerprint "${text.trim()}": ${reason}`, {
    hint: 'Copy the value of "certificate-sha256" from the console of the node.',
  });
}

/**
 * Enrolment token in its canonical form: letters and digits in upper case, without spaces and dashes.
 *
 * @throws KeelError E_INVALID_ARGUMENT when it cannot be a token. The message never holds the token.
 */
export function normaliseToken(text: string): string {
  const token = text.replace(/[\s-]/g, '').toUpperCase();
  const wellFormed = TOKEN.test(token);
  if (wellFormed && token.length === TOKEN_CHARS) return token;
  const reason = wellFormed
    ? `it has ${token.length} characters, expected ${TOKEN_CHARS}`
    : 'it does not have the form of a token';
  throw new KeelError('E_INVALID_ARGUMENT', `Cannot use the enrolment token: ${reason}`, {
    hint: 'Copy the value of "enrolment-token" from the console of the node.',
  });
}
