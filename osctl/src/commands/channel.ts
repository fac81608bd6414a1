/** osctl channel set and show */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, durationMs, timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type ChannelState,
  ChannelStateSchema,
  type SetChannelRequestSchema,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { formatDuration, parseDuration } from '../core/duration.ts';
import { usage } from '../core/failure.ts';
import { toPlain } from '../core/plain.ts';
import { formatRelative } from '../core/quantity.ts';
import { factLines, type View } from '../core/render.ts';
import { parseSource } from '../core/update-source.ts';
import { type Command, type Invocation, textOption, withNode } from '../shell/invocation.ts';
import { POLICY_OPTIONS, policyOf, policyText } from '../shell/trial-policy.ts';

function requestOf(invocation: Invocation): MessageInitShape<typeof SetChannelRequestSchema> {
  const { options } = invocation;
  const [channel = ''] = invocation.arguments;
  const given = textOption(invocation, 'source');
  const every = textOption(invocation, 'every');
  if (options.off === true) {
    if (channel === '' && given === undefined && every === undefined) return {};
    throw usage('Cannot follow a channel and none', 'Leave out --off, or everything else.');
  }
  if (channel === '' || given === undefined) {
    throw usage(
      'Cannot follow a channel: its name or its server is missing',
      'Give both, for example: osctl channel set stable --source https://updates.example.com/. --off ends it.',
    );
  }
  const source = parseSource(given);
  if (source.kind === 'file') {
    throw usage('Cannot follow a channel in a file', 'Give the URL of the release directory.');
  }
  return {
    url: source.url,
    channel,
    checkOnly: options.checkOnly === true,
    policy: policyOf(invocation),
    ...(every === undefined ? {} : { every: durationFromMs(parseDuration(every)) }),
  };
}

function viewOf(state: ChannelState | undefined, nowMs: number): View {
  if (state === undefined) throw new KeelError('E_INTERNAL', 'Cannot show: the node said nothing');
  const data = toPlain(ChannelStateSchema, state);
  if (state.channel === '') return { data, lines: ['The node follows no channel.'] };
  const { every, looked, next, newestVersion, upToDate } = state;
  const when = (time: typeof looked) =>
    time === undefined ? '' : formatRelative(timestampDate(time), nowMs);
  return {
    data,
    lines: factLines([
      ['channel', state.channel],
      ['source', state.url],
      ['newest', newestVersion === '' ? '' : `${newestVersion}${upToDate ? ' (runs)' : ''}`],
      ['result', state.result],
      ['error', state.errorCode],
      ['looked', when(looked)],
      ['next look', when(next)],
      ['every', every === undefined ? '' : formatDuration(durationMs(every))],
      ['installs', state.checkOnly ? 'nothing' : 'what is newer'],
      ['trial', policyText(state.policy)],
      ['who', state.who],
    ]),
  };
}

const set: Command = {
  name: 'set',
  summary: 'Follow a channel, or none',
  description:
    'The node then looks at the channel from time to time, and installs its newest release when another one runs: by a delta if there is one. It takes the list of the channel only when a key in its own image has signed it. Nodes follow no channel until they are told to. What was set survives reboots.',
  arguments: [{ name: 'channel', description: 'name of the channel', optional: true }],
  options: [
    {
      flags: '--source <url>',
      description: 'URL of the release directory, as the node reaches it',
      completion: 'none',
    },
    {
      flags: '--every <duration>',
      description:
        'time between two looks, one minute to a week; each is drawn around it (default: 1h)',
      completion: 'none',
    },
    { flags: '--check-only', description: 'look and tell, and install nothing' },
    { flags: '--off', description: 'follow none any more' },
    ...POLICY_OPTIONS,
  ],
  examples: [
    {
      command:
        'osctl channel set stable --source https://updates.example.com/ --enable-auto-rollback',
      does: 'Install what is published there, and go back from what is not healthy',
    },
    { command: 'osctl channel set --off', does: 'Follow no channel' },
  ],
  run: async (invocation) => {
    const request = requestOf(invocation);
    return await withNode(invocation, async ({ client }) => {
      const { state } = await client.call(UpdateService.method.setChannel, request);
      return { view: viewOf(state, invocation.host.clock.now()) };
    });
  },
};

const show: Command = {
  name: 'show',
  summary: 'Show the channel that the node follows, and what it saw last',
  examples: [
    { command: 'osctl channel show', does: 'What is newest, and when it looks again' },
    { command: 'osctl channel show -o json | jq -r .newestVersion', does: 'For scripts' },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const { state } = await client.call(UpdateService.method.getChannel, {});
      return { view: viewOf(state, invocation.host.clock.now()) };
    }),
};

/** The commands. */
export const channelCommands: readonly Command[] = [set, show];
