/** The calls of UpdateService about the channel that the node follows. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, durationMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import type { ChannelStateSchema, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { subjectOfCaller } from '../core/access.ts';
import { EVERY_SECONDS } from '../core/followed-channel.ts';
import { parseSourceUrl, shownUrl } from '../core/source-address.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import type { ChannelFollower, FollowerState } from '../shell/channel-follower.ts';
import { policyFrom, policyMessage } from './update-messages.ts';

/** Methods over `follower`. */
export function channelMethods(
  follower: ChannelFollower,
): Pick<ServiceMethods<typeof UpdateService>, 'setChannel' | 'getChannel'> {
  return {
    async setChannel({ url, channel, every, checkOnly, policy }, { caller }) {
      if (channel === '') return { state: stateMessage(follower.set(undefined)) };
      const followed = {
        url,
        channel,
        everySeconds: every === undefined ? EVERY_SECONDS : durationMs(every) / 1000,
        isCheckOnly: checkOnly,
        policy: policyFrom(policy),
        who: subjectOfCaller(caller),
      };
      return { state: stateMessage(follower.set(followed)) };
    },
    getChannel: async () => ({ state: stateMessage(follower.state) }),
  };
}

function stateMessage(state: FollowerState): MessageInitShape<typeof ChannelStateSchema> {
  const { followed, lookedMs, nextMs, result, errorCode, newestVersion, isUpToDate } = state;
  if (followed === undefined) return {};
  const { channel, everySeconds, isCheckOnly, policy, who } = followed;
  return {
    ...{ channel, who, result, errorCode, newestVersion, upToDate: isUpToDate },
    url: shownUrl(parseSourceUrl(followed.url)),
    every: durationFromMs(everySeconds * 1000),
    checkOnly: isCheckOnly,
    policy: policyMessage(policy),
    ...(lookedMs === undefined ? {} : { looked: timestampFromMs(lookedMs) }),
    ...(nextMs === undefined ? {} : { next: timestampFromMs(nextMs) }),
  };
}
