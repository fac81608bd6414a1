/** osctl update */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { KeelError } from '@keelos/proto/errors.ts';
import { SystemService } from '@keelos/proto/gen/keel/v1/system_pb.js';
import {
  type UpdateOptionsSchema,
  UpdatePhase,
  UpdateService,
  type UpdateStatus,
  UpdateStatusSchema,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { OptionSpec } from '../core/command-spec.ts';
import { toPlain } from '../core/plain.ts';
import { printable } from '../core/render.ts';
import { parseSha256, parseSource, type UpdateSource } from '../core/update-source.ts';
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
  textOption,
  withNode,
} from '../shell/invocation.ts';
import { pushBundle } from '../shell/push-bundle.ts';
import { type Begun, startInstall } from '../shell/start-install.ts';
import { POLICY_OPTIONS, policyOf, RETRY_FAILED_OPTION } from '../shell/trial-policy.ts';
import { waitForVerdict } from '../shell/trial-verdict.ts';
import { updateProgress } from '../shell/update-progress.ts';
import { outcomeOf } from '../shell/update-result.ts';
import { ATTEMPT_MS_MAX } from '../shell/wait.ts';

/** Certificate authorities that --source-ca may hold, in bytes. */
const CA_BYTES_MAX = 256 * 1024;

const OPTIONS: readonly OptionSpec[] = [
  {
    flags: '--source <url|file>',
    description:
      'bundle: a URL that the node fetches, or a file of this machine that is sent to it',
    completion: 'file',
  },
  {
    flags: '--channel <name>',
    description:
      'the newest release of this channel; --source is then the URL of its release directory, and may be left out when the node follows one',
    completion: 'none',
  },
  {
    flags: '--delta',
    description:
      'the source is the URL of a delta from the release that runs: the node makes the bundle of it',
  },
  {
    flags: '--fallback',
    description: 'when the delta cannot be used, fetch the full bundle, from where it failed',
  },
  {
    flags: '--full-image-url <url>',
    description: 'the full bundle, for --fallback',
    completion: 'none',
  },
  {
    flags: '--sha256 <digits>',
    description: 'SHA-256 that the whole bundle must have, on top of its signatures',
    completion: 'none',
  },
  {
    flags: '--source-ca <file>',
    description: 'certificate authorities for an https source, in PEM',
    completion: 'file',
  },
  { flags: '--dry-run', description: 'check everything that can be checked without writing' },
  { flags: '--no-reboot', description: 'arm the release and leave the reboot to you' },
  {
    flags: '--wait',
    description: 'follow through the reboot until the release is committed and healthy, or is not',
  },
  ...POLICY_OPTIONS,
  RETRY_FAILED_OPTION,
  { flags: '--watch', description: 'follow the present update, or show how the last one ended' },
  { flags: '--cancel', description: 'end the present update; the node runs what it ran' },
];

type Mode = 'source' | 'watch' | 'cancel';

/** Options that each mode heeds. Any other is refused: whoever writes it expects something that would not happen. */
const HEEDED: Readonly<Record<Mode, readonly string[]>> = {
  source: OPTIONS.map(({ flags }) => nameOf(flags)),
  watch: ['--watch', '--wait'],
  cancel: ['--cancel'],
};

/** "--sha256" of "--sha256 <digits>". */
function nameOf(flags: string): string {
  return flags.split(' ')[0] ?? flags;
}

/** The options of the command that were given, by name. */
function givenOptions({ options }: Invocation): string[] {
  return OPTIONS.map(({ flags }) => nameOf(flags)).filter((name) => {
    // Commander keeps "--no-reboot" as reboot: false.
    if (name.startsWith('--no-')) return options[name.slice('--no-'.length)] === false;
    const key = name.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return options[key] !== undefined;
  });
}

function usage(message: string, hint: string): KeelError {
  return new KeelError('E_USAGE', message, { hint });
}

function modeOf(invocation: Invocation): Mode {
  const { options } = invocation;
  const given: Mode[] = [
    ...(options.source === undefined && options.channel === undefined ? [] : (['source'] as const)),
    ...(options.watch === true ? (['watch'] as const) : []),
    ...(options.cancel === true ? (['cancel'] as const) : []),
  ];
  const [mode, ...more] = given;
  if (mode === undefined || more.length > 0) {
    throw usage(
      `Cannot update: ${mode === undefined ? 'there is no source' : 'only one of --source, --watch and --cancel can be meant'}`,
      'Give --source with a URL or a file, or --channel. --watch follows an update that runs, --cancel ends it.',
    );
  }
  if (options.wait === true && options.reboot === false) {
    throw usage(
      'Cannot wait for a reboot that is not made',
      'Leave out --wait or --no-reboot. After --no-reboot: osctl reboot --wait.',
    );
  }
  if (options.wait === true && (options.dryRun === true || mode === 'cancel')) {
    throw usage('Cannot wait for a release that is not installed', 'Leave out --wait.');
  }
  const vain = givenOptions(invocation).filter((name) => !HEEDED[mode].includes(name));
  if (vain.length > 0) {
    throw usage(
      `Cannot use ${vain.join(', ')} with --${mode}: it would have no effect`,
      `Leave out ${vain.join(', ')}, or --${mode}.`,
    );
  }
  return mode;
}

