/** The calls of UpdateService about scheduled updates. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Duration } from '@bufbuild/protobuf/wkt';
import { durationMs, timestampFromMs, timestampMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type {
  ScheduleSchema,
  ScheduleUpdateRequest,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { Schedule } from '@keelos/proto/update-record.ts';
import { subjectOfCaller } from '../core/access.ts';
import type { Window } from '../core/schedule.ts';
import type { ScheduleRequest } from '../core/schedule-request.ts';
import { shownUrl } from '../core/source-address.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import type { Scheduler } from '../shell/scheduler.ts';
import { policyFrom, policyMessage } from './update-messages.ts';

type Methods = Pick<
  ServiceMethods<typeof UpdateService>,
  'scheduleUpdate' | 'listSchedules' | 'cancelSchedule'
>;

/** Methods over `scheduler`. */
export function scheduleMethods(scheduler: Scheduler): Methods {
  return {
    async scheduleUpdate(request, { caller }) {
      const { url, sha256 } = request;
      const schedule = scheduler.add({
        url,
        sha256,
        when: whenFrom(request),
        who: subjectOfCaller(caller),
        jitterSeconds: secondsFrom(request.jitter) ?? 0,
        lateSecondsMax: secondsFrom(request.lateMax),
        policy: policyFrom(request.policy),
      });
      return { schedule: scheduleMessage(schedule) };
    },
    listSchedules: async () => ({ schedules: scheduler.list().map(scheduleMessage) }),
    cancelSchedule: async ({ id }, { caller }) => ({
      schedule: scheduleMessage(scheduler.cancel(id, subjectOfCaller(caller))),
    }),
  };
}

function whenFrom({ when }: ScheduleUpdateRequest): ScheduleRequest['when'] {
  switch (when.case) {
    case 'at':
      return { atMs: timestampMs(when.value) };
    case 'in':
      return { inSeconds: durationMs(when.value) / 1_000 };
    case 'window': {
      const { days, startMinute, lengthMinutes } = when.value;
      return { days, startMinute, lengthMinutes };
    }
    default:
      throw new KeelError(
        'E_INVALID_ARGUMENT',
        'Cannot schedule the update: neither time nor window is given',
      );
  }
}

function secondsFrom(duration: Duration | undefined): number | undefined {
  return duration === undefined ? undefined : Math.round(durationMs(duration) / 1_000);
}

function windowMessage({ days, startMinute, lengthMinutes }: Window) {
  return { days: [...days], startMinute, lengthMinutes };
}

/** A schedule as the API gives it. */
export function scheduleMessage(schedule: Schedule): MessageInitShape<typeof ScheduleSchema> {
  const { id, state, result, who, time, policy, nextMs, createdMs } = schedule;
  return {
    // Without what may be secret in it: a viewer may see this.
    id,
    url: shownUrl(new URL(schedule.url)),
    state,
    result,
    who,
    created: timestampFromMs(createdMs),
    ...(nextMs === 0 ? {} : { next: timestampFromMs(nextMs) }),
    ...(time.kind === 'at' ? {} : { window: windowMessage(time) }),
    policy: policyMessage(policy),
  };
}
