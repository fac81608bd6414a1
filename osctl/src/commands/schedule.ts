/** osctl schedule list, show and cancel */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import { type Schedule, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import { formatRelative } from '../core/quantity.ts';
import { type Column, printable, tableLines } from '../core/render.ts';
import { shownUrl } from '../core/update-source.ts';
import { argument, type Command, withNode } from '../shell/invocation.ts';
import { scheduleData, scheduleView, windowText } from '../shell/schedule-view.ts';

const ID_ARGUMENT = { name: 'id', description: 'id of the schedule' } as const;

function columns(now: number): Column<Schedule>[] {
  return [
    { header: 'id', value: ({ id }) => id },
    { header: 'state', value: ({ state }) => state },
    {
      header: 'begins',
      value: ({ next }) => (next === undefined ? '' : formatRelative(timestampDate(next), now)),
    },
    { header: 'window', value: windowText },
    { header: 'source', value: ({ url }) => shownUrl(url) },
    { header: 'who', value: ({ who }) => who },
    { header: 'result', value: ({ result }) => result },
  ];
}

const list: Command = {
  name: 'list',
  summary: 'List the scheduled updates, the next one first',
  description: 'Those that have ended stand last, with what came of them.',
  examples: [
    { command: 'osctl schedule list', does: 'All of them' },
    {
      command: "osctl schedule list -o json | jq -r '.schedules[] | .id, .state'",
      does: 'For scripts',
    },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const { schedules } = await client.call(UpdateService.method.listSchedules, {});
      const lines =
        schedules.length === 0
          ? ['There are no schedules.']
          : tableLines(columns(invocation.host.clock.now()), schedules);
      return { view: { data: { schedules: schedules.map(scheduleData) }, lines } };
    }),
};

const show: Command = {
  name: 'show',
  summary: 'Show one scheduled update',
  arguments: [ID_ARGUMENT],
  examples: [{ command: 'osctl schedule show 3f9a1c', does: 'When, what, and what came of it' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const id = argument(invocation, 0);
      const { schedules } = await client.call(UpdateService.method.listSchedules, {});
      const schedule = schedules.find((one) => one.id === id);
      if (schedule !== undefined) return { view: scheduleView(schedule) };
      throw new KeelError('E_NOT_FOUND', `Cannot show ${id}: there is no schedule of that id`, {
        hint: 'osctl schedule list shows the ids.',
      });
    }),
};

const cancel: Command = {
  name: 'cancel',
  summary: 'Give up a scheduled update',
  description: 'One that has begun is ended with osctl update --cancel.',
  arguments: [ID_ARGUMENT],
  examples: [{ command: 'osctl schedule cancel 3f9a1c', does: 'It will not begin' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const id = argument(invocation, 0);
      const { schedule } = await client.call(UpdateService.method.cancelSchedule, { id });
      if (schedule === undefined) {
        throw new KeelError('E_INTERNAL', `Cannot cancel ${id}: the node said nothing of it`);
      }
      const lines = [printable(`Schedule ${schedule.id} is ${schedule.state}.`)];
      return { view: { data: scheduleData(schedule), lines } };
    }),
};

/** The commands. */
export const scheduleCommands: readonly Command[] = [list, show, cancel];
