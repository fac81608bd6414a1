/** A delta, and the full bundle for when it cannot be used: from the first byte on, or from where the delta failed. */
import { KeelError } from '@keelos/proto/errors.ts';
import type { SourceFacts, SourceRange, UpdateSource } from '../sys/update-source.ts';
import { readPiece } from './root-copy.ts';

/** The source. Both must be of one release: what is read of the one goes on with the other. */
export class FallbackSource implements UpdateSource {
  readonly #delta: UpdateSource;
  readonly #bundle: UpdateSource;
  readonly #onFallback: (reason: string) => void;
  #facts: SourceFacts | undefined;
  #isFull = false;

  /** @param onFallback is told once why the delta is not used any more */
  constructor(of: {
    readonly delta: UpdateSource;
    readonly bundle: UpdateSource;
    readonly onFallback: (reason: string) => void;
  }) {
    this.#delta = of.delta;
    this.#bundle = of.bundle;
    this.#onFallback = of.onFallback;
  }

  async open(signal: AbortSignal): Promise<SourceFacts> {
    try {
      this.#facts = await this.#delta.open(signal);
    } catch (cause) {
      await this.#fallBack(cause, signal);
      this.#facts = await this.#bundle.open(signal);
    }
    return this.#facts;
  }

  async *read(range: SourceRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let { offsetBytes, lengthBytes } = range;
    if (!this.#isFull) {
      try {
        for await (const piece of this.#delta.read(range, signal)) {
          yield piece;
          offsetBytes += piece.length;
          lengthBytes -= piece.length;
        }
        return;
      } catch (cause) {
        await this.#fallBack(cause, signal);
        await this.#demandSame(signal);
      }
    }
    yield* this.#bundle.read({ offsetBytes, lengthBytes }, signal);
  }

  async close(): Promise<void> {
    try {
      await this.#delta.close();
    } finally {
      await this.#bundle.close();
    }
  }

  /** @throws `cause` when it says nothing of the delta */
  async #fallBack(cause: unknown, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!(cause instanceof KeelError)) throw cause;
    this.#isFull = true;
    this.#onFallback(cause.message);
    await this.#delta.close();
  }

  /** The release that was judged is the one that the bundle has. @throws KeelError E_SOURCE_CHANGED */
  async #demandSame(signal: AbortSignal): Promise<void> {
    const wanted = this.#facts;
    const { sizeBytes, name } = await this.#bundle.open(signal);
    const end = wanted?.end ?? new Uint8Array(0);
    if (sizeBytes === wanted?.sizeBytes) {
      const range = { offsetBytes: sizeBytes - end.length, lengthBytes: end.length };
      if ((await readPiece(this.#bundle, range, signal)).equals(end)) return;
    }
    const reason = 'it is another release than the one that the delta makes';
    throw new KeelError('E_SOURCE_CHANGED', `Cannot go on with ${name}: ${reason}`);
  }
}
