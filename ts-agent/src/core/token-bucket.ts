/**
 * Call rates: one token bucket for each caller, a bounded number of callers.
 */

/** Shape of every bucket. */
export interface BucketShape {
  readonly capacity: number;
  readonly refillPerSecond: number;
  /** Buckets that are remembered. */
  readonly keysMax: number;
}

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** All buckets; the order of the map is the order of use. */
export type Buckets = ReadonlyMap<string, Bucket>;

/**
 * Takes a token from the bucket of `key` at monotonic time `nowMs`.
 *
 * Returns the buckets after it and whether there was a token. The bucket that was quiet longest is forgotten, which
 * fills it.
 */
export function takeToken(
  buckets: Buckets,
  shape: BucketShape,
  taker: { readonly key: string; readonly nowMs: number },
): { readonly buckets: Buckets; readonly isTaken: boolean } {
  const bucket = buckets.get(taker.key) ?? { tokens: shape.capacity, atMs: taker.nowMs };
  const refill = (Math.max(0, taker.nowMs - bucket.atMs) * shape.refillPerSecond) / 1000;
  const tokens = Math.min(shape.capacity, bucket.tokens + refill);
  const isTaken = tokens >= 1;
  const next = new Map(buckets);
  next.delete(taker.key);
  next.set(taker.key, { tokens: isTaken ? tokens - 1 : tokens, atMs: taker.nowMs });
  const oldest = next.keys().next().value;
  if (next.size > shape.keysMax && oldest !== undefined) next.delete(oldest);
  return { buckets: next, isTaken };
}
