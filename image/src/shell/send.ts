/** Sends answers: texts from memory, files in blocks, as fast as the client takes them and no slower than a limit. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import { type Decision, decide, takesGzip } from '../core/http-conditions.ts';
import { BLOCK_BYTES, type FileBlocks } from '../sys/file-blocks.ts';
import type { ServedFile } from './release-catalog.ts';

/** Bytes that are handed to the system before anyone waits for the client: one write instead of many small ones. */
const WINDOW_BYTES = 1_048_576;
/** Below this a text is smaller than what gzip adds. */
const GZIP_BYTES_MIN = 512;

/** A text that is ready to be sent. */
export interface ServedText {
  readonly type: string;
  readonly bytes: Buffer;
  readonly gzip: Buffer | undefined;
  /** SHA-256 of `bytes`. */
  readonly sha256: string;
}

/** Prepares a text. */
export function servedText(type: string, text: string | Buffer): ServedText {
  const bytes = Buffer.from(text);
  const packed = bytes.length < GZIP_BYTES_MIN ? undefined : gzipSync(bytes, { level: 9 });
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { type, bytes, gzip: packed, sha256 };
}

/** Request and answer, with what is counted. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: 'GET' | 'HEAD';
  /** So many bytes are about to be handed to the system. */
  readonly onSent: (bytes: number) => void;
}

/** Sends a text with a status; conditions are looked at when that is 200, and ranges of what is sent as it is. */
export function sendText(
  { request, response, method, onSent }: Exchange,
  text: ServedText,
  of: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): void {
  const packed = takesGzip(request.headers) ? text.gzip : undefined;
  const body = packed ?? text.bytes;
  const etag = `"${text.sha256}${packed === undefined ? '' : '-gzip'}"`;
  const status = of.status ?? 200;
  const headers = {
    'content-type': text.type,
    'x-content-type-options': 'nosniff',
    vary: 'accept-encoding',
    ...(status === 200 ? { etag, 'cache-control': 'no-cache' } : { 'cache-control': 'no-store' }),
    ...of.headers,
  };
  const sizeBytes = body.length;
  const { range, ...conditions } = request.headers;
  // A node fetches everything in ranges; of a packed text nobody wants one.
  const asked = packed === undefined && range !== undefined ? { range } : {};
  const decision: Decision | undefined =
    status === 200 ? decide(method, { ...conditions, ...asked }, { etag, sizeBytes }) : undefined;
  if (decision !== undefined && decision.status > 206) {
    response.writeHead(decision.status, { ...headers, ...placeOf(decision, sizeBytes) }).end();
    return;
  }
  const isPart = decision?.status === 206;
  const piece = isPart ? body.subarray(decision.first, decision.last + 1) : body;
  response.writeHead(isPart ? 206 : status, {
    ...headers,
    ...(isPart ? placeOf(decision, sizeBytes) : {}),
    'content-length': piece.length,
    ...(packed === undefined ? {} : { 'content-encoding': 'gzip' }),
  });
  if (method === 'HEAD') {
    response.end();
    return;
  }
  onSent(piece.length);
  response.end(piece);
}

/** What says which bytes of how many are sent, or that there are none of that place (RFC 9110 section 14.4). */
function placeOf(decision: Decision, sizeBytes: number): Readonly<Record<string, string>> {
  if (decision.status === 416) return { 'content-range': `bytes */${sizeBytes}` };
  if (decision.status !== 206) return {};
  return { 'content-range': `bytes ${decision.first}-${decision.last}/${sizeBytes}` };
}

/** How files are sent. */
export interface FileSending {
  readonly blocks: FileBlocks;
}

/**
 * Sends a file, or the range of it that is asked for.
 *
 * @param of.headers further ones, for example for caches
 * @throws when the file cannot be read; before the head is sent if that shows with its first block
 */
export async function sendFile(
  exchange: Exchange,
  file: ServedFile,
  of: FileSending & { readonly headers: Readonly<Record<string, string>> },
): Promise<void> {
  const { request, response, method } = exchange;
  const etag = `"${file.sha256}"`;
  const decision = decide(method, request.headers, { etag, sizeBytes: file.sizeBytes });
  const headers = { etag, 'accept-ranges': 'bytes', ...of.headers };
  const range = rangeOf(decision, file);
  if (range === undefined) {
    const place = placeOf(decision, file.sizeBytes);
    response.writeHead(decision.status, { ...headers, ...place }).end();
    return;
  }
  const head = { ...headers, 'content-length': range.end - range.begin, ...range.headers };
  if (method === 'HEAD' || range.begin === range.end) {
    response.writeHead(decision.status, head).end();
    return;
  }
  const index = Math.floor(range.begin / BLOCK_BYTES);
  const first = of.blocks.inMemory(file, index) ?? (await of.blocks.block(file, index));
  response.writeHead(decision.status, head);
  const sending = { ...of, file, ...range, first };
  // What is sent at once waits for nobody; opening a file for it would cost as much as the answer.
  if (range.end - range.begin <= WINDOW_BYTES) return sendBlocks(exchange, sending);
  // A delta on demand may give way to another one while it is on its way.
  const release = of.blocks.hold(file);
  try {
    await sendBlocks(exchange, sending);
  } finally {
    await release();
  }
}

function rangeOf(decision: Decision, { sizeBytes }: ServedFile) {
  const type = { 'content-type': 'application/octet-stream' };
  if (decision.status === 200) return { begin: 0, end: sizeBytes, headers: type };
  if (decision.status !== 206) return undefined;
  const { first, last } = decision;
  const headers = { ...type, ...placeOf(decision, sizeBytes) };
  return { begin: first, end: last + 1, headers };
}

async function sendBlocks(
  { response, onSent }: Exchange,
  of: FileSending & {
    readonly file: ServedFile;
    readonly begin: number;
    readonly end: number;
    readonly first: Buffer;
  },
): Promise<void> {
  const { blocks, file, begin, end } = of;
  let block = of.first;
  let windowEnd = begin + WINDOW_BYTES;
  for (let at = begin; at < end; ) {
    const index = Math.floor(at / BLOCK_BYTES);
    if (at > begin) block = blocks.inMemory(file, index) ?? (await blocks.block(file, index));
    if (response.destroyed) return;
    const piece = block.subarray(at - index * BLOCK_BYTES, end - index * BLOCK_BYTES);
    at += piece.length;
    onSent(piece.length);
    if (at === end) {
      response.end(piece);
      return;
    }
    const isFull = !response.write(piece) && at >= windowEnd;
    if (!isFull) continue;
    if (!(await isDrained(response))) return;
    windowEnd = at + WINDOW_BYTES;
  }
}

/** Waits until the client has taken what was written; false when it is gone. */
function isDrained(response: ServerResponse): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  return new Promise((done) => {
    const end = (isTaken: boolean) => {
      response.removeListener('drain', onDrain);
      response.removeListener('close', onClose);
      done(isTaken);
    };
    const onDrain = (): void => end(true);
    const onClose = (): void => end(false);
    response.once('drain', onDrain);
    response.once('close', onClose);
  });
}
