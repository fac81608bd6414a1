/** Answers that are on their way: who takes nothing of one for too long is cut off. */
import type { ServerResponse } from 'node:http';

/** Looks without progress after which an answer is cut off. */
const LOOKS_MAX = 5;

/** The answers. Looks are counted, not time: when this process stands still, that is no fault of its clients. */
export class Transfers {
  readonly #onSlow: () => void;
  readonly #timer: NodeJS.Timeout;
  /** Answers, and the looks since something of them was handed to the system. */
  readonly #looks = new Map<ServerResponse, number>();

  /**
   * Begins to look.
   *
   * @param of.blockMs in this time a client takes what was handed to the system at once
   */
  constructor(of: { readonly blockMs: number; readonly onSlow: () => void }) {
    this.#onSlow = of.onSlow;
    this.#timer = setInterval(() => this.#look(), of.blockMs / LOOKS_MAX).unref();
  }

  /** A piece of an answer goes out: its client has until now taken what was before. */
  progress(response: ServerResponse): void {
    if (!this.#looks.has(response)) response.once('close', () => this.#looks.delete(response));
    this.#looks.set(response, 0);
  }

  #look(): void {
    for (const [response, looks] of this.#looks) {
      this.#looks.set(response, looks + 1);
      if (looks < LOOKS_MAX) continue;
      this.#looks.delete(response);
      this.#onSlow();
      response.destroy();
    }
  }

  /** Looks no more. */
  close(): void {
    clearInterval(this.#timer);
  }
}
