/** Matching and coding of patched bytes, as the generator of deltas uses them. */
import { zstdCompressSync } from 'node:zlib';
import type { Copy } from '@keelos/as-core/delta-copy.ts';

/** What is matched. */
export interface MatchInput {
  readonly old: Uint8Array;
  readonly patched: Uint8Array;
  readonly maxMemoryBytes: number | undefined;
}

/** Where the old bytes are that resemble the patched ones most. */
export async function matchBytes(_input: MatchInput): Promise<readonly Copy[]> {
  return [];
}

/** The part `patch` of a delta. */
export async function codeBytes(
  { patched }: MatchInput,
  _copies: readonly Copy[],
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < patched.length; at += 2 ** 20) {
    const frame = zstdCompressSync(patched.subarray(at, at + 2 ** 20));
    const head = Buffer.alloc(4);
    head.writeUInt32LE(frame.length);
    parts.push(head, frame);
  }
  return Buffer.concat(parts);
}
