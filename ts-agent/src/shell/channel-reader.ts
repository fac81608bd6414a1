/** Reads the metadata of a channel: signatures first, then what they say, and what was seen before is remembered. */

import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { CHANNEL_TRUST_FILE } from '@keelos/proto/bundle.ts';
import {
  bundlePath,
  CHANNEL_BYTES_MAX,
  channelPath,
  newestRelease,
  type Release,
} from '@keelos/proto/channel.ts';
import { judgeChannel } from '@keelos/proto/channel-judge.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { encodeRecord } from '@keelos/proto/state-record.ts';
import { CHANNELS_SEEN_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { urlInDirectory, withSeen } from '../core/followed-channel.ts';
import { channelsSeenFrom } from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';
import { trustBytes } from './node-facts.ts';
import { readPiece } from './root-copy.ts';
import { type ServerSettings, serverSource } from './server-source.ts';
import { readRecord } from './update-records.ts';

/** Ports of this module. */
export type ChannelPorts = Pick<
  AgentPorts,
  'clock' | 'files' | 'state' | 'log' | 'httpSource' | 'readTrust' | 'readChannelHead'
>;

/** Where a channel is. */
export interface ChannelPlace {
  /** URL of the release directory. */
  readonly url: string;
  readonly channel: string;
}

/** The newest release of a channel. */
export interface NewestRelease {
  readonly release: Release;
  readonly bundleUrl: string;
  /** Root hashes of releases that the channel lists, or has listed. */
  readonly listed: readonly string[];
}

/**
 * The newest release of a channel for this node.
 *
 * @throws KeelError any E_SOURCE_ or E_CHANNEL_ code, E_NO_TRUST, E_SIGNATURE_WRONG, E_SIGNATURES_TOO_FEW, E_KEY_EXPIRED;
 *   E_NOT_FOUND when it has none; E_STATE_FULL, E_STATE_UNAVAILABLE when what was seen cannot be remembered
 */
export async function readNewest(
  { url, channel: name }: ChannelPlace,
  of: {
    readonly ports: ChannelPorts;
    readonly settings: ServerSettings;
    readonly arch: BundleManifest['arch'];
    readonly signal: AbortSignal;
  },
): Promise<NewestRelease> {
  const { ports, arch, signal } = of;
  const bytes = await fetched(urlInDirectory(url, channelPath(name)), of);
  const all = readRecord(ports, SEEN_FORM) ?? [];
  const { channel, seen } = judgeChannel({
    file: await ports.readChannelHead(bytes, signal),
    channel: name,
    trust: await ports.readTrust(await channelTrust(ports), signal),
    nowMs: ports.clock.nowMs(),
    seen: all.find((one) => one.channel === name),
  });
  const before = all[0];
  if (before?.channel !== name || before.sha256 !== seen.sha256) {
    const record = encodeRecord(CHANNELS_SEEN_RECORD, { channels: withSeen(all, seen) });
    ports.state.replace(UPDATE_PATHS.channelsSeen, record);
  }
  const release = newestRelease(channel, arch);
  if (release === undefined) {
    throw new KeelError('E_NOT_FOUND', `Cannot update: channel ${name} has no release for ${arch}`);
  }
  return { release, bundleUrl: urlInDirectory(url, bundlePath(release)), listed: seen.roots };
}

const SEEN_FORM = {
  path: UPDATE_PATHS.channelsSeen,
  kind: CHANNELS_SEEN_RECORD,
  from: channelsSeenFrom,
};

/** @throws KeelError E_NO_TRUST when the running image has none */
async function channelTrust({ files }: Pick<AgentPorts, 'files'>): Promise<Uint8Array> {
  const bytes = await trustBytes(files, CHANNEL_TRUST_FILE);
  if (bytes !== undefined) return bytes;
  throw new KeelError(
    'E_NO_TRUST',
    'Cannot read channels: the running image trusts no key for them',
  );
}

async function fetched(
  url: string,
  of: {
    readonly ports: ChannelPorts;
    readonly settings: ServerSettings;
    readonly signal: AbortSignal;
  },
): Promise<Uint8Array> {
  const source = await serverSource(url, of);
  try {
    const { sizeBytes, name } = await source.open(of.signal);
    if (sizeBytes > CHANNEL_BYTES_MAX) {
      const reason = `${sizeBytes} bytes, at most ${CHANNEL_BYTES_MAX}`;
      throw new KeelError('E_CHANNEL_MALFORMED', `Cannot read ${name}: ${reason}`);
    }
    const range = { offsetBytes: 0, lengthBytes: sizeBytes };
    return await readPiece(source, range, of.signal);
  } finally {
    await source.close();
  }
}
