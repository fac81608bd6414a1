/** An HTTP server for bundles, as a guest of QEMU's user network reaches it: on this machine's loopback. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** QEMU's user network leads this address to the machine that runs QEMU. */
export const HOST_FROM_GUEST = '10.0.2.2';
const CHUNK_BYTES = 65_536;

/** Serves files by name, with ranges and an entity tag. */
export class BundleServer {
  readonly #server: Server;
  readonly #files = new Map<string, string>();
  /** Bytes a second that all answers together may take; unbounded when absent. */
  bytesPerSecond: number | undefined;
  /** Bytes of bodies that have gone out. */
  sentBytes = 0;
  /** Requests so far. */
  requests = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Opens it on any free port of the loopback. */
  static async open(): Promise<BundleServer> {
    const server = createServer();
    const own = new BundleServer(server);
    server.on('request', (request, response) => {
      own.#answer(request, response).catch(() => response.destroy());
    });
    await new Promise<void>((done, fail) => {
      server.once('error', fail);
      server.listen(0, '127.0.0.1', done);
    });
    return own;
  }

  /** Port on 127.0.0.1. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Serves a file under its own name; returns the URL for a guest. */
  add(path: string): string {
    const name = basename(path);
    this.#files.set(`/${name}`, path);
    return `http://${HOST_FROM_GUEST}:${this.port}/${name}`;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.requests += 1;
    const path = this.#files.get(new URL(request.url ?? '/', 'http://host').pathname);
    if (path === undefined) {
      response.writeHead(404).end();
      return;
    }
    const { size, mtimeMs } = await stat(path);
    const common = { 'accept-ranges': 'bytes', etag: `"${size}-${Math.round(mtimeMs)}"` };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = Number(range?.[1] ?? 0);
    const end = Math.min(size - 1, range?.[2] ? Number(range[2]) : size - 1);
    if (start > end) {
      response.writeHead(416, { ...common, 'content-range': `bytes */${size}` }).end();
      return;
    }
    const length = { ...common, 'content-length': end - start + 1 };
    if (range === null) response.writeHead(200, length);
    else response.writeHead(206, { ...length, 'content-range': `bytes ${start}-${end}/${size}` });
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const file = createReadStream(path, { start, end, highWaterMark: CHUNK_BYTES });
    await pipeline(file, this.#brake(), response);
  }

  /** Counts, and waits as the limit demands. */
  #brake(): Transform {
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        this.sentBytes += chunk.length;
        const limit = this.bytesPerSecond;
        if (limit === undefined) done(null, chunk);
        else
          delay((chunk.length / limit) * 1000).then(
            () => done(null, chunk),
            (error) => done(error),
          );
      },
    });
  }

  /** Ends it, open connections too. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((done) => {
      this.#server.close(() => done());
    });
  }
}
