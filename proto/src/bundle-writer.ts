/** Writes what stands behind the kernel image of a bundle, and trust files. Equal values give equal bytes. Pure. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { BundleManifest, BundleSignature, TrustFile } from './bundle.ts';
import { BUNDLE_FORMAT_VERSION, FOOTER_BYTES, FOOTER_MAGIC } from './bundle.ts';

/** Where the fields of the footer are, in bytes from its begin; whole numbers, little endian. */
export const FOOTER_FIELDS = {
  magic: 0,
  /** 32 bits: {@link BUNDLE_FORMAT_VERSION}. */
  version: 8,
  /** 32 bits, zero. */
  reserved: 12,
  /** 64 bits: the whole bundle, footer included. */
  bundleBytes: 16,
  /** 64 bits. */
  manifestOffset: 24,
  /** 32 bits. */
  manifestBytes: 32,
  /** 32 bits. */
  signaturesBytes: 36,
  /** 20 bytes, zero. */
  padding: 40,
  /** 32 bits: CRC-32 (as in zlib) of all bytes before. It finds accidents; the signatures find the rest. */
  checksum: 60,
} as const;

/** Hexadecimal digits in the id of a key. */
const KEY_ID_DIGITS = 16;

/** Any value of objects, lists, texts and integers, in its one form. @throws RangeError for a number that is no integer */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'number' && !Number.isSafeInteger(inner)) {
      throw new RangeError(`Cannot write ${inner}: not an integer`);
    }
    if (inner === null || typeof inner !== 'object' || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

/** Bytes of a manifest: what is signed. */
export function encodeManifest(manifest: BundleManifest): Buffer {
  return Buffer.from(canonicalJson(manifest), 'latin1');
}

/** Bytes of a list of signatures, in the order of their keys. */
export function encodeSignatures(signatures: readonly BundleSignature[]): Buffer {
  const sorted = signatures.toSorted((a, b) => (a.keyId < b.keyId ? -1 : 1));
  return Buffer.from(canonicalJson({ signatures: sorted }), 'latin1');
}

/** Bytes of a trust file, its keys in the order of their ids. */
export function encodeTrust(trust: TrustFile): Buffer {
  const keys = trust.keys.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  return Buffer.from(canonicalJson({ ...trust, keys }), 'latin1');
}

/** The trust file of an image that was built without one: it trusts nobody. */
export const EMPTY_TRUST: TrustFile = {
  format: 'keelos-trust/1',
  threshold: 1,
  epoch: 1,
  keys: [],
};

/** Id of a public key, given as its 32 raw bytes. */
export function keyIdOf(publicKey: Uint8Array): string {
  return createHash('sha256').update(publicKey).digest('hex').slice(0, KEY_ID_DIGITS);
}

/** What a footer leads to, in bytes. */
export interface FooterPlaces {
  readonly manifestOffset: number;
  readonly manifestBytes: number;
  readonly signaturesBytes: number;
}

const BUNDLE_FOOTER = { magic: FOOTER_MAGIC, version: BUNDLE_FORMAT_VERSION };

/** The footer of a bundle, or of a format of the same footer under another name. */
export function encodeFooter(
  places: FooterPlaces,
  { magic, version }: { readonly magic: string; readonly version: number } = BUNDLE_FOOTER,
): Buffer {
  const { manifestOffset, manifestBytes, signaturesBytes } = places;
  const footer = Buffer.alloc(FOOTER_BYTES);
  const bundleBytes = manifestOffset + manifestBytes + signaturesBytes + FOOTER_BYTES;
  footer.write(magic, FOOTER_FIELDS.magic, 'latin1');
  footer.writeUInt32LE(version, FOOTER_FIELDS.version);
  footer.writeBigUInt64LE(BigInt(bundleBytes), FOOTER_FIELDS.bundleBytes);
  footer.writeBigUInt64LE(BigInt(manifestOffset), FOOTER_FIELDS.manifestOffset);
  footer.writeUInt32LE(manifestBytes, FOOTER_FIELDS.manifestBytes);
  footer.writeUInt32LE(signaturesBytes, FOOTER_FIELDS.signaturesBytes);
  footer.writeUInt32LE(crc32(footer.subarray(0, FOOTER_FIELDS.checksum)), FOOTER_FIELDS.checksum);
  return footer;
}

/** All that stands behind the kernel image: manifest, signatures, footer. */
export function encodeTail(
  manifest: BundleManifest,
  signatures: readonly BundleSignature[],
): Buffer {
  const manifestBytes = encodeManifest(manifest);
  const signatureBytes = encodeSignatures(signatures);
  const footer = encodeFooter({
    manifestOffset: manifest.uki.offset + manifest.uki.size,
    manifestBytes: manifestBytes.length,
    signaturesBytes: signatureBytes.length,
  });
  return Buffer.concat([manifestBytes, signatureBytes, footer]);
}
