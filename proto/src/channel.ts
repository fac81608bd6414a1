/**
 * The signed metadata of a channel, `channels/<name>.json` of a release directory: which releases there are, where their
 * bundles and deltas lie, how large they are, and which hashes they have.
 *
 *     {"signatures":[…],"signed":{…}}
 *
 * Canonical JSON like a bundle's manifest, the signatures over {@link CHANNEL_CONTEXT} and the bytes of "signed". One
 * file names everything, so no mixture of two states can be taken for one; its number only grows, and it ends by itself.
 * Written by channel-text.ts, judged by channel-judge.ts; docs/platform-installation/update-server.md gives every field,
 * docs/decisions/0013-update-server.md the reasons.
 */
import type { BundleManifest, BundleSignature } from './bundle.ts';
import { NAME_CHARS_MAX } from './bundle.ts';

/** Put before the bytes that are signed: such a signature means a channel and nothing else. */
export const CHANNEL_CONTEXT = 'keelos-channel/1\0';
/** Largest file. */
export const CHANNEL_BYTES_MAX = 524_288;
/** Most releases in a channel, of all architectures together. */
export const RELEASES_MAX = 64;
/** Most deltas that lead to one release. */
export const DELTAS_MAX = 16;
/** Largest number of a channel: an exact integer everywhere. */
export const CHANNEL_NUMBER_MAX = 2 ** 48;
/** Longest time from publication to expiry: what a stolen key of a channel can hold back for. */
export const CHANNEL_LIFE_SECONDS_MAX = 90 * 86_400;
/** Most letters in the name of a channel. */
export const CHANNEL_NAME_CHARS_MAX = 32;

/** One file of a release. Where it lies follows from what it is: {@link bundlePath}, {@link deltaPath}. */
export interface ReleaseFile {
  readonly sha256: string;
  readonly size: number;
}

/** A delta that leads to the release that lists it. */
export interface ReleaseDelta extends ReleaseFile {
  /** The release that a node must run. */
  readonly from: string;
}

/** One release for one architecture. */
export interface Release {
  readonly arch: BundleManifest['arch'];
  readonly bundle: ReleaseFile;
  /** In ascending order of `from`. */
  readonly deltas: readonly ReleaseDelta[];
  /** Security epoch, as its bundle has it. */
  readonly epoch: number;
  /** SHA-256 of the bundle's manifest: what a node knows its release by. */
  readonly manifestSha256: string;
  /** Number of the channel that first had this release; the largest of an architecture is its newest release. */
  readonly number: number;
  readonly rootHash: string;
  readonly version: string;
}

/** What is signed. Every key is required, and no other is allowed. */
export interface Channel {
  readonly channel: string;
  /** Unix seconds after which it says nothing any more. */
  readonly expiresAt: number;
  readonly format: 'keelos-channel/1';
  /** Grows with every publication and never falls. */
  readonly number: number;
  /** Unix seconds. */
  readonly publishedAt: number;
  /** The newest first: in descending order of `number`, then in ascending order of `arch`. */
  readonly releases: readonly Release[];
}

/** A file of a channel, taken apart and not read: its signatures must count first. */
export interface SignedBytes {
  /** What is signed, without {@link CHANNEL_CONTEXT}. */
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly BundleSignature[];
}

/** A file of a channel, parsed. Nothing is said of its signatures by it. */
export interface ChannelFile extends SignedBytes {
  readonly channel: Channel;
}

/** Architectures of releases. */
export const ARCHES: readonly BundleManifest['arch'][] = ['aarch64', 'x86_64'];

/** Whether a text can be the version of a release in a directory: that of a bundle, and no name that hides or leads up. */
export function isReleaseVersion(text: string): boolean {
  return /^[A-Za-z0-9_+-][A-Za-z0-9._+-]*$/.test(text) && text.length <= NAME_CHARS_MAX;
}

/** Whether a text can be the name of a channel. */
export function isChannelName(text: string): boolean {
  return /^[a-z0-9][a-z0-9-]*$/.test(text) && text.length <= CHANNEL_NAME_CHARS_MAX;
}

/** Where the file of a channel lies in the directory. */
export function channelPath(channel: string): string {
  return `channels/${channel}.json`;
}

/** Where a bundle lies in the directory: `releases/1.2.3/keelos-1.2.3-x86_64.squashfs`. */
export function bundlePath({ version, arch }: Pick<Release, 'version' | 'arch'>): string {
  return `releases/${version}/keelos-${version}-${arch}.squashfs`;
}

/** Where a delta lies: `releases/1.2.3/keelos-1.2.2-1.2.3-x86_64.kdelta`. A node needs no list to ask for one. */
export function deltaPath(
  of: Pick<Release, 'version' | 'arch'> & { readonly from: string },
): string {
  const { version, arch, from } = of;
  return `releases/${version}/keelos-${from}-${version}-${arch}.kdelta`;
}

/** What a path in the directory means. */
export type ReleasePath =
  | { readonly kind: 'channel'; readonly channel: string }
  | { readonly kind: 'bundle'; readonly version: string; readonly arch: Release['arch'] }
  | {
      readonly kind: 'delta';
      readonly version: string;
      readonly arch: Release['arch'];
      readonly from: string;
    };

/** Reads a path as {@link channelPath}, {@link bundlePath} and {@link deltaPath} write it; undefined for any other text. */
export function parseReleasePath(path: string): ReleasePath | undefined {
  const channel = /^channels\/([^/]+)\.json$/.exec(path)?.[1];
  if (channel !== undefined)
    return isChannelName(channel) ? { kind: 'channel', channel } : undefined;
  const [, version = '', name = ''] = /^releases\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (!isReleaseVersion(version)) return undefined;
  for (const arch of ARCHES) {
    const release = { version, arch };
    if (path === bundlePath(release)) return { kind: 'bundle', ...release };
    const [start, end] = ['keelos-', `-${version}-${arch}.kdelta`];
    if (!name.startsWith(start) || !name.endsWith(end)) continue;
    const from = name.slice(start.length, -end.length);
    if (isReleaseVersion(from)) return { kind: 'delta', ...release, from };
  }
  return undefined;
}

/** The newest release for an architecture; undefined when there is none. */
export function newestRelease(channel: Channel, arch: Release['arch']): Release | undefined {
  return channel.releases.find((release) => release.arch === arch);
}
