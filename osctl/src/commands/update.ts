/** osctl update */
import { KeelError } from '@keelos/proto/errors.ts';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  UpdatePhase,
  UpdateService,
  type UpdateStatus,
  UpdateStatusSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { toPlain } from '../core/plain.ts';
import { printable } from '../core/render.ts';
import {
  deltaText,
  failureOfEntry,
  failureOfStatus,
  hasEnded,
  phaseText,
} from '../core/update-text.ts';
import {
  endedText,
  followInstall,
  leftOf,
  lookAtInstall,
  type TimeBound,
  updateBound,
} from '../shell/follow-update.ts';
import {
  type Command,
  emit,
  type Invocation,
  type NodeSession,
  type Outcome,
  withNode,
} from '../shell/invocation.ts';
import { pushBundle } from '../shell/push-bundle.ts';
import { type Begun, startInstall } from '../shell/start-install.ts';
import { waitForVerdict } from '../shell/trial-verdict.ts';
import { updateProgress } from '../shell/update-progress.ts';
import { modeOf, requestOf, UPDATE_OPTIONS, type UpdateRequest } from '../shell/update-request.ts';
import { outcomeOf } from '../shell/update-result.ts';
import { ATTEMPT_MS_MAX } from '../shell/wait.ts';

/** What a run of the command carries from step to step. */
interface Running {
  readonly invocation: Invocation;
  readonly session: NodeSession;
  readonly bound: TimeBound;
}

/** Brings the bundle to the node, and returns the first state, or with a file the state once it was sent. */
async function begin(
  { invocation, session, bound }: Running,
  { source, channel, options, caPem, fallbackUrl }: UpdateRequest,
  onStatus: (status: UpdateStatus) => void,
): Promise<Begun> {
  if (source?.kind === 'file') {
    const file = await invocation.host.openBundle(source.path);
    try {
      const pushed = { file, options, bound, onStatus };
      return { status: await pushBundle(session, invocation, pushed) };
    } finally {
      await file.close();
    }
  }
  const places =
    fallbackUrl === undefined
      ? { url: source?.url ?? '' }
      : { url: fallbackUrl, deltaUrl: source?.url ?? '' };
  const request = { ...places, channel, options, caPem };
  return await startInstall(session, invocation, { request, bound });
}

async function runSource(running: Running, request: UpdateRequest): Promise<Outcome> {
  const { invocation, session, bound } = running;
  const { clock } = invocation.host;
  const isWaiting = invocation.options.wait === true;
  const progress = updateProgress(invocation);
  try {
    const ending = isWaiting
      ? await session.client.call(SystemService.method.getStatus, {})
      : undefined;
    const begun = await begin(running, request, progress.tell);
    if ('newestVersion' in begun) return upToDate(begun.newestVersion, request.channel);
    const { status: first } = begun;
    progress.tell(first);
    const status = hasEnded(first)
      ? first
      : await followInstall(session, invocation, { id: first.id, bound, onStatus: progress.tell });
    progress.clear();
    const made = deltaText(status);
    if (made !== '' && invocation.globals.output === 'table') {
      invocation.host.terminal.err(`${printable(made)}\n`);
    }
    const isOver = failureOfStatus(status) !== undefined;
    // What a restarted node has forgotten, only its history can tell.
    const isAwaited = isWaiting || !hasEnded(status);
    const verdict =
      isAwaited && !isOver
        ? await waitForVerdict(session, invocation, {
            id: status.id,
            bound,
            ...(ending === undefined ? {} : { ending, target: releaseOf(status) }),
          })
        : undefined;
    return outcomeOf({
      status,
      ...(verdict === undefined ? {} : { verdict }),
      tookMs: clock.monotonicMs() - bound.startedMs,
      text: endedText(status, { noReboot: invocation.options.reboot === false }),
    });
  } finally {
    progress.clear();
  }
}

/** There is nothing to install. */
function upToDate(version: string, channel: string): Outcome {
  const line = `${version} is the newest release of channel ${channel}, and runs.`;
  return { view: { data: { channel, newestVersion: version, upToDate: true }, lines: [line] } };
}

/** What is installed, and where. */
function releaseOf({ slot, version, rootHash }: UpdateStatus) {
  return { slot, version, rootHash };
}

