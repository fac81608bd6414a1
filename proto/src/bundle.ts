/**
 * The bundle `keelos-<version>-<arch>.squashfs`: where its parts are, and what its manifest says.
 *
 *     0                  root file system (SquashFS, padded to 4096)
 *     root.dataBytes     hash tree (dm-verity)
 *     uki.offset         unified kernel image
 *     footer.manifest    manifest: canonical JSON, {@link BundleManifest}
 *     footer.signatures  signatures: canonical JSON, {@link BundleSignatures}
 *     size - 64          footer, {@link FOOTER_BYTES} bytes
 *
 * Each part begins where the one before it ends. Canonical JSON: printable ASCII, keys in ascending order, no space
 * between tokens, integers only, no key twice, no escapes (no text may hold what needs one), lists in ascending order.
 * Other text is refused, so that a signature stands for one reading. Reading is done by `as-core` (bundle.ts there),
 * writing by bundle-writer.ts; docs/reference/bundle-format.md gives every byte.
 */

/** Bytes of the footer. */
export const FOOTER_BYTES = 64;
/** Its first 8 bytes. */
export const FOOTER_MAGIC = 'KEELBNDL';
/** Version of the format that this code writes and reads. */
export const BUNDLE_FORMAT_VERSION = 1;
/** Largest manifest. */
export const MANIFEST_BYTES_MAX = 65_536;
/** Largest list of signatures. */
export const SIGNATURES_BYTES_MAX = 16_384;
/** Most signatures. */
export const SIGNATURES_MAX = 16;
/** Most keys in a trust file. */
export const TRUST_KEYS_MAX = 32;
/** Most letters in a version, a variant, the version of a kernel, or the name of a key. */
export const NAME_CHARS_MAX = 64;
/** Largest security epoch; the smallest is 1. */
export const EPOCH_MAX = 2 ** 31 - 1;
/** Largest time, in Unix seconds: the end of the year 9999. */
export const TIME_SECONDS_MAX = 253_402_300_799;
/** Largest root with its hash tree: 4 GiB. */
export const ROOT_BYTES_MAX = 2 ** 32;
/** Largest kernel image: 128 MiB. */
export const UKI_BYTES_MAX = 2 ** 27;
/** Largest trust file of an image. */
export const TRUST_BYTES_MAX = 65_536;
/** Put before the manifest's bytes when they are signed: a signature means a manifest and nothing else. */
export const SIGNATURE_CONTEXT = 'keelos-bundle-manifest/1\0';
/** Everything that stands behind the kernel image fits into this many bytes. */
export const TAIL_BYTES_MAX = MANIFEST_BYTES_MAX + SIGNATURES_BYTES_MAX + FOOTER_BYTES;

/** One part of the bundle. */
export interface BundlePart {
  readonly offset: number;
  readonly size: number;
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
}

/** The manifest. Every key is required, and no other is allowed. */
export interface BundleManifest {
  readonly format: 'keelos-bundle/1';
  /** Release, for example "1.2.3": letters, digits and ". - + _", 64 characters at most. */
  readonly version: string;
  readonly arch: 'x86_64' | 'aarch64';
  readonly variant: string;
  /** Unix seconds. */
  readonly buildEpochSeconds: number;
  /** Security epoch: a node refuses one below its own. */
  readonly epoch: number;
  readonly kernelVersion: string;
  readonly root: BundlePart & {
    /** Bytes of the file system with its padding; the hash tree follows. */
    readonly dataBytes: number;
    readonly rootHash: string;
    /** Hexadecimal, 0 to 512 digits. */
    readonly salt: string;
  };
  readonly uki: BundlePart;
}

/** The list of signatures. */
export interface BundleSignatures {
  readonly signatures: readonly BundleSignature[];
}

/** One signature. */
export interface BundleSignature {
  /** Id of the key: the first 16 hexadecimal digits of SHA-256 over its 32 raw bytes. */
  readonly keyId: string;
  /** Ed25519 signature, 64 bytes in hexadecimal. */
  readonly signature: string;
}

/** What stands behind the kernel image of a bundle, parsed. Nothing is said of signatures and hashes by it. */
export interface BundleTail {
  readonly manifest: BundleManifest;
  /** What is signed, without {@link SIGNATURE_CONTEXT}. */
  readonly manifestBytes: Uint8Array;
  /** SHA-256 of these bytes, hexadecimal: it names the bundle. */
  readonly manifestSha256: string;
  readonly signatures: readonly BundleSignature[];
}

/** `/etc/keel/trust.json` of an image. */
export interface TrustFile {
  readonly format: 'keelos-trust/1';
  /** Different keys that must have signed. */
  readonly threshold: number;
  /** Lowest security epoch that a node with this image takes, and the epoch of bundles built with it. */
  readonly epoch: number;
  /** None: the image takes no update. */
  readonly keys: readonly TrustedKey[];
}

/** A key that may sign bundles. */
export interface TrustedKey {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** Raw Ed25519 public key, 32 bytes in hexadecimal. */
  readonly publicKey: string;
  /** Unix seconds after which its signatures count no more; 0: never. */
  readonly notAfter: number;
}

/** Path of the trust file in an image. */
export const TRUST_FILE = '/etc/keel/trust.json';
/** Trust file of an image for the metadata of channels (channel.ts); its epoch says nothing. */
export const CHANNEL_TRUST_FILE = '/etc/keel/channel-trust.json';

/** File name of a bundle. */
export function bundleFileName({
  version,
  arch,
}: Pick<BundleManifest, 'version' | 'arch'>): string {
  return `keelos-${version}-${arch}.squashfs`;
}
