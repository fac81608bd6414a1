/** Matching and coding of patched bytes, as the generator of deltas uses them. */
import type { Copy } from '@keelos/as-core/delta-copy.ts';
import { findAddresses } from '@keelos/as-core/delta-elf.ts';
import { createDeltaMatcher } from '@keelos/as-core/delta-match.ts';
import { encodePatch, type Span } from '@keelos/as-core/delta-patch.ts';
import { compilePatch } from '@keelos/as-core/delta-patched.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const MORE_MEMORY = 'Give it more memory: --max-memory.';

/**
 * Where the old bytes are that resemble the new ones most.
 *
 * @throws KeelError E_IMAGE_INVALID when the memory is too little for a pair of this size
 */
export async function matchBytes(of: {
  readonly old: Uint8Array;
  readonly fresh: Uint8Array;
  /** Most that the matcher takes. */
  readonly maxMemoryBytes: number;
}): Promise<readonly Copy[]> {
  const { old, fresh, maxMemoryBytes: memoryBytesMax } = of;
  if (fresh.length === 0) return [];
  const matcher = await createDeltaMatcher();
  try {
    return matcher.match(old, fresh, { memoryBytesMax });
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new KeelError('E_IMAGE_INVALID', `Cannot make delta: ${cause.message}`, {
      cause,
      hint: MORE_MEMORY,
    });
  }
}

/** True for the error of a pair for which the memory is too little. */
export function isMemoryShort(cause: unknown): boolean {
  return cause instanceof KeelError && cause.hint === MORE_MEMORY;
}

/** The part `patch` of a delta: makes the spans of the new bytes; the copies of other bytes say where things went. */
export async function codeBytes(of: {
  readonly old: Uint8Array;
  readonly fresh: Uint8Array;
  readonly copies: readonly Copy[];
  readonly spans: readonly Span[];
  readonly onProgress: (fraction: number) => void;
}): Promise<Uint8Array> {
  const { old, fresh, copies, spans, onProgress } = of;
  const total = spans.reduce((sum, { length }) => sum + length, 0);
  if (total === 0) return new Uint8Array(0);
  return encodePatch(await compilePatch(), {
    ...{ old, new: fresh, copies, spans },
    addresses: findAddresses(old, fresh, copies),
    onProgress: (done) => onProgress(Math.min(1, done / total)),
  });
}
