/** The channel that a node follows: what may be set, when the next look is, and which file of a release directory is where. Pure. */
import { isChannelName } from '@keelos/proto/channel.ts';
import type { ChannelSeen } from '@keelos/proto/channel-judge.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { FollowedChannel } from '@keelos/proto/update-record.ts';
import { parseSourceUrl } from './source-address.ts';

/** Time between two looks when none is given, in seconds. */
export const EVERY_SECONDS = 3_600;
const EVERY_SECONDS_MIN = 60;
const EVERY_SECONDS_MAX = 7 * 86_400;
/** A look comes after four fifths to six fifths of that time. */
const EARLIEST_SHARE = 0.8;
const SPREAD_SHARE = 0.4;
/** Channels of which is remembered what was seen. */
const SEEN_MAX = 8;

/** The same channel, checked. @throws KeelError E_INVALID_ARGUMENT */
export function checkedChannel(followed: FollowedChannel): FollowedChannel {
  const { url, channel, everySeconds } = followed;
  directoryUrl(url);
  checkChannelName(channel);
  const isInRange = everySeconds >= EVERY_SECONDS_MIN && everySeconds <= EVERY_SECONDS_MAX;
  if (Number.isSafeInteger(everySeconds) && isInRange) return followed;
  const range = `${EVERY_SECONDS_MIN} s to ${EVERY_SECONDS_MAX} s`;
  throw invalid(`every: ${everySeconds} s, expected whole seconds, ${range}`);
}

/** @throws KeelError E_INVALID_ARGUMENT */
export function checkChannelName(channel: string): void {
  if (isChannelName(channel)) return;
  throw invalid(`channel: ${JSON.stringify(channel)} is no name of a channel`);
}

function invalid(problem: string): KeelError {
  return new KeelError('E_INVALID_ARGUMENT', `Cannot use channel: ${problem}`);
}

/** The URL of a directory. @throws KeelError E_INVALID_ARGUMENT when it cannot be one */
function directoryUrl(url: string): URL {
  const place = parseSourceUrl(url);
  if (!place.pathname.endsWith('/')) place.pathname += '/';
  return place;
}

/** URL of a file in a release directory, with the query that the directory's has. @throws KeelError E_INVALID_ARGUMENT */
export function urlInDirectory(directory: string, path: string): string {
  const place = directoryUrl(directory);
  place.pathname += path;
  return place.href;
}

/** Milliseconds until the next look. @param share 0 to below 1, drawn for it */
export function waitMs(
  { everySeconds }: Pick<FollowedChannel, 'everySeconds'>,
  share: number,
): number {
  return Math.round(everySeconds * 1000 * (EARLIEST_SHARE + share * SPREAD_SHARE));
}

/** What was seen of channels, with what was seen of one now: that comes first, and the oldest go. */
export function withSeen(all: readonly ChannelSeen[], seen: ChannelSeen): readonly ChannelSeen[] {
  return [seen, ...all.filter(({ channel }) => channel !== seen.channel)].slice(0, SEEN_MAX);
}
