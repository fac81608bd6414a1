/** Sends a bundle of this machine to the node: the node asks for ranges of it, in the order that it needs them. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type PushRange,
  type PushUpdateRequestSchema,
  type PushUpdateResponseSchema,
  type UpdateOptionsSchema,
  UpdatePhase,
  UpdateService,
  type UpdateStatus,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { needsSource } from '../core/update-text.ts';
import type { BundleFile } from '../sys/bundle-file.ts';
import type { Exchange } from './exchange.ts';
import {
  boundError,
  earlierInstall,
  leftOf,
  lookAfterLoss,
  type TimeBound,
} from './follow-update.ts';
import { InstallWatch } from './install-watch.ts';
import { type Invocation, type NodeSession, tellWaiting } from './invocation.ts';
import { INTERVAL_MS, isPassing } from './wait.ts';

/** Bytes in one message: well below what a node takes as one. */
const CHUNK_BYTES = 256 * 1024;
/** Tries in a row that bring the install no further. */
const PUSH_TRIES_MAX = 10;

/** What is pushed. */
export interface PushOptions {
  readonly file: BundleFile;
  readonly options: MessageInitShape<typeof UpdateOptionsSchema>;
  readonly bound: TimeBound;
  readonly onStatus: (status: UpdateStatus) => void | Promise<void>;
}

type PushExchange = Exchange<typeof PushUpdateRequestSchema, typeof PushUpdateResponseSchema>;

/** Sends one range. Ends early when the call has ended: the loop over its messages says why. */
async function sendRange(
  exchange: PushExchange,
  file: BundleFile,
  { offsetBytes, sizeBytes }: PushRange,
): Promise<void> {
  const endBytes = offsetBytes + sizeBytes;
  if (endBytes > BigInt(file.sizeBytes)) {
    throw new KeelError(
      'E_INTERNAL',
      `Cannot send ${file.name}: the node asks for byte ${endBytes} of ${file.sizeBytes}`,
    );
  }
  let doneBytes = Number(offsetBytes);
  while (doneBytes < Number(endBytes)) {
    const data = await file.read(doneBytes, Math.min(CHUNK_BYTES, Number(endBytes) - doneBytes));
    const hasLeft = await exchange.send({ message: { case: 'data', value: data } });
    if (!hasLeft) return;
    doneBytes += data.length;
  }
}

/** True for an error of a try after which the next one goes on. */
function mayTryAgain(error: unknown): error is KeelError {
  if (isPassing(error)) return true;
  // The node has not noticed yet that the connection of the try before is gone.
  return error instanceof KeelError && error.code === 'E_UPDATE_RUNNING';
}

/** A node ends an install whose bytes stop coming: the next push goes on with what it has written. */
function isResumable({ phase }: UpdateStatus): boolean {
  return [UpdatePhase.UNSPECIFIED, UpdatePhase.FAILED, UpdatePhase.CANCELLED].includes(phase);
}

/** One push of one bundle, over as many calls as it takes. */
class Push {
  readonly #session: NodeSession;
  readonly #invocation: Invocation;
  readonly #options: PushOptions;
  readonly #earlierId: string;
  /** True once the node has asked for bytes, so that there is something to go on with. */
  #hasBegun = false;
  #last: UpdateStatus | undefined;
  #furthestBytes = -1n;
  #triesLeft = PUSH_TRIES_MAX;

  constructor(
    session: NodeSession,
    invocation: Invocation,
    options: PushOptions & { readonly earlierId: string },
  ) {
    this.#session = session;
    this.#invocation = invocation;
    this.#options = options;
    this.#earlierId = options.earlierId;
  }

  async run(): Promise<UpdateStatus> {
    const { signal, host } = this.#invocation;
    while (true) {
      signal.throwIfAborted();
      const status = await this.#tryOnce();
      if (status !== undefined) return status;
      await host.clock.sleep(INTERVAL_MS, signal);
      const state = await this.#stateAfterLoss();
      if (state !== undefined && !needsSource(state) && !isResumable(state)) return state;
    }
  }

  /** One call; undefined when it was lost and the next may go on. */
  async #tryOnce(): Promise<UpdateStatus | undefined> {
    const { bound, file } = this.#options;
    const leftMs = leftOf(bound, this.#invocation);
    if (leftMs <= 0) {
      const seen = `${file.name} is not sent in full`;
      throw boundError(bound, { goal: 'install the bundle', seen });
    }
    try {
      return await this.#call(leftMs);
    } catch (error) {
      if (!this.#hasBegun || this.#triesLeft === 0 || !mayTryAgain(error)) throw error;
      this.#triesLeft -= 1;
      tellWaiting(this.#invocation, error.message);
      return undefined;
    }
  }

  async #call(timeoutMs: number): Promise<UpdateStatus> {
    const { file, options } = this.#options;
    const client = this.#session.reopen(timeoutMs);
    const watch = new InstallWatch(client, {
      earlierId: this.#earlierId,
      onStatus: (status) => this.#note(status),
    });
    try {
      const exchange = client.exchange(UpdateService.method.pushUpdate);
      const start = { name: file.name, sizeBytes: BigInt(file.sizeBytes), options };
      await exchange.send({ message: { case: 'start', value: start } });
      let told: UpdateStatus | undefined;
      for await (const { message } of exchange.messages) {
        if (message.case === 'status') {
          told = message.value;
          await this.#note(told);
        }
        if (message.case !== 'wanted') continue;
        this.#hasBegun = true;
        watch.begin();
        await sendRange(exchange, file, message.value);
      }
      if (told !== undefined) return told;
      throw new KeelError('E_INTERNAL', 'Cannot install the bundle: the node said nothing of it');
    } finally {
      await watch.close();
      client.close();
    }
  }

  async #note(status: UpdateStatus): Promise<void> {
    this.#last = status;
    if (status.phase === UpdatePhase.WRITING && status.doneBytes > this.#furthestBytes) {
      this.#furthestBytes = status.doneBytes;
      this.#triesLeft = PUSH_TRIES_MAX;
    }
    await this.#options.onStatus(status);
  }

  /** How the node sees an install whose call was lost; undefined when that is not known now. */
  async #stateAfterLoss(): Promise<UpdateStatus | undefined> {
    const lost = { id: this.#last?.id ?? '', earlierId: this.#earlierId };
    const { bound } = this.#options;
    const state = await lookAfterLoss(this.#session, this.#invocation, { ...lost, bound });
    return state === 'unknown' ? undefined : state;
  }
}

/**
 * Pushes the bundle until the node needs nothing more of it, and returns the last state. A lost connection is made
 * again, and the node goes on where it was. The install may not have ended then: follow it.
 *
 * @throws KeelError E_TIMEOUT, E_UNREACHABLE when the connection breaks again and again, E_SOURCE_CHANGED, and what
 * the node refuses the bundle with.
 */
export async function pushBundle(
  session: NodeSession,
  invocation: Invocation,
  options: PushOptions,
): Promise<UpdateStatus> {
  const earlierId = await earlierInstall(session, invocation, options.bound);
  return await new Push(session, invocation, { ...options, earlierId }).run();
}
