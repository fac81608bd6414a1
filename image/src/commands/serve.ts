/** `keel-image serve`: the update server. */
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import { Command, InvalidArgumentError } from 'commander';
import { collected } from '../core/collected.ts';
import { Counters } from '../core/serve-metrics.ts';
import { DeltaService } from '../shell/delta-service.ts';
import { ReleaseCatalog } from '../shell/release-catalog.ts';
import { UpdateServer } from '../shell/serve.ts';
import { wholeNumber } from '../shell/whole-number-option.ts';
import { makeDeltaInProcess } from '../sys/delta-process.ts';
import { DeltaStore } from '../sys/delta-store.ts';

const EXAMPLES = `
Serves what keel-image publish has made: ranges, entity tags, gzip for metadata, a page for people at /, /metrics and
/healthz. A delta to the newest release that is not there is made when it is asked for, once however many ask. What is
published meanwhile is seen within a second. The access log goes to standard output, one JSON object a line. SIGHUP reads
the certificate again; SIGTERM lets answers end for 10 s.

Examples:
  $ keel-image serve --dir releases
  $ keel-image serve --dir releases --listen 0.0.0.0:8443 --tls-cert tls/cert.pem --tls-key tls/key.pem`;

const MIB = 1_048_576;
/** A node waits for the head of an answer for 30 s. */
const DELTA_WAIT_MS = 25_000;
const LOG_WAITING_BYTES_MAX = MIB;

interface ServeCommandOptions {
  readonly dir: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly publicUrl?: string;
  readonly connections: number;
  readonly memory: number;
  readonly deltas: boolean;
  readonly deltaCache?: string;
  readonly deltaCacheSize: number;
  readonly deltaMemory: number;
  readonly deltaKey: readonly string[];
  readonly accessLog: boolean;
}

function listenAddress(text: string): { host: string; port: number } {
  const [, inBrackets, plain, port] =
    /^(?:\[([0-9a-f:.]+)\]|([^:[\]]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = inBrackets ?? plain;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new InvalidArgumentError('Expected ADDRESS:PORT, for example 0.0.0.0:8080 or [::]:8080.');
}

function origin(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol))
    return text.replace(/\/+$/, '');
  throw new InvalidArgumentError('Expected a URL, for example https://updates.example.org.');
}

/** The access log. Whoever reads it too slowly loses lines, never the server its memory. */
function logLine(line: string): boolean {
  if (process.stdout.writableLength > LOG_WAITING_BYTES_MAX) return false;
  process.stdout.write(line);
  return true;
}

async function deltaParts(options: ServeCommandOptions, counters: Counters) {
  if (!options.deltas) return { deltas: undefined };
  const folder = options.deltaCache ?? join(options.dir, '.deltas');
  const store = await DeltaStore.open(resolve(folder), options.deltaCacheSize * MIB);
  const deltas = new DeltaService({
    ...{ store, makeDelta: makeDeltaInProcess, keys: options.deltaKey },
    ...{ waitMs: DELTA_WAIT_MS, nowMs: () => performance.now() },
    maxMemoryBytes: options.deltaMemory * MIB,
    onMade: ({ seconds, isMade }) => {
      const outcome = ['outcome', isMade ? 'made' : 'failed'] as const;
      counters.add('keel_serve_delta_generations_total', 1, outcome);
      counters.add('keel_serve_delta_generation_seconds_total', seconds);
    },
  });
  return { deltas, deltaStore: store };
}

async function run(options: ServeCommandOptions): Promise<void> {
  const { tlsCert, tlsKey, listen, publicUrl } = options;
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    throw new KeelError('E_USAGE', 'Cannot serve: --tls-cert and --tls-key belong together');
  }
  const catalog = new ReleaseCatalog(resolve(options.dir), () => performance.now());
  await catalog.refresh();
  for (const problem of catalog.problems) process.stderr.write(`keel-image: ${problem}\n`);
  const counters = new Counters();
  const server = await UpdateServer.open({
    ...{ catalog, ...listen, counters, nowMs: Date.now },
    ...(await deltaParts(options, counters)),
    tls:
      tlsCert === undefined || tlsKey === undefined
        ? undefined
        : { certPath: tlsCert, keyPath: tlsKey },
    ...(publicUrl === undefined ? {} : { publicUrl }),
    memoryBytes: options.memory * MIB,
    limits: {
      connectionsMax: options.connections,
      connectionsPerAddressMax: Math.max(1, options.connections >> 1),
    },
    log: options.accessLog ? logLine : () => true,
  });
  process.stderr.write(`keel-image: serving ${options.dir} at ${server.url}\n`);
  process.on('SIGHUP', () => {
    server.renewTls().catch((error: Error) => {
      process.stderr.write(`keel-image: the old certificate stays: ${error.message}\n`);
    });
  });
  process.stdout.on('error', () => undefined);
  await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
  await server.close();
}

/** The command. */
export function serveCommand(): Command {
  return new Command('serve')
    .description('Serve a release directory to nodes and people.')
    .requiredOption('--dir <dir>', 'release directory of keel-image publish')
    .option('--listen <address:port>', 'where', listenAddress, { host: '127.0.0.1', port: 8080 })
    .option('--tls-cert <file>', 'certificate chain, PEM: serve HTTPS')
    .option('--tls-key <file>', 'its private key, PEM')
    .option('--public-url <url>', 'beginning of the URLs that the page shows', origin)
    .option(
      '--connections <count>',
      'most at a time; half of them from one address',
      wholeNumber({ min: 2, max: 65_536 }),
      512,
    )
    .option('--memory <MiB>', 'for blocks of files', wholeNumber({ min: 1, max: 1_048_576 }), 128)
    .option('--no-deltas', 'make no deltas on demand')
    .option('--delta-key <file>', 'private key that signs them; may be given again', collected, [])
    .option('--delta-cache <dir>', 'where they are kept (default: .deltas in the directory)')
    .option('--delta-cache-size <MiB>', 'how many', wholeNumber({ min: 1, max: 1_048_576 }), 1024)
    .option(
      '--delta-memory <MiB>',
      'for making one',
      wholeNumber({ min: 64, max: 1_048_576 }),
      2048,
    )
    .option('--no-access-log', 'write no access log')
    .addHelpText('after', EXAMPLES)
    .action(run);
}
