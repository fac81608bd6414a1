/**
 * The delta `keelos-<from>-<to>-<arch>.kdelta`: where its parts are, and what its manifest says.
 *
 *     0                     plan              how the target is put together
 *     parts.patch           patch             copy lists and coded differences
 *     parts.literals        literals          bytes that are carried as they are
 *     parts.targetManifest  manifest and signatures of the target's bundle
 *     footer.manifest       manifest: canonical JSON, {@link DeltaManifest}
 *     footer.signatures     signatures: canonical JSON, as in a bundle
 *     size - 64             footer
 *
 * Each part begins where the one before it ends. Reading is done by `as-core` (delta.ts there), writing by
 * delta-writer.ts; docs/reference/delta-format.md gives every byte.
 */
import type { BundleSignature } from './bundle.ts';

/** First 8 bytes of the footer. */
export const DELTA_MAGIC = 'KEELDLTA';
/** Version of the format that this code writes and reads. */
export const DELTA_FORMAT_VERSION = 1;
/** Put before the manifest's bytes when they are signed. */
export const DELTA_SIGNATURE_CONTEXT = 'keelos-delta-manifest/1\0';
/** Largest plan. */
export const PLAN_BYTES_MAX = 2 ** 20;
/** Largest run of blocks, unpacked. */
export const RUN_BYTES_MAX = 2 ** 20;
/** Most memory that applying may take. */
export const APPLY_MEMORY_BYTES_MAX = 64 * 2 ** 20;
/** Largest unpacked kernel. */
export const KERNEL_BYTES_MAX = 2 ** 27;
/** Most patched bytes. */
export const PATCHED_BYTES_MAX = 2 ** 33;
/** Most pieces of a source. */
export const PIECES_MAX = 131_072;
/** The encoder that this code has. */
export const ENCODER = 'zstd-1.5.7';
/** Release name of a plain SquashFS. */
export const PLAIN_IMAGE = 'image';

/** One part of the delta. */
export interface DeltaPart {
  readonly offset: number;
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly sha256: string;
  readonly size: number;
}

/** Names of the parts, in the order in which they lie in the file. */
export const DELTA_PARTS = [
  'plan',
  'patch',
  'literals',
  'targetManifest',
  'targetSignatures',
] as const;

/** Name of a part. */
export type DeltaPartName = (typeof DELTA_PARTS)[number];

/** One side: what a node has, or is to have. */
export interface DeltaSide {
  /** Bytes of the root file system's data, without its hash tree. */
  readonly dataBytes: number;
  /** dm-verity's, 64 digits; empty for a plain SquashFS. */
  readonly rootHash: string;
  /** SHA-256 of the data. */
  readonly sha256: string;
  /** Bytes of the kernel image; 0 for a plain SquashFS. */
  readonly ukiBytes: number;
  /** SHA-256 of the kernel image; empty for a plain SquashFS. */
  readonly ukiSha256: string;
}

/** Where the kernel lies in the kernel image of the source, and who packs the target's. All 0 and empty: as it is. */
export interface DeltaKernel {
  /** SHA-256 of the packed canary of kernels. */
  readonly canary: string;
  /** Of its frame, from the begin of the kernel image. */
  readonly offset: number;
  readonly packedBytes: number;
  /** At most {@link KERNEL_BYTES_MAX}. */
  readonly unpackedBytes: number;
}

/** A kernel image whose kernel is not unpacked. */
export const NO_KERNEL: DeltaKernel = { canary: '', offset: 0, packedBytes: 0, unpackedBytes: 0 };

/** The manifest. Every key is required, and no other is allowed. */
export interface DeltaManifest {
  /** Block size of the target's SquashFS. */
  readonly blockBytes: number;
  /** SHA-256 of the packed canary. */
  readonly canary: string;
  readonly encoder: typeof ENCODER;
  readonly format: 'keelos-delta/1';
  readonly from: string;
  readonly kernel: DeltaKernel;
  /** Level of the encoder, 1 to 22. */
  readonly level: number;
  readonly limits: {
    /** At most {@link APPLY_MEMORY_BYTES_MAX}. */
    readonly memoryBytes: number;
    /** At most {@link RUN_BYTES_MAX}. */
    readonly runBytes: number;
  };
  readonly parts: Readonly<Record<DeltaPartName, DeltaPart>>;
  /** At most {@link PATCHED_BYTES_MAX}. */
  readonly patchedBytes: number;
  readonly source: DeltaSide;
  readonly target: DeltaSide;
  readonly to: string;
}

/** What stands behind the parts of a delta, parsed. Nothing is said of signatures and hashes by it. */
export interface DeltaTail {
  readonly manifest: DeltaManifest;
  /** What is signed, without {@link DELTA_SIGNATURE_CONTEXT}. */
  readonly manifestBytes: Uint8Array;
  readonly signatures: readonly BundleSignature[];
}

/** Steps of the plan; the numbers are those in the file. */
export const PlanKind = {
  copy: 0,
  raw: 1,
  data: 2,
  metadata: 3,
  literal: 4,
  zero: 5,
  kernel: 6,
} as const;

/** One step: what makes the next bytes of the target. */
export type PlanStep =
  | {
      readonly kind: 'copy';
      readonly bytes: number;
      /** Place in the source. */
      readonly from: number;
      readonly crc32: number;
    }
  | {
      readonly kind: 'raw' | 'literal' | 'zero';
      readonly bytes: number;
      readonly crc32: number;
    }
  | {
      readonly kind: 'kernel';
      /** Packed. */
      readonly bytes: number;
      /** At most {@link KERNEL_BYTES_MAX}. */
      readonly unpackedBytes: number;
      readonly crc32: number;
    }
  | {
      readonly kind: 'data' | 'metadata';
      /** Packed. */
      readonly bytes: number;
      /** Unpacked length of each block. */
      readonly blocks: readonly number[];
      readonly crc32: number;
    };

/** File name of a delta. */
export function deltaFileName(of: {
  readonly from: string;
  readonly to: string;
  readonly arch: string;
}): string {
  return `keelos-${of.from}-${of.to}-${of.arch}.kdelta`;
}
