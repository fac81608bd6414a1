/** The next state of a channel: what a publication adds, what it drops. Pure. */
import type { BundleTail } from '@keelos/proto/bundle.ts';
import type { Channel, Release, ReleaseDelta, ReleaseFile } from '@keelos/proto/channel.ts';
import {
  CHANNEL_LIFE_SECONDS_MAX,
  CHANNEL_NUMBER_MAX,
  isChannelName,
  isReleaseVersion,
  RELEASES_MAX,
} from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';

/** A bundle that is to be published. */
export interface Candidate {
  readonly tail: Pick<BundleTail, 'manifest' | 'manifestSha256'>;
  readonly file: ReleaseFile;
}

/** What a publication does to a channel. */
export interface Publication {
  readonly channel: string;
  readonly added: readonly Candidate[];
  /** Versions that are taken back. Their files stay, for nodes that are reading them. */
  readonly withdrawn: readonly string[];
  /** Unix seconds. */
  readonly nowSeconds: number;
  readonly lifeSeconds: number;
}

/** Refuses what no channel can have. @throws KeelError E_INVALID_ARGUMENT for a name, a life or a bundle */
export function checkPublication(of: Publication): void {
  const { channel, added, lifeSeconds } = of;
  if (!isChannelName(channel)) {
    refuse(`channel ${JSON.stringify(channel)}`, 'lower-case letters, digits and "-", at most 32');
  }
  if (!(lifeSeconds >= 60 && lifeSeconds <= CHANNEL_LIFE_SECONDS_MAX)) {
    refuse(`channel ${channel}`, `it may last for 60 to ${CHANNEL_LIFE_SECONDS_MAX} seconds`);
  }
  const names = added.map(({ tail }) => `${tail.manifest.version} for ${tail.manifest.arch}`);
  for (const [index, { tail }] of added.entries()) {
    const { version } = tail.manifest;
    if (!isReleaseVersion(version)) refuse(`release ${version}`, 'its version begins with "."');
    const name = names[index] ?? '';
    if (names.indexOf(name) !== index) refuse(`release ${name}`, 'it is given twice');
  }
  const arches = added.map(({ tail }) => tail.manifest.arch);
  if (new Set(arches).size !== arches.length) {
    refuse(
      names.join(' and '),
      'a publication has one newest release; publish the older one first',
    );
  }
}

function refuse(what: string, reason: string): never {
  throw new KeelError('E_INVALID_ARGUMENT', `Cannot publish ${what}: ${reason}`);
}

/**
 * The channel after a publication: a higher number, whatever it does. A release that it had already keeps its place.
 *
 * @param old undefined: the channel is new
 * @throws KeelError E_INVALID_ARGUMENT, E_NOT_FOUND for a withdrawn version that it does not have, E_RELEASE_EXISTS
 */
export function nextChannel(old: Channel | undefined, publication: Publication): Channel {
  checkPublication(publication);
  const { channel, added, withdrawn, nowSeconds, lifeSeconds } = publication;
  if (old !== undefined && nowSeconds < old.publishedAt) {
    const [was, is] = [old.publishedAt, nowSeconds].map((at) => new Date(at * 1000).toISOString());
    refuse(`channel ${channel}`, `it was published at ${was}, and this machine's clock says ${is}`);
  }
  const number = (old?.number ?? 0) + 1;
  if (number > CHANNEL_NUMBER_MAX) refuse(`channel ${channel}`, 'its numbers are used up');
  const before = old?.releases ?? [];
  for (const version of withdrawn) {
    if (before.some((release) => release.version === version)) continue;
    const known = [...new Set(before.map((release) => release.version))].join(', ');
    const reason = `channel ${channel} has ${known === '' ? 'no release' : known}`;
    throw new KeelError('E_NOT_FOUND', `Cannot withdraw release ${version}: ${reason}`);
  }
  const kept = before.filter(({ version }) => !withdrawn.includes(version));
  const fresh = added
    .filter((candidate) => !isThere(kept, candidate))
    .map((candidate) => releaseOf(candidate, number));
  const newest = fresh.toSorted((a, b) => (a.arch < b.arch ? -1 : 1));
  return {
    channel,
    expiresAt: nowSeconds + lifeSeconds,
    format: 'keelos-channel/1',
    number,
    publishedAt: nowSeconds,
    releases: newest.concat(kept).slice(0, RELEASES_MAX),
  };
}

function isThere(releases: readonly Release[], { tail, file }: Candidate): boolean {
  const { version, arch } = tail.manifest;
  const found = releases.find((release) => release.version === version && release.arch === arch);
  if (found === undefined) return false;
  if (found.bundle.sha256 === file.sha256) return true;
  const reason = `the channel has another bundle of it, SHA-256 ${found.bundle.sha256}`;
  throw new KeelError('E_RELEASE_EXISTS', `Cannot publish ${version} for ${arch}: ${reason}`);
}

function releaseOf({ tail, file }: Candidate, number: number): Release {
  const { arch, epoch, root, version } = tail.manifest;
  const { manifestSha256 } = tail;
  return {
    arch,
    bundle: file,
    deltas: [],
    epoch,
    manifestSha256,
    number,
    rootHash: root.rootHash,
    version,
  };
}

/**
 * The releases that a delta is made from when `release` is new: the newest `count` others of its architecture, and none
 * that a node would not leave for it because of its epoch.
 */
export function deltaSources(
  channel: Channel,
  release: Release,
  count: number,
): readonly Release[] {
  return channel.releases
    .filter(
      (other) =>
        other.arch === release.arch &&
        other.version !== release.version &&
        other.number <= release.number &&
        other.epoch <= release.epoch,
    )
    .slice(0, count);
}

/** The channel with deltas added to a release. */
export function withDeltas(
  channel: Channel,
  to: Pick<Release, 'arch' | 'version'>,
  deltas: readonly ReleaseDelta[],
): Channel {
  const releases = channel.releases.map((release) => {
    if (release.arch !== to.arch || release.version !== to.version) return release;
    const froms = new Set(deltas.map(({ from }) => from));
    const others = release.deltas.filter(({ from }) => !froms.has(from));
    const all = [...others, ...deltas].sort((a, b) => (a.from < b.from ? -1 : 1));
    return { ...release, deltas: all };
  });
  return { ...channel, releases };
}
