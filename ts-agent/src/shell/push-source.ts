/**
 * A bundle that the operator's program holds at the other end of a PushUpdate call: the node asks for ranges, the caller
 * sends them. The caller sends nothing that was not asked for, so nothing has to be kept.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import type {
  PushStart,
  PushUpdateRequest,
  PushUpdateResponseSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { SourceFacts, UpdateSource } from '../sys/update-source.ts';

/** Longest wait for the caller's next message. */
export const PUSH_IDLE_MS = 60_000;
/** A call that ends may turn out to be cancelled within this time. */
const CANCEL_GRACE_MS = 100;
/** Longest name of a bundle; it is shown and logged. */
export const PUSH_NAME_CHARS_MAX = 256;

/** There is no server: the hints of the table, which are for one, would mislead. */
const CALLER_HINT =
  'The bundle comes from the caller of this update: look at the file, at the program that sends it and at its way to the node, then send it again. The install goes on where it was.';

/** A range of the bundle. */
interface Range {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/** What an install says at its end. */
type PushResponse = MessageInitShape<typeof PushUpdateResponseSchema>;
type StatusInit = Extract<
  NonNullable<PushResponse['message']>,
  { readonly case: 'status' }
>['value'];

/** What {@link pushedUpdate} needs. */
export interface PushedUpdate {
  readonly signal: AbortSignal;
  /** Installs from the source, and returns once nothing more is needed of it. */
  readonly install: (source: UpdateSource, start: PushStart) => Promise<StatusInit>;
  /** Longest wait for the caller's next message. */
  readonly idleMs?: number;
}

/**
 * The answers to a PushUpdate call: the ranges that the install asks for, and at last how it stands.
 *
 * @throws KeelError E_INVALID_ARGUMENT for a call that does not begin with its start, and what `install` throws
 */
export async function* pushedUpdate(
  requests: AsyncIterable<PushUpdateRequest>,
  { signal, install, idleMs = PUSH_IDLE_MS }: PushedUpdate,
): AsyncGenerator<PushResponse> {
  const messages = requests[Symbol.asyncIterator]();
  const start = await firstMessage(messages, { signal, idleMs });
  const source = new PushSource(messages, { start, idleMs });
  // A caller who leaves sends no more, so what the install waits for will not come.
  const onAbort = (): void => void source.close();
  signal.addEventListener('abort', onAbort, { once: true });
  const installed = install(source, start).finally(() => source.close());
  // It is awaited below; until then its failure must not count as unhandled.
  installed.catch(() => undefined);
  try {
    for await (const { offsetBytes, lengthBytes } of source.wanted()) {
      const value = { offsetBytes: BigInt(offsetBytes), sizeBytes: BigInt(lengthBytes) };
      yield { message: { case: 'wanted', value } };
    }
    yield { message: { case: 'status', value: await installed } };
  } finally {
    signal.removeEventListener('abort', onAbort);
    await source.close();
  }
}

async function firstMessage(
  messages: AsyncIterator<PushUpdateRequest>,
  wait: { readonly signal: AbortSignal; readonly idleMs: number },
): Promise<PushStart> {
  const message = await nextMessage(messages, { ...wait, name: 'the bundle' });
  if (message?.case !== 'start') {
    throw new KeelError(
      'E_INVALID_ARGUMENT',
      'Cannot take the bundle: the first message of the call is not its start',
    );
  }
  const sizeBytes = Number(message.value.sizeBytes);
  if (!Number.isSafeInteger(sizeBytes)) {
    throw new KeelError('E_INVALID_ARGUMENT', `Cannot take a bundle of ${sizeBytes} bytes`);
  }
  return message.value;
}

/** The caller's next message; undefined when it will send no more. */
async function nextMessage(
  messages: AsyncIterator<PushUpdateRequest>,
  wait: { readonly signal: AbortSignal; readonly idleMs: number; readonly name: string },
): Promise<PushUpdateRequest['message'] | undefined> {
  const { signal, idleMs, name } = wait;
  const ended = new AbortController();
  const late = sleep(idleMs, undefined, { signal: AbortSignal.any([signal, ended.signal]) });
  try {
    const next = await Promise.race([messages.next(), late]);
    if (next === undefined) {
      throw new KeelError(
        'E_SOURCE_TIMEOUT',
        `Cannot take ${name}: the caller sent nothing for ${Math.round(idleMs / 1_000)} s`,
        { hint: CALLER_HINT },
      );
    }
    if (next.done !== true) return next.value.message;
    // A call that was cancelled ends its messages first, and says so after.
    await sleep(CANCEL_GRACE_MS, undefined, { signal });
    return undefined;
  } catch (cause) {
    if (cause instanceof KeelError) throw cause;
    throw new KeelError('E_CANCELLED', `Cannot take ${name}: the call has ended`, { cause });
  } finally {
    ended.abort();
    late.catch(() => undefined);
  }
}

/** The caller's end of the call as a source. One range at a time. */
export class PushSource implements UpdateSource {
  readonly #messages: AsyncIterator<PushUpdateRequest>;
  readonly #sizeBytes: number;
  readonly #name: string;
  readonly #idleMs: number;
  readonly #closed = new AbortController();
  /** Range that the caller does not know of yet. */
  #unsent: Range | undefined;
  #noted = Promise.withResolvers<void>();
  /** A range was begun and not read to its end: its rest is still to come, and nothing else can be asked for. */
  #isHalfRead = false;

