/** Standard streams and input files. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { KeelError } from '@keelos/proto/errors.ts';

/** Where a command reads and writes. */
export interface Terminal {
  /** Writes to stdout; resolves when more may be written. */
  out(text: string): Promise<void>;
  /** Writes to stderr. */
  err(text: string): void;
  /** True when a person sees stderr at once, on a line that may be written over. */
  readonly isErrShown: boolean;
  /** Content of a file, or of stdin for "-", as UTF-8. */
  readInput(path: string, options: { sizeBytesMax: number; what: string }): Promise<string>;
}

function decode(bytes: Buffer, path: string, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new KeelError('E_INVALID_ARGUMENT', `Cannot read ${what} from ${path}: it is not UTF-8`, {
      cause,
      hint: 'Save the file as UTF-8 text.',
    });
  }
}

async function collect(
  chunks: AsyncIterable<Buffer>,
  { path, sizeBytesMax, what }: { path: string; sizeBytesMax: number; what: string },
): Promise<string> {
  const kept: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > sizeBytesMax) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot read ${what} from ${path}: it is larger than ${sizeBytesMax} bytes`,
        { details: { limitBytes: String(sizeBytesMax) } },
      );
    }
    kept.push(chunk);
  }
  return decode(Buffer.concat(kept), path, what);
}

async function readInput(
  path: string,
  { sizeBytesMax, what }: { sizeBytesMax: number; what: string },
): Promise<string> {
  if (path === '-') {
    return await collect(process.stdin, { path: 'standard input', sizeBytesMax, what });
  }
  try {
    await using file = await open(path, 'r');
    const stream = file.createReadStream({ autoClose: false });
    return await collect(stream, { path, sizeBytesMax, what });
  } catch (cause) {
    if (cause instanceof KeelError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : String((cause as Error).message);
    throw new KeelError('E_INVALID_ARGUMENT', `Cannot read ${what} from ${path}: ${reason}`, {
      cause,
      hint: 'Check the path and its permissions.',
    });
  }
}

/** The process's own streams. */
export const processTerminal: Terminal = {
  out: async (text) => {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain');
  },
  err: (text) => {
    process.stderr.write(text);
  },
  isErrShown: process.stderr.isTTY === true,
  readInput,
};
