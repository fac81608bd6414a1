/**
 * A stream socket in the file system that takes one line a connection and answers with lines.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';

/** The caller's side of a connection. */
export interface LineReply {
  /** Sends a line; false when the caller does not read fast enough and the line was not sent. */
  send(line: string): boolean;
  /** Sends what is left and closes. */
  end(): void;
  /** Calls back once when the connection is gone. */
  onClose(callback: () => void): void;
}

/** Limits of the server. */
export interface LineServerOptions {
  readonly path: string;
  readonly lineBytesMax: number;
  readonly connectionsMax: number;
  /** Time to send the request line, and again to read the end of the answer. */
  readonly timeoutMs: number;
  /** Bytes that may wait for a slow reader. */
  readonly pendingBytesMax: number;
  readonly onError: (error: Error) => void;
}

const SOCKET_MODE = 0o600;
const NEWLINE = 0x0a;

/** Serves until the returned function is called. The socket exists when this returns. */
export function serveLines(
  options: LineServerOptions,
  answer: (line: string, reply: LineReply) => void,
): () => void {
  rmSync(options.path, { force: true });
  const server = createServer((socket) => serveOne(socket, options, answer));
  server.maxConnections = options.connectionsMax;
  server.on('error', options.onError);
  server.listen(options.path);
  chmodSync(options.path, SOCKET_MODE);
  return () => void server.close();
}

function serveOne(
  socket: Socket,
  options: LineServerOptions,
  answer: (line: string, reply: LineReply) => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  const limit = setTimeout(() => socket.destroy(), options.timeoutMs);
  socket.on('close', () => clearTimeout(limit));
  // The caller went away: "close" follows and tells whoever waits.
  socket.on('error', () => {});
  const onData = (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    const newline = received.indexOf(NEWLINE);
    if (newline < 0 && received.length <= options.lineBytesMax) return;
    if (newline < 0 || newline > options.lineBytesMax) {
      socket.destroy();
      return;
    }
    clearTimeout(limit);
    socket.off('data', onData);
    // What else comes is thrown away, but read: only so is the end of the connection noticed.
    socket.resume();
    answer(received.toString('utf8', 0, newline), replyOn(socket, options));
  };
  socket.on('data', onData);
}

function replyOn(socket: Socket, options: LineServerOptions): LineReply {
  return {
    send(line) {
      if (socket.destroyed || socket.writableLength > options.pendingBytesMax) return false;
      socket.write(`${line}\n`);
      return true;
    },
    end() {
      socket.end();
      const limit = setTimeout(() => socket.destroy(), options.timeoutMs);
      socket.on('close', () => clearTimeout(limit));
    },
    onClose: (callback) => void socket.once('close', callback),
  };
}