  constructor(
    messages: AsyncIterator<PushUpdateRequest>,
    options: {
      readonly start: Pick<PushStart, 'sizeBytes' | 'name'>;
      readonly idleMs?: number;
    },
  ) {
    this.#messages = messages;
    this.#sizeBytes = Number(options.start.sizeBytes);
    this.#name = shownName(options.start.name);
    this.#idleMs = options.idleMs ?? PUSH_IDLE_MS;
  }

  async open(): Promise<SourceFacts> {
    return { sizeBytes: this.#sizeBytes, name: this.#name };
  }

  /** The ranges that are asked for, until the source is closed. */
  async *wanted(): AsyncGenerator<Range> {
    for (;;) {
      await this.#noted.promise;
      this.#noted = Promise.withResolvers();
      const range = this.#unsent;
      this.#unsent = undefined;
      if (range === undefined || this.#closed.signal.aborted) return;
      yield range;
    }
  }

  async *read(range: Range, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const endBytes = range.offsetBytes + range.lengthBytes;
    if (range.offsetBytes < 0 || range.lengthBytes < 0 || endBytes > this.#sizeBytes) {
      throw new RangeError(`bytes ${range.offsetBytes} to ${endBytes} of ${this.#sizeBytes}`);
    }
    if (this.#isHalfRead) throw new Error('a second range before the end of the first');
    if (range.lengthBytes === 0) return;
    this.#isHalfRead = true;
    this.#unsent = range;
    this.#noted.resolve();
    const wait = {
      signal: AbortSignal.any([signal, this.#closed.signal]),
      idleMs: this.#idleMs,
      name: this.#name,
    };
    for (let leftBytes = range.lengthBytes; leftBytes > 0; ) {
      const data = this.#dataOf(await nextMessage(this.#messages, wait), leftBytes);
      leftBytes -= data.length;
      this.#isHalfRead = leftBytes > 0;
      yield data;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    this.#noted.resolve();
  }

  #dataOf(message: PushUpdateRequest['message'] | undefined, leftBytes: number): Uint8Array {
    if (message === undefined) {
      throw new KeelError(
        'E_SOURCE_SHORT',
        `Cannot take ${this.#name}: the caller ended with ${leftBytes} bytes of a range to come`,
        { hint: CALLER_HINT },
      );
    }
    // An empty piece would be no progress, and there could be any number of them.
    if (message.case !== 'data' || message.value.length === 0) {
      throw new KeelError(
        'E_INVALID_ARGUMENT',
        `Cannot take ${this.#name}: expected bytes of the range that was asked for`,
      );
    }
    if (message.value.length > leftBytes) {
      throw new KeelError(
        'E_SOURCE_LONG',
        `Cannot take ${this.#name}: the caller sent ${message.value.length} bytes where ${leftBytes} were asked for`,
        { hint: CALLER_HINT },
      );
    }
    return message.value;
  }
}

/** A name fit for logs and messages. */
function shownName(name: string): string {
  const shown = name.replace(/[^\x20-\x7e]/g, '?').slice(0, PUSH_NAME_CHARS_MAX);
  return shown === '' ? 'the bundle' : shown;
}
