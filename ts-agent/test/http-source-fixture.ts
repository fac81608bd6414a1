/** A source over a server that a test has in its hands. */
import assert from 'node:assert/strict';
import { KeelError } from '@keelos/proto/errors.ts';
import { systemClock } from '@keelos/ts-agent/sys/clock.ts';
import type { HttpSourceOptions } from '@keelos/ts-agent/sys/http-source.ts';
import { httpSource } from '@keelos/ts-agent/sys/http-source.ts';
import type { Behaviour } from './hostile-server.ts';
import { sendPart } from './hostile-server.ts';

/** A bundle whose every byte tells its place. */
export const CONTENT = Buffer.alloc(300_000, 0).map((_, at) => (at * 7 + (at >> 8)) & 0xff);
/** Times that a test can wait for. */
export const TIMES = {
  connectMs: 2_000,
  answerMs: 300,
  idleMs: 300,
  slowWindowMs: 2_000,
  slowBytesMin: 1,
};
/** Nobody gives up. */
export const never = new AbortController().signal;

/** A source that does not wait between two tries, and how long it would have. */
export function sourceOf(url: string, change: Partial<HttpSourceOptions> = {}) {
  const waits: number[] = [];
  const source = httpSource({
    url,
    caPem: '',
    settings: { noProxy: [] },
    clock: systemClock,
    times: TIMES,
    wait: async (ms) => void waits.push(ms),
    ...change,
  });
  return { source, waits };
}

/** Everything from `offsetBytes` on, or the code of the error. */
export async function fetched(
  url: string,
  change: Partial<HttpSourceOptions> = {},
  offsetBytes = 0,
): Promise<Buffer | string> {
  const { source } = sourceOf(url, change);
  try {
    const { sizeBytes } = await source.open(never);
    const pieces: Uint8Array[] = [];
    const range = { offsetBytes, lengthBytes: sizeBytes - offsetBytes };
    for await (const piece of source.read(range, never)) {
      assert.ok(piece.length <= 1_048_576);
      pieces.push(piece);
    }
    return Buffer.concat(pieces);
  } catch (cause) {
    if (!(cause instanceof KeelError)) throw cause;
    assert.match(cause.message, /^Cannot fetch |^Cannot use /);
    return cause.code;
  } finally {
    await source.close();
  }
}

/** Honest for the first question, which is asked by open(); then `rest`. */
export function afterOpen(rest: Behaviour): Behaviour {
  return (asked, socket, count) =>
    count === 1 ? sendPart(asked, socket, CONTENT) : rest(asked, socket, count);
}
