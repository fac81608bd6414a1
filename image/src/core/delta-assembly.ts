/** A delta put together: its parts one behind the other, and the manifest that names them. Pure. */
import { createHash } from 'node:crypto';
import type { BundleSignature } from '@keelos/proto/bundle.ts';
import {
  APPLY_MEMORY_BYTES_MAX,
  DELTA_PARTS,
  type DeltaKernel,
  type DeltaManifest,
  type DeltaPart,
  type DeltaPartName,
  type DeltaSide,
  ENCODER,
  RUN_BYTES_MAX,
} from '@keelos/proto/delta.ts';
import { encodeDeltaTail } from '@keelos/proto/delta-writer.ts';

/** What a delta holds. */
export interface DeltaContents {
  readonly parts: Readonly<Record<DeltaPartName, Uint8Array>>;
  readonly facts: {
    readonly from: string;
    readonly to: string;
    readonly source: DeltaSide;
    readonly target: DeltaSide;
    readonly blockBytes: number;
    readonly kernel: DeltaKernel;
    readonly level: number;
    readonly canary: string;
    readonly patchedBytes: number;
  };
}

/** Its manifest. */
export function deltaManifest({ parts, facts }: DeltaContents): DeltaManifest {
  let end = 0;
  const placed = DELTA_PARTS.map((name): [DeltaPartName, DeltaPart] => {
    const bytes = parts[name];
    const offset = end;
    end += bytes.length;
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    return [name, { offset, sha256, size: bytes.length }];
  });
  return {
    ...facts,
    format: 'keelos-delta/1',
    encoder: ENCODER,
    limits: { memoryBytes: APPLY_MEMORY_BYTES_MAX, runBytes: RUN_BYTES_MAX },
    parts: Object.fromEntries(placed) as Record<DeltaPartName, DeltaPart>,
  };
}

/** The whole file. */
export function deltaBytes(
  { parts }: DeltaContents,
  of: { readonly manifest: DeltaManifest; readonly signatures: readonly BundleSignature[] },
): Buffer {
  return Buffer.concat([
    ...DELTA_PARTS.map((name) => parts[name]),
    encodeDeltaTail(of.manifest, of.signatures),
  ]);
}
