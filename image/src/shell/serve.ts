/** The update server: a release directory over HTTP, for nodes, people and monitoring. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { parseReleasePath } from '@keelos/proto/channel.ts';
import { accessLine } from '../core/access-line.ts';
import { pathOf } from '../core/http-conditions.ts';
import { originOf, PAGE_POLICY, releasePage } from '../core/release-page.ts';
import { Counters, metricsText, type Sample } from '../core/serve-metrics.ts';
import { FileBlocks } from '../sys/file-blocks.ts';
import type { HttpLimits, TlsFiles } from '../sys/http-server.ts';
import { HTTP_LIMITS, HttpServer } from '../sys/http-server.ts';
import type { DeltaService } from './delta-service.ts';
import type { ReleaseCatalog, ServedFile } from './release-catalog.ts';
import { type Exchange, type ServedText, sendFile, sendText, servedText } from './send.ts';
import { Transfers } from './transfers.ts';

/** What never changes may be kept for ever. */
const FOREVER = { 'cache-control': 'public, max-age=31536000, immutable' };
/** A delta on demand may be made anew with other bytes; its entity tag tells. */
const ASK_FIRST = { 'cache-control': 'public, no-cache' };
const RETRY_SECONDS = 15;
/** Slower than 1 MiB, what is handed to the system at once, in this time is too slow. */
const BLOCK_MS = 120_000;
const GRACE_MS = 10_000;
const TEXT = 'text/plain; charset=utf-8';

/** How to serve. */
export interface ServeOptions {
  readonly catalog: ReleaseCatalog;
  /** Undefined: no deltas on demand. */
  readonly deltas: DeltaService | undefined;
  /** Facts of the folder of deltas on demand. */
  readonly deltaStore?: { readonly sizeBytes: number; readonly evictions: number };
  readonly host: string;
  readonly port: number;
  readonly tls: TlsFiles | undefined;
  /** Beginning of the URLs on the page; absent: what the client calls this server. */
  readonly publicUrl?: string;
  readonly memoryBytes: number;
  readonly limits?: Partial<HttpLimits>;
  readonly blockMs?: number;
  readonly nowMs: () => number;
  /** Takes a line of the access log; false: it was dropped. */
  readonly log: (line: string) => boolean;
  readonly counters?: Counters;
}

/** A server that runs. */
export class UpdateServer {
  readonly #options: ServeOptions;
  readonly #blocks: FileBlocks;
  readonly #counters: Counters;
  readonly #transfers: Transfers;
  #http: HttpServer | undefined;
  #page: { readonly key: string; readonly text: ServedText } | undefined;
  readonly #channelTexts = new WeakMap<Buffer, ServedText>();

