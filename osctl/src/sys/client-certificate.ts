/** Makes the operator's key and self-signed certificate. The key never leaves this process but into the contexts file. */
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { VALIDITY_MS_MAX } from '@keelos/proto/certificates.ts';
import * as x509 from '@peculiar/x509';

/** A new identity. */
export interface ClientIdentity {
  /** Self-signed certificate, PEM. */
  readonly certificate: string;
  /** The same in DER form. */
  readonly certificateDer: Uint8Array;
  /** Private key, PEM (PKCS #8). */
  readonly key: string;
  readonly notAfter: Date;
}

/** The certificate begins this much before now, for a node whose clock is a little behind. */
const BACKDATE_MS = 5 * 60_000;
const SECOND_MS = 1000;
const SERIAL_BYTES = 16;
const COMMON_NAME_LENGTH_MAX = 64;
const ORGANISATION = 'keel:admin';
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  // Positive and without a leading zero octet (RFC 5280, section 4.1.2.2).
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

/**
 * A new ECDSA P-256 key with its self-signed certificate: O=keel:admin, digital signature, client authentication, no CA.
 *
 * The whole span, five minutes in the past included, is `validityMs` long.
 */
export async function makeClientIdentity({
  commonName,
  now,
  validityMs,
}: {
  commonName: string;
  now: number;
  validityMs: number;
}): Promise<ClientIdentity> {
  if (validityMs <= BACKDATE_MS || validityMs > VALIDITY_MS_MAX) {
    throw new RangeError(`validity of ${validityMs} ms`);
  }
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  // Times in a certificate have whole seconds.
  const begin = Math.floor((now - BACKDATE_MS) / SECOND_MS) * SECOND_MS;
  const notAfter = new Date(begin + validityMs);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialNumber(),
      name: [{ CN: [commonName.slice(0, COMMON_NAME_LENGTH_MAX)] }, { O: [ORGANISATION] }],
      notBefore: new Date(begin),
      notAfter,
      signingAlgorithm: ALGORITHM,
      keys: keys,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth], true),
      ],
    },
    webcrypto as Parameters<typeof x509.X509CertificateGenerator.createSelfSigned>[1],
  );
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return {
    certificate: `${certificate.toString('pem')}\n`,
    certificateDer: new Uint8Array(certificate.rawData),
    key: `${x509.PemConverter.encode(pkcs8, 'PRIVATE KEY')}\n`,
    notAfter,
  };
}
