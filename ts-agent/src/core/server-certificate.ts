/**
 * The certificate that the API serves: self-signed, for server authentication, pinned by its fingerprint.
 */
import { createHash } from 'node:crypto';
import { SERVER_DNS_NAME } from '@keelos/proto/certificates.ts';
import { DerTag, derElement, derInteger, derOid } from './der.ts';
import { Oid } from './x509.ts';

/** Validity of the node's own certificate, in years. Its identity is its key, not the date. */
export const SERVER_CERTIFICATE_YEARS = 25;

/** What goes into the certificate. */
export interface ServerCertificateRequest {
  /** Public key as SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
  /** 16 random bytes. */
  readonly serial: Uint8Array;
  readonly hostname: string;
  /** Addresses without prefix length. */
  readonly addresses: readonly string[];
  readonly notBeforeMs: number;
}

/** The part that is signed (RFC 5280, 4.1.1.1). */
export function serverCertificateToSign(request: ServerCertificateRequest): Uint8Array {
  const begin = new Date(Math.floor(request.notBeforeMs / 1000) * 1000);
  const end = new Date(begin);
  end.setUTCFullYear(end.getUTCFullYear() + SERVER_CERTIFICATE_YEARS);
  const name = distinguishedName([
    [Oid.organization, 'KeelOS'],
    [Oid.commonName, request.hostname.slice(0, 64)],
  ]);
  const keyId = createHash('sha1').update(request.publicKey).digest();
  return derElement(
    DerTag.sequence,
    derElement(0xa0, derInteger(Uint8Array.of(2))),
    derInteger(
      Uint8Array.from(request.serial, (byte, index) => (index === 0 ? byte & 0x7f : byte)),
    ),
    algorithm(),
    name,
    derElement(DerTag.sequence, time(begin), time(end)),
    name,
    request.publicKey,
    derElement(
      0xa3,
      derElement(
        DerTag.sequence,
        extension(Oid.basicConstraints, true, derElement(DerTag.sequence)),
        extension(Oid.keyUsage, true, derElement(DerTag.bitString, Uint8Array.of(7, 0x80))),
        extension(Oid.extendedKeyUsage, false, derElement(DerTag.sequence, derOid(Oid.serverAuth))),
        extension(Oid.subjectKeyIdentifier, false, derElement(DerTag.octetString, keyId)),
        extension(Oid.subjectAltName, false, alternativeNames(request)),
      ),
    ),
  );
}

/** The whole certificate, DER. `signature` is ECDSA with SHA-256 over `toSign`, DER. */
export function serverCertificate(toSign: Uint8Array, signature: Uint8Array): Uint8Array {
  return derElement(
    DerTag.sequence,
    toSign,
    algorithm(),
    derElement(DerTag.bitString, Uint8Array.of(0), signature),
  );
}

function algorithm(): Uint8Array {
  return derElement(DerTag.sequence, derOid(Oid.ecdsaWithSha256));
}

function distinguishedName(parts: readonly (readonly [string, string])[]): Uint8Array {
  const names = parts.map(([oid, value]) =>
    derElement(
      DerTag.set,
      derElement(
        DerTag.sequence,
        derOid(oid),
        derElement(DerTag.utf8String, Buffer.from(value, 'utf8')),
      ),
    ),
  );
  return derElement(DerTag.sequence, ...names);
}

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const flag = critical ? [derElement(DerTag.boolean, Uint8Array.of(0xff))] : [];
  return derElement(DerTag.sequence, derOid(oid), ...flag, derElement(DerTag.octetString, value));
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime after. */
function time(date: Date): Uint8Array {
  const text = `${date.toISOString().replace(/[-:T]/g, '').slice(0, 14)}Z`;
  return date.getUTCFullYear() < 2050
    ? derElement(DerTag.utcTime, Buffer.from(text.slice(2), 'latin1'))
    : derElement(DerTag.generalizedTime, Buffer.from(text, 'latin1'));
}

function alternativeNames(request: ServerCertificateRequest): Uint8Array {
  const names = [...new Set([SERVER_DNS_NAME, request.hostname])];
  const addresses = [...new Set(['127.0.0.1', '::1', ...request.addresses])];
  return derElement(
    DerTag.sequence,
    ...names.map((name) => derElement(0x82, Buffer.from(name, 'latin1'))),
    ...addresses.flatMap((address) => {
      const bytes = addressBytes(address);
      return bytes === undefined ? [] : [derElement(0x87, bytes)];
    }),
  );
}

/** Network-order bytes of an IP address; undefined when it is none, or has a zone or an embedded IPv4 part. */
export function addressBytes(address: string): Uint8Array | undefined {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(address)) {
    const parts = address.split('.').map(Number);
    return parts.every((part) => part <= 255) ? Uint8Array.from(parts) : undefined;
  }
  if (!/^[0-9a-f:]{2,39}$/i.test(address) || address.split('::').length > 2) return undefined;
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':'));
  const left = groups(head);
  const right = groups(tail ?? '');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const all = [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  if (all.length !== 8 || !all.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return undefined;
  return Uint8Array.from(
    all.flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 0xff];
    }),
  );
}