  private constructor(options: ServeOptions) {
    this.#options = options;
    this.#blocks = new FileBlocks(options.memoryBytes);
    this.#counters = options.counters ?? new Counters();
    this.#transfers = new Transfers({
      blockMs: options.blockMs ?? BLOCK_MS,
      onSlow: () => this.#counters.add('keel_serve_refused_total', 1, ['reason', 'slow']),
    });
  }

  /** Starts it. @throws when the address cannot be had */
  static async open(options: ServeOptions): Promise<UpdateServer> {
    const server = new UpdateServer(options);
    const { host, port, tls, limits } = options;
    server.#http = await HttpServer.open({
      ...{ host, port, tls },
      limits: { ...HTTP_LIMITS, ...limits },
      onRequest: (request, response) => void server.#answer(request, response),
      onRefused: (reason) =>
        server.#counters.add('keel_serve_refused_total', 1, ['reason', reason]),
    });
    return server;
  }

  /** Where it listens. */
  get url(): string {
    return this.#http?.url ?? '';
  }

  /** Takes a renewed certificate. @throws when it does not fit its key; the old one stays in use */
  async renewTls(): Promise<void> {
    await this.#http?.renewTls();
  }

  /** Ends it, and lets answers end for a while. */
  async close(graceMs: number = GRACE_MS): Promise<void> {
    await Promise.all([this.#http?.close(graceMs), this.#options.deltas?.close()]);
    this.#transfers.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = this.#watched(request, response);
    try {
      await this.#route(exchange);
    } catch (error) {
      this.#options.log(accessError(error));
      if (response.headersSent) response.destroy();
      else this.#say(exchange, 500, 'The server cannot read what was asked for.');
    }
  }

  /** Logs and counts an answer when it has ended. */
  #watched(request: IncomingMessage, response: ServerResponse): Exchange {
    const { nowMs, log } = this.#options;
    const [atMs, beganMs] = [nowMs(), performance.now()];
    const peer = request.socket.remoteAddress ?? '';
    const method = request.method === 'HEAD' ? 'HEAD' : 'GET';
    let sentBytes = 0;
    response.once('close', () => {
      const { statusCode: status } = response;
      this.#counters.add('keel_serve_requests_total', 1, ['status', String(status)]);
      const { 'user-agent': agent, range } = request.headers;
      const isLogged = log(
        accessLine({
          ...{ atMs, peer, range, agent, status, sentBytes },
          method: request.method ?? '',
          target: request.url ?? '',
          tookMs: performance.now() - beganMs,
          isComplete: response.writableFinished,
        }),
      );
      if (!isLogged) this.#counters.add('keel_serve_log_lines_dropped_total', 1);
    });
    const onSent = (bytes: number): void => {
      sentBytes += bytes;
      this.#transfers.progress(response);
      this.#counters.add('keel_serve_sent_bytes_total', bytes);
    };
    return { request, response, method, onSent };
  }

  async #route(exchange: Exchange): Promise<void> {
    const { request } = exchange;
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      // What comes as a body is not read: the connection ends with the answer.
      this.#say(exchange, 405, 'GET and HEAD only.', { allow: 'GET, HEAD', connection: 'close' });
      return;
    }
    const path = pathOf(request.url ?? '');
    await this.#options.catalog.refresh();
    if (path === '/') this.#sendPage(exchange);
    else if (path === '/healthz') this.#sendHealth(exchange);
    else if (path === '/metrics') this.#sendMetrics(exchange);
    else await this.#sendRelease(exchange, path?.slice(1) ?? '');
  }

  #say(
    exchange: Exchange,
    status: number,
    text: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    sendText(exchange, servedText(TEXT, `${text}\n`), { status, headers });
  }

  async #sendRelease(exchange: Exchange, path: string): Promise<void> {
    const { catalog } = this.#options;
    const parsed = parseReleasePath(path);
    if (parsed?.kind === 'channel') {
      const channel = catalog.channel(parsed.channel);
      if (channel !== undefined) return this.#sendChannel(exchange, channel.bytes);
    } else if (parsed !== undefined) {
      const file = await catalog.file(path);
      if (file !== undefined) return this.#sendFile(exchange, file, FOREVER);
      if (parsed.kind === 'delta') return this.#sendDelta(exchange, parsed);
    }
    this.#say(exchange, 404, 'There is nothing of that name.');
  }

  #sendChannel(exchange: Exchange, bytes: Buffer): void {
    const known = this.#channelTexts.get(bytes);
    const text = known ?? servedText('application/json', bytes);
    this.#channelTexts.set(bytes, text);
    sendText(exchange, text);
  }

  async #sendFile(
    exchange: Exchange,
    file: ServedFile,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    await sendFile(exchange, file, { blocks: this.#blocks, headers });
  }

  async #sendDelta(exchange: Exchange, of: Parameters<ReleaseCatalog['pair']>[0]): Promise<void> {
    const { catalog, deltas } = this.#options;
    const pair = deltas === undefined ? undefined : catalog.pair(of);
    if (deltas === undefined || pair === undefined) {
      this.#say(exchange, 404, 'There is no such delta. Take the bundle.');
      return;
    }
    const gone = new AbortController();
    exchange.response.once('close', () => gone.abort());
    const answer = await deltas.delta(pair, {
      oldPath: catalog.bundleFile(pair.from),
      newPath: catalog.bundleFile(pair.to),
      signal: gone.signal,
    });
    if (answer.kind === 'ready') await this.#sendFile(exchange, answer.delta, ASK_FIRST);
    else if (answer.kind === 'failed') {
      this.#say(exchange, 404, 'This delta cannot be made. Take the bundle.');
    } else {
      const headers = { 'retry-after': String(RETRY_SECONDS) };
      this.#say(exchange, 503, 'The delta is being made. Ask again.', headers);
    }
  }

  #sendPage(exchange: Exchange): void {
    const { catalog, tls, publicUrl, nowMs, deltas } = this.#options;
    const { host } = exchange.request.headers;
    const scheme = tls === undefined ? 'http' : 'https';
    const origin = publicUrl ?? originOf(scheme, host) ?? this.url;
    const nowSeconds = Math.floor(nowMs() / 1000);
    const channels = catalog.channels.map(({ channel }) => channel);
    // What a person reads may be a minute old.
    const key = `${origin} ${Math.floor(nowSeconds / 60)} ${catalog.digest} ${catalog.problems.join()}`;
    if (this.#page?.key !== key) {
      const { problems } = catalog;
      const facts = {
        channels,
        origin,
        nowSeconds,
        problems,
        isMakingDeltas: deltas !== undefined,
      };
      this.#page = { key, text: servedText('text/html; charset=utf-8', releasePage(facts)) };
    }
    sendText(exchange, this.#page.text, {
      headers: {
        'content-security-policy': PAGE_POLICY,
        'referrer-policy': 'no-referrer',
        vary: 'accept-encoding, host',
      },
    });
  }

  #sendHealth(exchange: Exchange): void {
    const { catalog, nowMs } = this.#options;
    const { problems } = catalog;
    const channels = catalog.channels.map(({ channel: { channel, number, expiresAt } }) => ({
      ...{ channel, number, expiresAt },
      isExpired: nowMs() > expiresAt * 1000,
    }));
    const isHealthy = problems.length === 0 && channels.length > 0;
    const text = JSON.stringify({ status: isHealthy ? 'ok' : 'failing', channels, problems });
    const headers = { 'cache-control': 'no-store' };
    const status = isHealthy ? 200 : 503;
    sendText(exchange, servedText('application/json', `${text}\n`), { status, headers });
  }

  #sendMetrics(exchange: Exchange): void {
    const { deltas, deltaStore, catalog } = this.#options;
    const gauge = (name: Sample['name'], value: number, label?: Sample['label']): Sample =>
      label === undefined ? { name, value } : { name, value, label };
    const samples = [
      ...this.#counters.samples(),
      gauge('keel_serve_connections', this.#http?.connections ?? 0),
      gauge('keel_serve_block_reads_total', this.#blocks.hits, ['from', 'memory']),
      gauge('keel_serve_block_reads_total', this.#blocks.misses, ['from', 'disk']),
      gauge('keel_serve_block_memory_bytes', this.#blocks.sizeBytes),
      gauge('keel_serve_delta_waiting', deltas?.waiting ?? 0),
      gauge('keel_serve_delta_cache_bytes', deltaStore?.sizeBytes ?? 0),
      gauge('keel_serve_delta_cache_evictions_total', deltaStore?.evictions ?? 0),
      ...catalog.channels.flatMap(({ channel: { channel, number, expiresAt } }) => [
        gauge('keel_serve_channel_number', number, ['channel', channel]),
        gauge('keel_serve_channel_expires_seconds', expiresAt, ['channel', channel]),
      ]),
    ];
    const headers = { 'cache-control': 'no-store' };
    const type = 'text/plain; version=0.0.4; charset=utf-8';
    sendText(exchange, servedText(type, metricsText(samples)), { headers });
  }
}

function accessError(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return `${JSON.stringify({ error: text })}\n`;
}
