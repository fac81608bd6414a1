/**
 * What agent and PID 1 say to the process that verifies, and what it answers. It is started as {@link VERIFIER_NAME},
 * reads one request in JSON from its standard input until that ends, writes lines of JSON to its standard output, and
 * ends: any number of "progress", then one other answer.
 *
 * It is a process of its own because WebAssembly is compiled in it: a fault of the compiler, or memory that cannot be
 * had, ends a verification and neither the agent nor PID 1.
 */
import type { BundleSignature, BundleTail, TrustFile } from './bundle.ts';

/** Name under which `keel` is this process. */
export const VERIFIER_NAME = 'keel-verifier';
/** Bound on a request. */
export const VERIFIER_REQUEST_BYTES_MAX = 1024 * 1024;
/** Bound on a line of the answer: 64 bad blocks, each with the names of all files that share it. */
export const VERIFIER_LINE_BYTES_MAX = 8 * 1024 * 1024;

/** Descriptor for bytes, where a request asks for some. */
export const VERIFIER_BYTES_FD = 3;

/** How the process is started. */
export interface VerifierProgram {
  readonly executable: string;
  readonly argv0: string;
  readonly args: readonly string[];
}

/** An image on a block device. */
export interface ImagePlace {
  readonly device: string;
  readonly dataBlocks: number;
  readonly hashStartBlock: number;
  /** Hexadecimal. */
  readonly salt: string;
  readonly rootHash: string;
}

/** Where the release lies that a delta is applied to. */
export interface DeltaSourcePlace {
  /** Device of the running root, which dm-verity checks as it is read. */
  readonly rootDevice: string;
  readonly rootHash: string;
  /** Bytes of the root's data, without its hash tree. */
  readonly dataBytes: number;
  /** Device of the kernel image, and where on it its bytes lie, in order. */
  readonly kernelDevice: string;
  readonly kernelExtents: readonly {
    readonly offsetBytes: number;
    readonly lengthBytes: number;
  }[];
}

/** An apply. */
export interface DeltaApplication {
  /** File with the delta. */
  readonly path: string;
  readonly source: DeltaSourcePlace;
  /** Device that an earlier apply may have written the first `fromBytes` bytes to. */
  readonly keptDevice: string;
  /** The first byte of the target's bundle that is wanted; what comes before it is not said. */
  readonly fromBytes: number;
  /** File that is there, for the kernels. */
  readonly kernelPath: string;
}

/** What is known of a delta that was opened: its form and hashes are right, and this machine packs as it counts on. */
export interface OpenedDelta {
  readonly from: string;
  readonly to: string;
  /** Root hash of the release that it is applied to; empty for a plain image. */
  readonly sourceRootHash: string;
  /** Size of the bundle that it makes. */
  readonly bundleBytes: number;
  /** Room that the unpacked kernel of the source and the packed one of the target take; 0 when kernels stay packed. */
  readonly kernelBytes: number;
  /** Last bytes of that bundle in Base64: its manifest, signatures and footer. Nothing was judged of them but the form. */
  readonly end: string;
}

/** What is asked. */
export type VerifierRequest =
  | { readonly task: 'open-delta'; readonly path: string }
  /** The bytes of root and kernel image, from `fromBytes` on, go to descriptor {@link VERIFIER_BYTES_FD}. */
  | ({ readonly task: 'apply-delta' } & DeltaApplication)
  | {
      readonly task: 'verify-image';
      readonly place: ImagePlace;
      /** Whether the file system is walked too. */
      readonly withFileSystem: boolean;
    }
  | {
      readonly task: 'hash-blocks';
      /** Hexadecimal. */
      readonly salt: string;
      /** Blocks of 4096 bytes, each in Base64. */
      readonly blocks: readonly string[];
    }
  | {
      readonly task: 'read-bundle';
      /** The last bytes of a bundle, all of it or TAIL_BYTES_MAX, in Base64. */
      readonly tail: string;
      readonly sizeBytes: number;
    }
  | {
      readonly task: 'read-trust';
      /** A trust file in Base64. */
      readonly bytes: string;
    }
  | {
      readonly task: 'read-channel-head';
      /** The metadata of a channel in Base64. */
      readonly bytes: string;
    }
  | {
      readonly task: 'reach-api';
      readonly host: string;
      readonly port: number;
      /** SHA-256 of the certificate that must be shown, 64 lower-case hexadecimal digits. */
      readonly fingerprint: string;
    };

/** What is answered; `Findings` is the agent's matter. */
export type VerifierAnswer<Findings = unknown> =
  | { readonly kind: 'progress'; readonly doneBytes: number }
  | { readonly kind: 'findings'; readonly findings: Findings }
  /** Hexadecimal, one for each block. */
  | { readonly kind: 'digests'; readonly digests: readonly string[] }
  | {
      readonly kind: 'bundle';
      readonly tail: Omit<BundleTail, 'manifestBytes'>;
      /** Base64. */
      readonly manifestBytes: string;
    }
  | { readonly kind: 'trust'; readonly trust: TrustFile }
  /** `signed` are the bytes that the signatures are over, in Base64. */
  | {
      readonly kind: 'channel-head';
      readonly signed: string;
      readonly signatures: readonly BundleSignature[];
    }
  | { readonly kind: 'delta'; readonly delta: OpenedDelta }
  /** All bytes were given; so many of the target were found as an earlier apply had left them. */
  | { readonly kind: 'applied'; readonly keptBytes: number }
  /** Empty, or why the API was not reached. */
  | { readonly kind: 'reached'; readonly problem: string }
  /** `code` is empty when there is none. */
  | { readonly kind: 'error'; readonly code: string; readonly message: string };
