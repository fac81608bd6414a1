/** Small bundles, a key and a stand-in for the generator of deltas, for tests of publishing and serving. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeltaReport, MakeDelta } from '@keelos/image/core/delta-report.ts';
import { makeTrust } from '@keelos/image/core/trust.ts';
import { makeBundle } from '@keelos/image/shell/make-bundle.ts';
import type { PublishOptions } from '@keelos/image/shell/publish.ts';
import { makeKeyFiles } from '@keelos/image/sys/key-files.ts';
import { writeSynced } from '@keelos/image/sys/synced-file.ts';
import type { TrustFile } from '@keelos/proto/bundle.ts';
import { EMPTY_TRUST } from '@keelos/proto/bundle-writer.ts';
import type { Channel } from '@keelos/proto/channel.ts';
import { bundlePath, channelPath, deltaPath } from '@keelos/proto/channel.ts';
import type { ChannelSeen } from '@keelos/proto/channel-judge.ts';
import { judgeChannel } from '@keelos/proto/channel-judge.ts';
import { parseChannelFile } from '@keelos/proto/channel-text.ts';
import { makeSmallImage } from './small-image.ts';

/** What the samples think that it is. */
export const NOW_MS = 1_800_000_000_000;

/** Bundles and what signs them. */
export interface SampleReleases {
  /** Version to the file of its bundle. */
  readonly bundles: Readonly<Record<string, string>>;
  /** File of the private key that signs bundles and channels. */
  readonly key: string;
  readonly trust: TrustFile;
}

/** Makes a bundle of each version in `dir`. */
export async function sampleReleases(
  dir: string,
  versions: readonly string[],
): Promise<SampleReleases> {
  const { privatePath, key } = await makeKeyFiles({
    dir: join(dir, 'keys'),
    name: 'release',
    notAfter: 0,
  });
  const trust = makeTrust({ keys: [key], threshold: 1, epoch: 1 });
  const bundles: Record<string, string> = {};
  for (const version of versions) {
    const imageDir = join(dir, `image-${version}`);
    await makeSmallImage(imageDir, { version, trust: EMPTY_TRUST });
    const { path } = await makeBundle({ imageDir, keys: [privatePath], out: join(dir, 'dist') });
    bundles[version] = path;
  }
  return { bundles, key: privatePath, trust };
}

/** A stand-in for the generator: its delta is 1,000 bytes that follow from both files. */
export const fakeDelta: MakeDelta = async ({ oldPath, newPath, out }): Promise<DeltaReport> => {
  const [older, newer] = [await readFile(oldPath), await readFile(newPath)];
  const seed = createHash('sha256').update(older).update(newer).digest();
  const bytes = Buffer.alloc(1000, seed);
  await writeSynced(out, async (file) => void (await file.write(bytes)));
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  const sizes = { deltaBytes: bytes.length, fullBytes: newer.length };
  const kinds = { copiedBytes: 0, packedBytes: 0, literalBytes: newer.length };
  return { path: out, from: '', to: '', sha256, ...sizes, ...kinds, generateMs: 0, applyMs: 0 };
};

/** Options of a publication into `dir`. */
export function publication(
  { key, trust }: SampleReleases,
  of: Partial<PublishOptions> & { readonly dir: string },
): PublishOptions {
  return {
    bundles: [],
    channel: 'stable',
    keys: [key],
    bundleTrust: trust,
    lifeSeconds: 86_400,
    deltaCount: 3,
    withdrawn: [],
    nowMs: NOW_MS,
    makeDelta: fakeDelta,
    ...of,
  };
}

/** What a reader finds: the channel, when every file that it names is there and is what it says. */
export async function readerView(
  dir: string,
  of: {
    readonly trust: TrustFile;
    readonly seen?: ChannelSeen;
    readonly channel?: string;
    readonly nowMs?: number;
  },
): Promise<{ readonly channel: Channel; readonly seen: ChannelSeen }> {
  const { trust, channel: name = 'stable', nowMs = NOW_MS } = of;
  const bytes = await readFile(join(dir, channelPath(name)));
  const verdict = judgeChannel({
    ...{ file: parseChannelFile(bytes), channel: name, trust, nowMs, seen: of.seen },
  });
  for (const release of verdict.channel.releases) {
    const files = [
      { path: bundlePath(release), ...release.bundle },
      ...release.deltas.map((delta) => ({ path: deltaPath({ ...release, ...delta }), ...delta })),
    ];
    for (const { path, sha256, size } of files) {
      const found = await readFile(join(dir, path));
      const hash = createHash('sha256').update(found).digest('hex');
      if (found.length !== size || hash !== sha256) throw new Error(`${path} is not what is said`);
    }
  }
  return verdict;
}
