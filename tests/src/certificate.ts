/**
 * Client certificates for the tests: what osctl would make, and every wrong variation of it.
 */
import 'reflect-metadata';
import { KeyObject, randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

/** A certificate and its private key, both PEM. */
export interface ClientCertificate {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** What may differ from a good certificate. */
export interface CertificateOptions {
  /** Subject in RFC 4514 form. */
  readonly subject?: string;
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

/** A self-signed ECDSA P-256 certificate for client authentication, valid from a minute ago for less than a day. */
export async function makeClientCertificate(
  options: CertificateOptions = {},
): Promise<ClientCertificate> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const notBefore = options.notBefore ?? new Date(Date.now() - MINUTE_MS);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: `01${randomBytes(8).toString('hex')}`,
      name: options.subject ?? 'CN=keel-test',
      notBefore,
      notAfter: options.notAfter ?? new Date(notBefore.getTime() + DAY_MS - MINUTE_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth], true),
      ],
    },
    webcrypto,
  );
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' });
  return { certificatePem: certificate.toString('pem'), keyPem: key.toString() };
}

/** Subject of a certificate, as {@link makeClientCertificate} takes it. */
export function subjectOf(certificatePem: string): string {
  return new x509.X509Certificate(certificatePem).subject;
}

/** DER form of a certificate. */
export function derOf(certificatePem: string): Uint8Array {
  return new Uint8Array(new x509.X509Certificate(certificatePem).rawData);
}
