/** A call with messages in both directions. */
import type { DescMessage, Message, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import type { ClientDuplexStream } from '@grpc/grpc-js';

/** One open call. */
export interface Exchange<I extends DescMessage, O extends DescMessage> {
  /** What the node sends. Ending the loop early cancels the call. */
  readonly messages: AsyncIterable<MessageShape<O>>;
  /** Resolves when the message has left this machine, or with false when the call has ended before. */
  send(message: MessageInitShape<I>): Promise<boolean>;
}

/** How an exchange ends early. */
export interface ExchangeOptions {
  readonly signal: AbortSignal;
  /** What a failure of the call is thrown as. */
  translate(error: unknown): Promise<unknown>;
}

/** An {@link Exchange} over a call of grpc-js. */
export function exchangeOver<I extends DescMessage, O extends DescMessage>(
  pending: ClientDuplexStream<Message, Message>,
  { signal, translate }: ExchangeOptions,
): Exchange<I, O> {
  let hasEnded = false;
  let noteEnd: (sent: boolean) => void = () => undefined;
  // "status" comes exactly once, however the call ends; a write after that may never call back.
  const ended = new Promise<boolean>((resolve) => {
    noteEnd = resolve;
  });
  pending.once('status', () => {
    hasEnded = true;
    noteEnd(false);
  });
  const cancel = () => pending.cancel();
  signal.addEventListener('abort', cancel, { once: true });

  async function* messages(): AsyncIterable<MessageShape<O>> {
    try {
      for await (const message of pending) yield message as MessageShape<O>;
    } catch (error) {
      throw await translate(error);
    } finally {
      signal.removeEventListener('abort', cancel);
      pending.cancel();
    }
  }

  return {
    messages: messages(),
    send: async (message) => {
      if (hasEnded) return false;
      const left = new Promise<boolean>((resolve) => {
        pending.write(message as Message, (error?: Error | null) => resolve(!error));
      });
      return await Promise.race([left, ended]);
    },
  };
}