/** The state after the verdict, for programs that read the stream of states. */
async function emitLast({ invocation, session, bound }: Running, id: string): Promise<void> {
  const leftMs = Math.max(1, Math.min(ATTEMPT_MS_MAX, leftOf(bound, invocation)));
  const status = await lookAtInstall(session, { id, leftMs });
  if (status === undefined) return;
  await emit(invocation, { data: toPlain(UpdateStatusSchema, status), lines: [] });
}

/** Follows what runs. Programs get every state as an element of a stream, people a line that moves. */
async function runWatch(running: Running): Promise<Outcome> {
  const { invocation, session, bound } = running;
  const isForPeople = invocation.globals.output === 'table';
  const progress = updateProgress(invocation);
  const onStatus = async (status: UpdateStatus) => {
    progress.tell(status);
    if (isForPeople) return;
    await emit(invocation, { data: toPlain(UpdateStatusSchema, status), lines: [] });
  };
  try {
    const status = await followInstall(session, invocation, { id: '', bound, onStatus });
    progress.clear();
    if (status.phase === UpdatePhase.UNSPECIFIED) {
      throw new KeelError(
        'E_NOT_FOUND',
        'Cannot follow an update: none has run since the node started',
        {
          hint: 'osctl rollback history shows the earlier ones.',
        },
      );
    }
    const isOpen =
      !hasEnded(status) || [UpdatePhase.ARMED, UpdatePhase.TRIAL].includes(status.phase);
    const isAwaited = status.phase !== UpdatePhase.ARMED || invocation.options.wait === true;
    const verdict =
      isOpen && isAwaited
        ? await waitForVerdict(session, invocation, { id: status.id, bound })
        : undefined;
    if (!isForPeople) {
      if (verdict !== undefined) await emitLast(running, status.id);
      const failure =
        verdict === undefined ? failureOfStatus(status) : failureOfEntry(verdict.entry);
      return failure === undefined ? {} : { failure };
    }
    return outcomeOf({
      status,
      ...(verdict === undefined ? {} : { verdict }),
      tookMs: invocation.host.clock.monotonicMs() - bound.startedMs,
      text: endedText(status, { noReboot: true }),
    });
  } finally {
    progress.clear();
  }
}

async function runCancel({ session }: Running): Promise<Outcome> {
  const { status } = await session.client.call(UpdateService.method.cancelUpdate, { id: '' });
  if (status === undefined) {
    throw new KeelError('E_INTERNAL', 'Cannot cancel the update: the node said nothing of it');
  }
  const data = { status: toPlain(UpdateStatusSchema, status) };
  return { view: { data, lines: [`The update is ended: ${phaseText(status)}.`] } };
}

/** The command. */
export const updateCommand: Command = {
  name: 'update',
  summary: 'Install a release into the other slot, and try it',
  description:
    'Shows phases, bytes, speed and the time that is left, and returns when the release is armed and the node reboots. With --wait it follows through the reboot until the node runs the new release, healthy and committed; when the release did not prove itself it exits with 37 and says why, and with 7 when it is committed and not healthy in time. An install from a URL goes on when osctl is interrupted; one from a file stops, and goes on where it was when it is sent again. Gives up after an hour and the time of the trial unless --timeout is given. The exit code says what refused it: docs/reference/errors.md. With --watch and -o json every state is one line.',
  options: UPDATE_OPTIONS,
  examples: [
    {
      command:
        'osctl update --source https://updates.example.com/keelos-0.2.0-x86_64.squashfs --enable-auto-rollback --wait',
      does: 'Install, reboot, and return when the release is committed, or the node is back on the old one',
    },
    {
      command:
        'osctl update --source https://updates.example.com/keelos-0.1.0-0.2.0-x86_64.kdelta --delta --fallback --full-image-url https://updates.example.com/keelos-0.2.0-x86_64.squashfs --wait',
      does: 'The same by a delta from the release that runs, and by the bundle when it cannot be used',
    },
    {
      command: 'osctl update --channel stable --source https://updates.example.com/ --wait',
      does: 'The newest release of a channel, by a delta if there is one from the release that runs',
    },
  ],
  run: async (invocation) => {
    const mode = modeOf(invocation);
    const request = mode === 'source' ? await requestOf(invocation) : undefined;
    return await withNode(invocation, (session) => {
      const running = { invocation, session, bound: updateBound(invocation) };
      if (request !== undefined) return runSource(running, request);
      return mode === 'watch' ? runWatch(running) : runCancel(running);
    });
  },
};
