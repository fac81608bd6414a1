/** `keel-image publish`: adds releases to a directory that nodes update from. */
import { resolve } from 'node:path';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import type { Release } from '@keelos/proto/channel.ts';
import { bundlePath, DELTAS_MAX } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { Command } from 'commander';
import { collected } from '../core/collected.ts';
import { type Published, publish } from '../shell/publish.ts';
import { wholeNumber } from '../shell/whole-number-option.ts';
import { makeDeltaInProcess } from '../sys/delta-process.ts';
import { readTrust } from '../sys/key-files.ts';

const EXAMPLES = `
The directory may be served by keel-image serve, by any web server or from an object store. Readers see the state before or
the one after, never a mixture, whenever this is interrupted; run it again to go on. Without a bundle it renews the channel:
its metadata expires, so that nobody can hold nodes on an old state for ever.

Examples:
  $ keel-image publish --dir releases --key keys/channel.key dist/keelos-0.2.0-x86_64.squashfs
  $ keel-image publish --dir releases --key keys/channel.key
  $ keel-image publish --dir releases --key keys/channel.key --withdraw 0.2.0`;

const DAY_SECONDS = 86_400;
const LIFE_DAYS_DEFAULT = 30;
const DELTAS_DEFAULT = 3;

interface PublishCommandOptions {
  readonly dir: string;
  readonly channel: string;
  readonly key: readonly string[];
  readonly trust?: string;
  readonly channelTrust?: string;
  readonly expiresInDays: number;
  readonly deltas: number;
  readonly withdraw: readonly string[];
  readonly json?: boolean;
}

function linesOf({ bundle, deltas, ...release }: Release): string[] {
  return [
    `release    ${bundlePath(release)}, ${formatBytes(bundle.size)}`,
    ...deltas.map(({ from, size }) => {
      const times = Math.round(bundle.size / size);
      return `  delta    from ${from}: ${formatBytes(size)}, ${times} times smaller`;
    }),
  ];
}

function report({ channel, added, failed }: Published): string {
  const end = new Date(channel.expiresAt * 1000).toISOString();
  const lines = [
    `channel    ${channel.channel}, number ${channel.number}, until ${end}`,
    ...added.flatMap(linesOf),
    ...failed.map(({ from, to, reason }) => `  no delta from ${from} to ${to}: ${reason}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Aborted by whoever ends this process: a delta that is being made must end with it. */
function untilAsked(): AbortSignal {
  const stop = new AbortController();
  const end = () => stop.abort(new KeelError('E_CANCELLED', 'Cannot publish: it was ended'));
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
  return stop.signal;
}

async function run(bundles: readonly string[], options: PublishCommandOptions): Promise<void> {
  const { trust, channelTrust } = options;
  const published = await publish({
    dir: resolve(options.dir),
    bundles: bundles.map((bundle) => resolve(bundle)),
    channel: options.channel,
    keys: options.key,
    ...(trust === undefined ? {} : { bundleTrust: await readTrust(trust) }),
    ...(channelTrust === undefined ? {} : { channelTrust: await readTrust(channelTrust) }),
    lifeSeconds: options.expiresInDays * DAY_SECONDS,
    deltaCount: options.deltas,
    withdrawn: options.withdraw,
    nowMs: Date.now(),
    makeDelta: makeDeltaInProcess,
    signal: untilAsked(),
    say: (line) => void process.stderr.write(`keel-image: ${line}\n`),
  });
  const text =
    options.json === true ? `${JSON.stringify(published, null, 2)}\n` : report(published);
  process.stdout.write(text);
}

/** The command. */
export function publishCommand(): Command {
  return new Command('publish')
    .description('Add releases, with deltas to them, to a directory that nodes update from.')
    .argument('[bundles...]', 'signed bundles; none: renew the channel')
    .requiredOption('--dir <dir>', 'release directory; made when it is not there')
    .requiredOption(
      '--key <file>',
      'private key that signs the channel; may be given again',
      collected,
    )
    .option('--channel <name>', 'channel that gets the releases', 'stable')
    .option('--trust <file>', 'judge the bundles as a node with this trust file would')
    .option(
      '--channel-trust <file>',
      'who must have signed the present state of the channel; absent: one of --key',
    )
    .option(
      '--expires-in-days <days>',
      'how long the metadata says something',
      wholeNumber({ min: 1, max: 90 }),
      LIFE_DAYS_DEFAULT,
    )
    .option(
      '--deltas <count>',
      'from how many earlier releases deltas are made',
      wholeNumber({ min: 0, max: DELTAS_MAX }),
      DELTAS_DEFAULT,
    )
    .option(
      '--withdraw <version>',
      'take a release out of the channel; may be given again',
      collected,
      [],
    )
    .option('--json', 'one JSON object on stdout')
    .addHelpText('after', EXAMPLES)
    .action(run);
}
