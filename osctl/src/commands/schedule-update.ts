/** osctl schedule update */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs, timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type ScheduleUpdateRequestSchema,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { parseDuration } from '../core/duration.ts';
import { usage } from '../core/failure.ts';
import { parseWindow } from '../core/maintenance-window.ts';
import { parseMoment } from '../core/moment.ts';
import { parseSha256, parseSource } from '../core/update-source.ts';
import { type Command, type Invocation, textOption, withNode } from '../shell/invocation.ts';
import { scheduledText, scheduleView } from '../shell/schedule-view.ts';
import { POLICY_OPTIONS, policyOf } from '../shell/trial-policy.ts';

type Request = MessageInitShape<typeof ScheduleUpdateRequestSchema>;

function urlOf(invocation: Invocation): string {
  const source = parseSource(textOption(invocation, 'source') ?? '');
  if (source.kind === 'url') return source.url;
  throw usage(
    `Cannot schedule ${source.path}: this machine may not be there when the node wants it`,
    'Give an http:// or https:// URL that the node can reach, or push the file now with osctl update.',
  );
}

/** When it begins; without a word about it, as soon as the node looks. */
function whenOf(invocation: Invocation): NonNullable<Request['when']> {
  const at = textOption(invocation, 'at');
  const after = textOption(invocation, 'in');
  const window = textOption(invocation, 'window');
  if ([at, after, window].filter((text) => text !== undefined).length > 1) {
    throw usage('Cannot schedule: only one of --at, --in and --window can be meant', 'Give one.');
  }
  if (at !== undefined) return { case: 'at', value: timestampFromMs(parseMoment(at)) };
  if (window !== undefined) {
    const { days, startMinute, lengthMinutes } = parseWindow(window);
    return { case: 'window', value: { days: [...days], startMinute, lengthMinutes } };
  }
  return { case: 'in', value: durationFromMs(after === undefined ? 0 : parseDuration(after)) };
}

function requestOf(invocation: Invocation): Request {
  const sha256 = textOption(invocation, 'sha256');
  const jitter = textOption(invocation, 'jitter');
  const lateMax = textOption(invocation, 'lateMax');
  return {
    url: urlOf(invocation),
    sha256: sha256 === undefined ? '' : parseSha256(sha256),
    when: whenOf(invocation),
    ...(jitter === undefined ? {} : { jitter: durationFromMs(parseDuration(jitter)) }),
    ...(lateMax === undefined ? {} : { lateMax: durationFromMs(parseDuration(lateMax)) }),
    policy: policyOf(invocation),
  };
}

/** The command. */
export const scheduleUpdateCommand: Command = {
  name: 'update',
  summary: 'Keep an update for later',
  description:
    'Without --at, --in or --window it begins at once, and osctl does not wait for it. Schedules survive reboots and changes of the clock. Times and windows are those of the node, in UTC.',
  options: [
    {
      flags: '--source <url>',
      description: 'bundle that the node fetches when it is time',
      required: true,
      completion: 'none',
    },
    {
      flags: '--sha256 <digits>',
      description: 'SHA-256 that the whole bundle must have, on top of its signatures',
      completion: 'none',
    },
    {
      flags: '--at <time>',
      description: 'at this time, with its zone, for example 2026-11-25T02:00:00Z',
      completion: 'none',
    },
    {
      flags: '--in <duration>',
      description: 'after this time, for example 2h',
      completion: 'none',
    },
    {
      flags: '--window <window>',
      description:
        'in the next of these weekly windows in UTC, for example "sun 02:00-04:00", "mon-fri 22:00-06:00" or "daily 01:30-03:00"',
      completion: 'none',
    },
    {
      flags: '--jitter <duration>',
      description:
        'begin up to this much later, drawn once, so that a fleet does not fetch at the same moment',
      completion: 'none',
    },
    {
      flags: '--late-max <duration>',
      description: 'do not make up for a start that was missed by more than this (default: 1h)',
      completion: 'none',
    },
    ...POLICY_OPTIONS,
  ],
  examples: [
    {
      command:
        'osctl schedule update --source https://updates.example.com/keelos-0.2.0-x86_64.squashfs --window "sun 02:00-04:00" --jitter 30m --enable-auto-rollback --health-check-timeout 300',
      does: 'In the night to Sunday, somewhere in the first half hour',
    },
    {
      command:
        'osctl schedule update --source https://updates.example.com/keelos-0.2.0-x86_64.squashfs --in 2h --enable-auto-rollback',
      does: 'In two hours',
    },
  ],
  run: async (invocation) => {
    const request = requestOf(invocation);
    return await withNode(invocation, async ({ client }) => {
      const { schedule } = await client.call(UpdateService.method.scheduleUpdate, request);
      if (schedule === undefined) {
        throw new KeelError('E_INTERNAL', 'Cannot schedule: the node said nothing of the schedule');
      }
      const { data } = scheduleView(schedule);
      return { view: { data, lines: [scheduledText(schedule)] } };
    });
  },
};
