/**
 * Writes a service's lines to <name>.log and, when that is full, starts anew with the old one as <name>.log.1.
 *
 * Lines wait in a bounded queue. A disk that is slow or full costs lines, never time; how many were lost is written
 * as soon as there is room.
 */
import type { LogLine } from '@keelos/proto/init-control.ts';
import type { LogFile, LogFiles } from '../sys/log-file.ts';

/** Writing side of a log. */
export interface LogDisk {
  write(line: LogLine): void;
  /** Begins to write; lines taken before are kept as far as the queue reaches. */
  start(path: string): void;
  /** Writes what waits and closes. */
  close(): Promise<void>;
}

/** Size at which a file is rotated. */
export const FILE_BYTES_MAX = 1_048_576;
/** Bytes that may wait for the disk. */
export const QUEUE_BYTES_MAX = 262_144;

interface Writer {
  readonly path: string;
  file: LogFile | undefined;
  fileBytes: number;
}

/** A writer that has not started. `failed` hears about the first failure of a row of failures. */
export function createLogDisk(files: LogFiles, failed: (reason: unknown) => void): LogDisk {
  let queue = '';
  let queueBytes = 0;
  let linesLost = 0;
  let failing = false;
  let writer: Writer | undefined;
  let working: Promise<void> | undefined;

  const takeQueue = (): string => {
    const lost = linesLost === 0 ? '' : `... ${linesLost} lines were lost\n`;
    const text = lost + queue;
    queue = '';
    queueBytes = 0;
    linesLost = 0;
    return text;
  };
  const drain = async (to: Writer) => {
    while (queueBytes > 0) {
      const text = takeQueue();
      try {
        await append(files, to, text);
        failing = false;
      } catch (reason) {
        linesLost += text.split('\n').length - 1;
        if (!failing) failed(reason);
        failing = true;
      }
    }
  };
  const work = () => {
    if (writer === undefined || working !== undefined) return;
    working = drain(writer).finally(() => {
      working = undefined;
      // Lines that came after the last look at the queue.
      if (queueBytes > 0) work();
    });
  };
  return {
    write(line) {
      const text = `${new Date(line.timeMs).toISOString()} ${line.stream} ${line.line}\n`;
      const bytes = Buffer.byteLength(text);
      if (queueBytes + bytes > QUEUE_BYTES_MAX) {
        linesLost += 1;
        return;
      }
      queue += text;
      queueBytes += bytes;
      work();
    },
    start(path) {
      writer = { path, file: undefined, fileBytes: 0 };
      work();
    },
    async close() {
      while (working !== undefined) await working;
      const file = writer?.file;
      writer = undefined;
      await file?.close();
    },
  };
}

async function append(files: LogFiles, to: Writer, text: string): Promise<void> {
  const bytes = Buffer.byteLength(text);
  if (to.file !== undefined && to.fileBytes + bytes > FILE_BYTES_MAX) await rotate(files, to);
  if (to.file === undefined) {
    to.file = await files.open(to.path);
    to.fileBytes = to.file.initialBytes;
    if (to.fileBytes > 0 && to.fileBytes + bytes > FILE_BYTES_MAX) {
      await rotate(files, to);
      to.file = await files.open(to.path);
    }
  }
  await to.file.append(text);
  to.fileBytes += bytes;
}

async function rotate(files: LogFiles, writer: Writer): Promise<void> {
  const old = writer.file;
  writer.file = undefined;
  writer.fileBytes = 0;
  await old?.close();
  await files.rename(writer.path, `${writer.path}.1`);
}
