/**
 * QEMU Machine Protocol over a Unix socket: one connection for each command, so that nothing is held open while a
 * machine runs on its own.
 *
 * https://www.qemu.org/docs/master/interop/qmp-spec.html
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const COMMAND_TIMEOUT_MS = 10_000;

interface QmpMessage {
  readonly QMP?: unknown;
  readonly return?: unknown;
  readonly error?: { readonly class: string; readonly desc: string };
}

/**
 * Sends one command and returns its result.
 *
 * @throws Error when QEMU refuses it, is gone, or does not answer within ten seconds.
 */
export async function qmpCommand(
  socketPath: string,
  request: { readonly execute: string; readonly arguments?: Readonly<Record<string, unknown>> },
): Promise<unknown> {
  const socket = connect(socketPath);
  const timer = setTimeout(() => {
    socket.destroy(new Error(`no answer within ${COMMAND_TIMEOUT_MS} ms`));
  }, COMMAND_TIMEOUT_MS);
  // Greeting, then the answer to leaving negotiation mode, then ours; events may come in between.
  const waiting = [{ execute: 'qmp_capabilities' }, request];
  let sent = 0;
  try {
    const failed = new Promise<never>((_, reject) => {
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('the connection was closed')));
    });
    failed.catch(() => {}); // the loop below reports it when it matters
    const answer = (async () => {
      for await (const line of createInterface({ input: socket })) {
        const message: QmpMessage = JSON.parse(line);
        if (message.error !== undefined) throw new Error(message.error.desc);
        const isReply = 'QMP' in message || 'return' in message;
        if (!isReply) continue;
        const next = waiting[sent];
        if (next === undefined) return message.return;
        sent += 1;
        socket.write(`${JSON.stringify(next)}\n`);
      }
      throw new Error('the connection was closed');
    })();
    return await Promise.race([answer, failed]);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`Cannot send ${request.execute} to QEMU: ${reason}`, { cause });
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}
