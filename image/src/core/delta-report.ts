/** What is asked of the generator of deltas, and what it says of one: the port behind which it stands. */

/** One delta to make. */
export interface DeltaRequest {
  /** Bundle or plain SquashFS that a node has. */
  readonly oldPath: string;
  /** What it is to have: of the same kind as the old one. */
  readonly newPath: string;
  /** Where the delta goes. The name appears when the delta has been applied and its bytes are on the disk, or never. */
  readonly out: string;
  /** Files of private keys that sign it; none: it is signed later, or stands under the signature of what lists it. */
  readonly keys?: readonly string[];
  /** Most memory that the generator may take. */
  readonly maxMemoryBytes?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: DeltaProgress) => void;
}

/** Steps in their order. */
export type DeltaStep = 'read' | 'match' | 'code' | 'prove' | 'write';

/** How far one step is. */
export interface DeltaProgress {
  readonly step: DeltaStep;
  /** 0 to 1. */
  readonly fraction: number;
}

/** A delta that was made, and proven by being applied. */
export interface DeltaReport {
  readonly path: string;
  /** Releases; "image" for a plain SquashFS. */
  readonly from: string;
  readonly to: string;
  readonly deltaBytes: number;
  /** Of the file that the delta makes anew. */
  readonly fullBytes: number;
  /** SHA-256 of the delta, hexadecimal. */
  readonly sha256: string;
  /** Bytes of the target by how they come to be. */
  readonly copiedBytes: number;
  readonly packedBytes: number;
  readonly literalBytes: number;
  /** Time by the clock. */
  readonly generateMs: number;
  readonly applyMs: number;
}

/**
 * Makes a delta: `makeDelta` of image/src/shell/delta.ts.
 *
 * @throws KeelError E_BUNDLE_…, E_IMAGE_INVALID when an input is malformed, or the two do not fit each other
 */
export type MakeDelta = (request: DeltaRequest) => Promise<DeltaReport>;
