/** Talking to PID 1 over its socket: one connection, one request (proto/src/init-control.ts). */
import { connect } from 'node:net';
import { KeelError } from '@keelos/proto/errors.ts';
import type { InitReply, InitRequest, LogLine } from '@keelos/proto/init-control.ts';
import { LINE_BYTES_MAX } from '@keelos/proto/init-control.ts';

/** Time for an answer of PID 1 that is no stream. */
export const INIT_ANSWER_MS = 5_000;

/** The port. */
export interface InitControl {
  /**
   * Sends a request that is no log and returns its final answer.
   *
   * @throws KeelError E_INIT_UNREACHABLE; an error that PID 1 answers comes as a reply
   */
  request(
    request: Exclude<InitRequest, { op: 'readLog' }>,
    signal?: AbortSignal,
  ): Promise<InitReply>;
  /** Lines of a service's log, oldest first. @throws KeelError E_INIT_UNREACHABLE, E_NOT_FOUND */
  readLog(
    request: Extract<InitRequest, { op: 'readLog' }>,
    signal: AbortSignal,
  ): AsyncIterable<LogLine>;
}

/** PID 1 behind the socket at `path`. */
export function initClient(path: string): InitControl {
  return {
    async request(request, signal) {
      const timeout = AbortSignal.timeout(INIT_ANSWER_MS);
      const both = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
      for await (const reply of exchange(path, request, both)) return reply;
      throw unreachable('it closed the connection without an answer');
    },
    async *readLog(request, signal) {
      for await (const reply of exchange(path, request, signal)) {
        if (reply.type === 'log') yield reply.line;
        else if (reply.type === 'error') throw replyError(reply);
        else return;
      }
      if (!signal.aborted) throw unreachable('it closed the connection in the middle of a log');
    },
  };
}

/** Error that PID 1 answered, in the table's terms. What it did not find, its own message says in full. */
export function replyError(reply: Extract<InitReply, { type: 'error' }>): KeelError {
  if (reply.code === 'E_NOT_FOUND') return new KeelError('E_NOT_FOUND', reply.message);
  return unreachable(`it answered ${reply.code}: ${reply.message}`);
}

/** The error for a PID 1 that cannot be asked. */
export function unreachable(reason: string, cause?: unknown): KeelError {
  return new KeelError('E_INIT_UNREACHABLE', `Cannot ask PID 1: ${reason}`, { cause });
}

async function* exchange(
  path: string,
  request: InitRequest,
  signal: AbortSignal,
): AsyncGenerator<InitReply> {
  const socket = connect({ path, signal });
  // Our side stays open: PID 1 takes its end for a caller that has left, and a followed log would stop.
  socket.write(`${JSON.stringify(request)}\n`);
  let pending = Buffer.alloc(0);
  try {
    // Reading by iteration stops reading from the socket while the consumer is busy.
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      pending = Buffer.concat([pending, chunk]);
      let end = pending.indexOf('\n');
      while (end >= 0) {
        yield parseReply(pending.subarray(0, end));
        pending = pending.subarray(end + 1);
        end = pending.indexOf('\n');
      }
      if (pending.length > LINE_BYTES_MAX) throw unreachable('its answer is too long');
    }
  } catch (cause) {
    if (cause instanceof KeelError) throw cause;
    if (signal.aborted && signal.reason?.name !== 'TimeoutError') throw signal.reason;
    throw unreachable(cause instanceof Error ? cause.message : String(cause), cause);
  } finally {
    socket.destroy();
  }
}

function parseReply(line: Buffer): InitReply {
  try {
    return JSON.parse(line.toString('utf8')) as InitReply;
  } catch (cause) {
    throw unreachable('its answer is not JSON', cause);
  }
}
