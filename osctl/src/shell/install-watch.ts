/** Shows the state of an install beside the call that feeds it. What it misses is only shown less. */
import { UpdateService, type UpdateStatus } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { NodeClient } from './node-client.ts';

/** States of an install that has just begun, over the connection of the call that feeds it. */
export class InstallWatch {
  readonly #client: NodeClient;
  readonly #earlierId: string;
  readonly #onStatus: (status: UpdateStatus) => void | Promise<void>;
  readonly #closed = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    client: NodeClient,
    options: {
      /** Id of the install before, which is not shown. */
      readonly earlierId: string;
      readonly onStatus: (status: UpdateStatus) => void | Promise<void>;
    },
  ) {
    this.#client = client;
    this.#earlierId = options.earlierId;
    this.#onStatus = options.onStatus;
  }

  /** Begins to watch, unless it does already. */
  begin(): void {
    this.#running ??= this.#watch().finally(() => {
      this.#running = undefined;
    });
  }

  /** Ends the watch, and returns when no state will be told any more. */
  async close(): Promise<void> {
    this.#closed.abort();
    await this.#running;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#closed;
    try {
      const states = this.#client.stream(UpdateService.method.watchUpdate, { id: '' }, { signal });
      for await (const { status } of states) {
        if (status === undefined || status.id === this.#earlierId || signal.aborted) return;
        await this.#onStatus(status);
      }
    } catch {
      // The call that feeds the install finds out what is wrong, and says so.
    }
  }
}
