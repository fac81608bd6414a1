/** Bundles on servers: whole, or made of a delta. */
import { deltaBeside } from '../core/release-url.ts';
import type { UpdateStatus } from '../core/update-status.ts';
import type { AgentPorts } from '../ports.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import { type DeltaPorts, DeltaSource } from './delta-source.ts';
import { FallbackSource } from './fallback-source.ts';
import type { NodeConfigStore } from './node-config-store.ts';
import { osRelease } from './node-facts.ts';
import { serverSource } from './server-source.ts';

/** What is wanted. */
export interface SourceWish {
  /** Of the bundle; may be empty when there is a delta. */
  readonly url: string;
  /** Of a delta; empty: the one beside a bundle that lies in a release directory, if there is one. */
  readonly deltaUrl: string;
  /** Certificate authorities of the caller, PEM; they come before those of the configuration. */
  readonly caPem: string;
}

/** What a source tells of itself. */
export type SourceAccount = Pick<
  UpdateStatus,
  'fetchedBytes' | 'bundleBytes' | 'isDelta' | 'fallbackReason'
>;

/** Where it tells that: what changes, and what grows with every piece. */
export interface SourceProgress {
  change(account: Partial<SourceAccount>): void;
  grow(account: Partial<SourceAccount>): void;
}

/**
 * The bundle behind a URL, or behind that of a delta. Of a bundle in a release directory the delta is tried first.
 *
 * @param of.progress where it tells of itself
 * @throws KeelError E_INVALID_ARGUMENT for a URL or certificates that cannot be used
 */
export async function bundleSource(
  { url, deltaUrl, caPem }: SourceWish,
  of: {
    readonly ports: DeltaPorts & Pick<AgentPorts, 'clock' | 'httpSource'>;
    readonly configuration: Pick<NodeConfigStore, 'config'>;
    readonly progress: SourceProgress;
  },
): Promise<UpdateSource> {
  const { ports, configuration, progress } = of;
  let fetchedBytes = 0;
  const behind = async (place: string) => {
    const source = await serverSource(place, { ports, settings: { configuration, caPem } });
    return counted(source, (bytes) => {
      fetchedBytes += bytes;
      progress.grow({ fetchedBytes });
    });
  };
  const version = (await osRelease(ports.files)).get('VERSION_ID') ?? '';
  const deltaPlace = deltaUrl === '' ? deltaBeside(url, version) : deltaUrl;
  if (deltaPlace === undefined) return sized(await behind(url), progress);
  const bundle = url === '' ? undefined : await behind(url);
  const delta = new DeltaSource(await behind(deltaPlace), ports);
  const told = sized(delta, progress, { isDelta: true });
  if (bundle === undefined) return told;
  return new FallbackSource({
    delta: told,
    bundle: sized(bundle, progress),
    onFallback(fallbackReason) {
      ports.log(`the full bundle is fetched instead of the delta: ${fallbackReason}`);
      progress.change({ isDelta: false, fallbackReason });
    },
  });
}

/** Tells how many bytes have come. */
function counted(source: UpdateSource, onBytes: (bytes: number) => void): UpdateSource {
  return {
    open: (signal) => source.open(signal),
    async *read(range, signal) {
      for await (const piece of source.read(range, signal)) {
        onBytes(piece.length);
        yield piece;
      }
    },
    close: () => source.close(),
  };
}

/** Tells the size of the bundle, and `more`, once it is known. */
function sized(
  source: UpdateSource,
  progress: SourceProgress,
  more: Partial<SourceAccount> = {},
): UpdateSource {
  return {
    async open(signal) {
      const facts = await source.open(signal);
      progress.change({ bundleBytes: facts.sizeBytes, ...more });
      return facts;
    },
    read: (range, signal) => source.read(range, signal),
    close: () => source.close(),
  };
}
