/** A release directory of noise, and a server for it, for tests. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { MakeDelta } from '@keelos/image/core/delta-report.ts';
import { Counters } from '@keelos/image/core/serve-metrics.ts';
import { DeltaService } from '@keelos/image/shell/delta-service.ts';
import { ReleaseCatalog } from '@keelos/image/shell/release-catalog.ts';
import { type ServeOptions, UpdateServer } from '@keelos/image/shell/serve.ts';
import { DeltaStore } from '@keelos/image/sys/delta-store.ts';
import type { Channel, Release } from '@keelos/proto/channel.ts';
import { bundlePath, channelPath, deltaPath } from '@keelos/proto/channel.ts';
import {
  PUBLISHED,
  type SampleKey,
  sampleChannel,
  sampleKey,
  sampleRelease,
  signedChannel,
} from '../../proto/test/channel-samples.ts';

/** The time that servers of tests believe. */
export const NOW_MS = (PUBLISHED + 3_600) * 1000;
const WAIT_MS_MAX = 20_000;

/** A directory whose bundles and deltas are noise. */
export class ServedDirectory {
  readonly dir: string;
  readonly key: SampleKey = sampleKey('channel');
  /** Path in the directory to the bytes there. */
  readonly files = new Map<string, Buffer>();

  constructor(dir: string) {
    this.dir = dir;
  }

  async #file(path: string, sizeBytes: number) {
    const bytes = this.files.get(path) ?? randomBytes(sizeBytes);
    this.files.set(path, bytes);
    await mkdir(dirname(join(this.dir, path)), { recursive: true });
    await writeFile(join(this.dir, path), bytes);
    return { sha256: createHash('sha256').update(bytes).digest('hex'), size: bytes.length };
  }

  /** Releases, the newest first, with deltas from some of those before. */
  async publish(
    of: readonly { readonly version: string; readonly from?: readonly string[] }[],
    channel: Partial<Channel> & { readonly bundleBytes?: number } = {},
  ): Promise<Channel> {
    const { bundleBytes = 600_000, ...rest } = channel;
    const releases: Release[] = [];
    for (const [index, { version, from = [] }] of of.entries()) {
      const release = { version, arch: 'x86_64' } as const;
      const deltas = [];
      for (const each of from) {
        deltas.push({
          from: each,
          ...(await this.#file(deltaPath({ ...release, from: each }), 5_000)),
        });
      }
      const bundle = await this.#file(bundlePath(release), bundleBytes);
      releases.push(sampleRelease({ ...release, bundle, deltas, number: of.length - index }));
    }
    const made = sampleChannel({ releases, number: of.length, ...rest });
    const path = join(this.dir, channelPath(made.channel));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, signedChannel(made, [this.key]));
    return made;
  }

  /** Bytes of a bundle. */
  bundle(version: string): Buffer {
    return this.files.get(bundlePath({ version, arch: 'x86_64' })) ?? Buffer.alloc(0);
  }
}

/** A generator in the hands of a test. */
export class TestGenerator {
  /** Pairs in the order in which they were asked for. */
  readonly asked: string[] = [];
  /** Waits before it makes one. */
  gate: Promise<unknown> = Promise.resolve();
  /** What it makes; an error: it fails. */
  result: Buffer | Error = Buffer.alloc(3_000, 7);

  /** The generator. */
  readonly make: MakeDelta = async ({ oldPath, newPath, out }) => {
    this.asked.push(`${oldPath} ${newPath}`);
    await this.gate;
    const { result } = this;
    if (result instanceof Error) throw result;
    await writeFile(out, result);
    const sizes = { deltaBytes: result.length, fullBytes: 0, copiedBytes: 0, packedBytes: 0 };
    const rest = { literalBytes: 0, generateMs: 0, applyMs: 0, sha256: '' };
    return { path: out, from: '', to: '', ...sizes, ...rest };
  };
}

/** What is open beside a server. */
export interface TestServer {
  readonly server: UpdateServer;
  readonly generator: TestGenerator;
  readonly store: DeltaStore;
  readonly counters: Counters;
  readonly lines: string[];
  /** Deltas that are not made yet. */
  readonly waiting: () => number;
  /** Moves the time that the server believes. */
  readonly clock: { nowMs: number };
}

/** Starts a server on any port of the loopback. */
export async function startServer(
  dir: string,
  of: Partial<ServeOptions> & { readonly waitMs?: number; readonly cacheBytes?: number } = {},
): Promise<TestServer> {
  const clock = { nowMs: NOW_MS };
  const nowMs = () => clock.nowMs;
  const lines: string[] = [];
  const generator = new TestGenerator();
  const counters = new Counters();
  const store = await DeltaStore.open(join(dir, '.deltas'), of.cacheBytes ?? 1_000_000);
  const { waitMs = 5_000, cacheBytes: _cacheBytes, ...options } = of;
  const deltas = new DeltaService({ store, makeDelta: generator.make, keys: [], waitMs, nowMs });
  const server = await UpdateServer.open({
    ...{ catalog: new ReleaseCatalog(dir, nowMs), deltas, deltaStore: store, counters, nowMs },
    ...{ host: '127.0.0.1', port: 0, tls: undefined, memoryBytes: 4_000_000 },
    log: (line) => {
      lines.push(line);
      return true;
    },
    ...options,
  });
  return { server, generator, store, counters, lines, clock, waiting: () => deltas.waiting };
}

/** Waits until something is so. */
export async function until(isSo: () => boolean, what: string): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`never: ${what}`);
    await sleep(5);
  }
}
