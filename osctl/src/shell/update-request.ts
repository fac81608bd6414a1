/** What `osctl update` is asked for: its options, which of them go together, and the request that they make. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { UpdateOptionsSchema } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { OptionSpec } from '../core/command-spec.ts';
import { usage } from '../core/failure.ts';
import { parseSha256, parseSource, type UpdateSource } from '../core/update-source.ts';
import { type Invocation, textOption } from './invocation.ts';
import { POLICY_OPTIONS, policyOf, RETRY_FAILED_OPTION } from './trial-policy.ts';

/** Certificate authorities that --source-ca may hold, in bytes. */
const CA_BYTES_MAX = 256 * 1024;

/** Options of `osctl update`. */
export const UPDATE_OPTIONS: readonly OptionSpec[] = [
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

/** What is wanted: an install, a look at one, its end. */
export type Mode = 'source' | 'watch' | 'cancel';

/** Options that each mode heeds. Any other is refused: whoever writes it expects something that would not happen. */
const HEEDED: Readonly<Record<Mode, readonly string[]>> = {
  source: UPDATE_OPTIONS.map(({ flags }) => nameOf(flags)),
  watch: ['--watch', '--wait'],
  cancel: ['--cancel'],
};

/** "--sha256" of "--sha256 <digits>". */
function nameOf(flags: string): string {
  return flags.split(' ')[0] ?? flags;
}

/** The options of the command that were given, by name. */
function givenOptions({ options }: Invocation): string[] {
  return UPDATE_OPTIONS.map(({ flags }) => nameOf(flags)).filter((name) => {
    // Commander keeps "--no-reboot" as reboot: false.
    if (name.startsWith('--no-')) return options[name.slice('--no-'.length)] === false;
    const key = name.slice(2).replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    return options[key] !== undefined;
  });
}

/** Which of them. @throws KeelError E_USAGE for what cannot be meant */
export function modeOf(invocation: Invocation): Mode {
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
export interface UpdateRequest {
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
export async function requestOf(invocation: Invocation): Promise<UpdateRequest> {
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
