/** Channels, keys and trust files for tests. */
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { TrustFile } from '@keelos/proto/bundle.ts';
import { rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import { keyIdOf } from '@keelos/proto/bundle-writer.ts';
import type { Channel, Release } from '@keelos/proto/channel.ts';
import { CHANNEL_CONTEXT } from '@keelos/proto/channel.ts';
import { encodeChannelFile, encodeSigned } from '@keelos/proto/channel-text.ts';

/** Unix seconds at which the samples are published. */
export const PUBLISHED = 1_800_000_000;
const DAY = 86_400;

/** A hash that looks like one. */
export function sampleHash(seed: string): string {
  return createHash('sha256').update(seed).digest('hex');
}

/** A release with a delta from each of `from`. */
export function sampleRelease(
  of: Partial<Release> & { readonly from?: readonly string[] },
): Release {
  const { from = [], ...rest } = of;
  const version = of.version ?? '1.2.3';
  return {
    arch: 'x86_64',
    bundle: { sha256: sampleHash(`bundle ${version}`), size: 40_000_000 },
    deltas: from.map((each) => ({ from: each, sha256: sampleHash(each), size: 200_000 })),
    epoch: 1,
    manifestSha256: sampleHash(`manifest ${version}`),
    number: 7,
    rootHash: sampleHash(`root ${version}`),
    version,
    ...rest,
  };
}

/** A channel of two releases. */
export function sampleChannel(of: Partial<Channel> = {}): Channel {
  return {
    channel: 'stable',
    expiresAt: PUBLISHED + 30 * DAY,
    format: 'keelos-channel/1',
    number: 7,
    publishedAt: PUBLISHED,
    releases: [
      sampleRelease({ version: '1.2.3', number: 7, from: ['1.2.1', '1.2.2'] }),
      sampleRelease({ version: '1.2.2', number: 5 }),
    ],
    ...of,
  };
}

/** A key and the trust file that trusts it alone. */
export interface SampleKey {
  readonly secret: KeyObject;
  readonly id: string;
  readonly trust: TrustFile;
}

/** Makes a key. */
export function sampleKey(name: string, notAfter = 0): SampleKey {
  const { privateKey } = generateKeyPairSync('ed25519');
  const raw = rawPublicKey(privateKey);
  const id = keyIdOf(raw);
  const keys = [{ id, name, notAfter, publicKey: raw.toString('hex') }];
  return {
    secret: privateKey,
    id,
    trust: { format: 'keelos-trust/1', threshold: 1, epoch: 1, keys },
  };
}

/** The file of a channel, signed by each of the keys. */
export function signedChannel(channel: Channel, keys: readonly SampleKey[]): Buffer {
  const bytes = encodeSigned(channel);
  return encodeChannelFile(
    channel,
    keys.map(({ secret }) => signManifest(bytes, secret, CHANNEL_CONTEXT)),
  );
}
