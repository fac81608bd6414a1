/**
 * What KeelOS looks at in an X.509 certificate (RFC 5280) and does not get from node:crypto: version, usages,
 * constraints, unknown critical extensions.
 */
import type { DerElement } from './der.ts';
import { contentOf, DerError, DerTag, oidText, readElement, readElements } from './der.ts';

/** Object identifiers of the certificate profile. */
export const Oid = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  ecdsaWithSha384: '1.2.840.10045.4.3.3',
  ecPublicKey: '1.2.840.10045.2.1',
  curveP256: '1.2.840.10045.3.1.7',
  curveP384: '1.3.132.0.34',
  commonName: '2.5.4.3',
  organization: '2.5.4.10',
  subjectKeyIdentifier: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  authorityKeyIdentifier: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const;

/** The facts of one certificate. */
export interface CertificateFacts {
  /** 1, 2 or 3. */
  readonly version: number;
  readonly serialBytes: number;
  readonly signatureAlgorithm: string;
  /** Key algorithm, and the curve when it is an EC key. */
  readonly keyAlgorithm: string;
  readonly curve: string;
  readonly selfIssued: boolean;
  readonly subjectEmpty: boolean;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** First byte of the key usage bits; undefined when the extension is absent. Bit 0x80 is digitalSignature. */
  readonly keyUsage: number | undefined;
  readonly extendedKeyUsage: readonly string[];
  readonly isAuthority: boolean;
  /** Critical extensions that this code does not understand. */
  readonly unknownCritical: readonly string[];
}

const UNDERSTOOD: ReadonlySet<string> = new Set([
  Oid.keyUsage,
  Oid.extendedKeyUsage,
  Oid.basicConstraints,
  Oid.subjectAltName,
  Oid.subjectKeyIdentifier,
  Oid.authorityKeyIdentifier,
]);

/** Reads `der`, exactly one certificate. @throws DerError on anything else */
export function readCertificate(der: Uint8Array): CertificateFacts {
  const whole = readElement(der);
  if (whole.bytes.length !== der.length) throw new DerError('bytes after the certificate');
  const [tbs, outerAlgorithm] = readElements(contentOf(whole, DerTag.sequence));
  const fields = readElements(contentOf(tbs, DerTag.sequence));
  const explicitVersion = fields[0]?.tag === 0xa0 ? fields.shift() : undefined;
  const version =
    explicitVersion === undefined
      ? 1
      : (contentOf(readElement(explicitVersion.content), DerTag.integer)[0] ?? 0) + 1;
  const [serial, innerAlgorithm, issuer, validity, subject, key, ...optional] = fields;
  const signatureAlgorithm = algorithmOid(outerAlgorithm);
  if (algorithmOid(innerAlgorithm) !== signatureAlgorithm) {
    throw new DerError('two different signature algorithms');
  }
  const [notBefore, notAfter] = readElements(contentOf(validity, DerTag.sequence));
  const [keyAlgorithm = '', curve = ''] = keyOids(key);
  const issuerBytes = contentOf(issuer, DerTag.sequence);
  const subjectBytes = contentOf(subject, DerTag.sequence);
  return {
    version,
    serialBytes: contentOf(serial, DerTag.integer).length,
    signatureAlgorithm,
    keyAlgorithm,
    curve,
    selfIssued: Buffer.compare(issuerBytes, subjectBytes) === 0,
    subjectEmpty: subjectBytes.length === 0,
    notBeforeMs: timeMs(notBefore),
    notAfterMs: timeMs(notAfter),
    ...extensionFacts(optional.find((field) => field.tag === 0xa3)),
  };
}

function algorithmOid(element: DerElement | undefined): string {
  return oidText(contentOf(readElements(contentOf(element, DerTag.sequence))[0], DerTag.oid));
}

function keyOids(key: DerElement | undefined): string[] {
  const [algorithm] = readElements(contentOf(key, DerTag.sequence));
  return readElements(contentOf(algorithm, DerTag.sequence))
    .filter((part) => part.tag === DerTag.oid)
    .map((part) => oidText(part.content));
}

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** RFC 5280, 4.1.2.5: UTCTime until 2049, with two digits of the year; GeneralizedTime from 2050. */
function timeMs(element: DerElement | undefined): number {
  const text = Buffer.from(element?.content ?? []).toString('latin1');
  const isUtc = element?.tag === DerTag.utcTime;
  const match = (isUtc ? UTC_TIME : GENERALIZED_TIME).exec(text);
  if (match === null || (!isUtc && element?.tag !== DerTag.generalizedTime)) {
    throw new DerError('unreadable time');
  }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number);
  const fullYear = isUtc ? (year < 50 ? 2000 + year : 1900 + year) : year;
  return Date.UTC(fullYear, month - 1, day, hour, minute, second);
}

type ExtensionFacts = Pick<
  CertificateFacts,
  'keyUsage' | 'extendedKeyUsage' | 'isAuthority' | 'unknownCritical'
>;

function extensionFacts(wrapper: DerElement | undefined): ExtensionFacts {
  const extensions =
    wrapper === undefined
      ? []
      : readElements(contentOf(readElement(wrapper.content), DerTag.sequence)).map((extension) => {
          const parts = readElements(contentOf(extension, DerTag.sequence));
          const critical = parts[1]?.tag === DerTag.boolean && parts[1].content[0] === 0xff;
          const value = contentOf(parts.at(-1), DerTag.octetString);
          return { oid: oidText(contentOf(parts[0], DerTag.oid)), critical, value };
        });
  const value = (oid: string) => extensions.find((extension) => extension.oid === oid)?.value;
  if (new Set(extensions.map(({ oid }) => oid)).size !== extensions.length) {
    throw new DerError('an extension appears twice');
  }
  const usage = value(Oid.keyUsage);
  const extended = value(Oid.extendedKeyUsage);
  const constraints = value(Oid.basicConstraints);
  return {
    keyUsage:
      usage === undefined ? undefined : (contentOf(readElement(usage), DerTag.bitString)[1] ?? 0),
    extendedKeyUsage:
      extended === undefined
        ? []
        : readElements(contentOf(readElement(extended), DerTag.sequence)).map((purpose) =>
            oidText(contentOf(purpose, DerTag.oid)),
          ),
    isAuthority:
      constraints !== undefined &&
      readElements(contentOf(readElement(constraints), DerTag.sequence))[0]?.tag === DerTag.boolean,
    unknownCritical: extensions
      .filter(({ oid, critical }) => critical && !UNDERSTOOD.has(oid))
      .map(({ oid }) => oid),
  };
}