/** What is to be installed, and how. */
interface UpdateRequest {
  /** Undefined: the directory of the channel that the node follows. */
  readonly source: UpdateSource | undefined;
  /** Empty: none. */
  readonly channel: string;
  readonly options: MessageInitShape<typeof UpdateOptionsSchema>;
  readonly caPem: string;
  /** Of a delta that the source is: the bundle that is fetched when it cannot be used, empty for none. */
  readonly fallbackUrl?: string;
}

/** The bundle behind a delta; undefined when the source is no delta. */
function fallbackOf(invocation: Invocation, source: UpdateSource | undefined): string | undefined {
  const { options } = invocation;
  const full = textOption(invocation, 'fullImageUrl');
  const isFallback = options.fallback === true;
  if (options.delta !== true) {
    if (!isFallback && full === undefined) return undefined;
    const vain = isFallback ? '--fallback' : '--full-image-url';
    throw usage(`Cannot use ${vain}: the source is no delta`, 'Give --delta, or leave it out.');
  }
  if (source?.kind !== 'url') {
    throw usage(
      'Cannot use --delta with a file: the node fetches a delta itself',
      'Give the URL of the delta, or the bundle without --delta.',
    );
  }
  if (isFallback !== (full !== undefined)) {
    throw usage(
      'Cannot fall back: --fallback and --full-image-url belong together',
      isFallback ? 'Give --full-image-url with the URL of the bundle.' : 'Give --fallback, too.',
    );
  }
  if (full === undefined) return '';
  const bundle = parseSource(full);
  if (bundle.kind === 'url') return bundle.url;
  throw usage('Cannot use --full-image-url: it is no URL', 'Give an http:// or https:// URL.');
}

async function authorities(
  invocation: Invocation,
  source: UpdateSource | undefined,
): Promise<string> {
  const path = textOption(invocation, 'sourceCa');
  if (path === undefined) return '';
  if (source !== undefined && (source.kind === 'file' || !/^https:/i.test(source.url))) {
    throw usage('Cannot use --source-ca: the source is not https', 'Leave out --source-ca.');
  }
  return await invocation.host.terminal.readInput(path, {
    sizeBytesMax: CA_BYTES_MAX,
    what: 'the certificate authorities',
  });
}

/** @throws KeelError E_USAGE when a channel is asked for with what is none of a channel */
function demandDirectory(
  channel: string,
  of: { readonly options: Invocation['options']; readonly source: UpdateSource | undefined },
): void {
  if (channel === '') return;
  if (of.options.delta === true) {
    const hint = 'Leave out --delta: of a channel the node finds the delta itself.';
    throw usage('Cannot use --delta with --channel', hint);
  }
  if (of.source?.kind !== 'file') return;
  throw usage(
    'Cannot use --channel with a file: the node fetches the channel itself',
    'Give the URL of the release directory as --source.',
  );
}

/** Everything that can be found wrong before the node is called. */
async function requestOf(invocation: Invocation): Promise<UpdateRequest> {
  const { options } = invocation;
  const channel = textOption(invocation, 'channel') ?? '';
  const given = textOption(invocation, 'source');
  const source = given === undefined ? undefined : parseSource(given);
  demandDirectory(channel, { options, source });
  const sha256 = textOption(invocation, 'sha256');
  const fallbackUrl = fallbackOf(invocation, source);
  return {
    source,
    channel,
    ...(fallbackUrl === undefined ? {} : { fallbackUrl }),
    options: {
      sha256: sha256 === undefined ? '' : parseSha256(sha256),
      dryRun: options.dryRun === true,
      noReboot: options.reboot === false,
      retryFailed: options.retryFailed === true,
      policy: policyOf(invocation),
    },
    caPem: await authorities(invocation, source),
  };
}

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
    'Shows phases, bytes, speed and the time that is left, and returns when the release is armed and the node reboots. With --wait it follows through the reboot until the node runs the new release, healthy and committed; when the release did not prove itself it exits with 37 and says why, and with 7 when it is committed and not healthy in time. An install from a URL goes on when osctl is interrupted; one from a file stops, and goes on where it was when it is sent again. Gives up after an hour and the time of the trial unless --timeout is given. Every refusal has an exit code of its own, see below. With --watch and -o json every state is one line.',
  options: OPTIONS,
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
