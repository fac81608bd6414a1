/**
 * The packages of the design card, measured: wasi (as node:wasi, which is what its name leads to), zstd-codec,
 * xdelta3-wasm, node-forge. docs/decisions/0009 says what follows.
 */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { exec } from '../scripts/lib/exec.mjs';
import { type Figure, figure } from './report.ts';
import { directReader, wasiReader } from './rivals/wasi-read.ts';
import { type BenchOptions, inTurn, megabytesPerSecond } from './rounds.ts';
import { withSample } from './sample-file.ts';

interface Digest {
  update(bytes: string): Digest;
  digest(): unknown;
}

/** What is used of node-forge, which carries no types. */
interface Forge {
  readonly md: { readonly sha256: { create(): Digest } };
  readonly pki: { privateKeyFromPem(pem: string): { sign(digest: Digest): string } };
}

const PROBE = fileURLToPath(new URL('rivals/design-card-probe.mjs', import.meta.url));
const KIB = 1024;
const MIB = 1024 * KIB;
const BENCH = 'design-card';
const HASHED_BYTES = 4 * MIB;
const SIGNATURES = 20;

/** Answer of a probe; undefined when the package ended its process. */
async function probe(question: string, bytes = 0): Promise<Record<string, unknown> | undefined> {
  const args = ['--no-warnings', PROBE, question, String(bytes)];
  const { exitCode, stdout } = await exec(process.execPath, args, { anyExit: true });
  return exitCode === 0 ? JSON.parse(stdout) : undefined;
}

/** The largest of `sizes` (ascending) that works; 0 when none does. */
async function largest(question: string, sizes: readonly number[]): Promise<number> {
  let found = 0;
  for (const size of sizes) {
    if ((await probe(question, size))?.works === true) found = size;
  }
  return found;
}

function fact(name: string, value: number, unit: string): Figure {
  return figure({ bench: BENCH, name, unit, better: 'higher', values: [value] });
}

async function wasiFigures({ runs, input }: BenchOptions): Promise<Figure[]> {
  return withSample(input, async ({ path, sizeBytes }) => {
    const readers = { wasi: await wasiReader(path), direct: await directReader(path) };
    const figures: Figure[] = [];
    for (const pieceBytes of [4 * KIB, 64 * KIB, MIB]) {
      const { wasi, direct } = await inTurn(runs, {
        wasi: async () => void readers.wasi(pieceBytes),
        direct: async () => void readers.direct(pieceBytes),
      });
      figures.push(
        figure({
          ...{ bench: BENCH, name: `wasi-fd_pread-${pieceBytes / KIB}k`, unit: 'MB/s' },
          ...{ better: 'higher', values: megabytesPerSecond(sizeBytes, wasi) },
          rival: { name: 'fs.readSync', values: megabytesPerSecond(sizeBytes, direct) },
        }),
      );
    }
    return figures;
  });
}

async function zstdCodecFigures(): Promise<Figure[]> {
  const simple = await largest(
    'zstd-codec',
    [1, 2, 3, 4, 5, 6, 8].map((each) => each * MIB),
  );
  const stream = await probe('zstd-codec-stream', 128 * KIB);
  const window = Number(stream?.windowBytes ?? 0);
  return [
    fact('zstd-codec-simple-largest-input', simple, 'B'),
    fact('zstd-codec-stream-window-of-128k', window, 'B'),
  ];
}

async function xdelta3Figures(): Promise<Figure[]> {
  const sizes = [0.5, 1, 1.1, 1.5, 2, 8].map((each) => Math.round(each * MIB));
  const answer = await probe('xdelta3', 100 * KIB);
  const [flips, accepted] = [answer?.flips, answer?.flipsAccepted].map(Number);
  return [
    fact('xdelta3-wasm-largest-pair', await largest('xdelta3', sizes), 'B'),
    fact('xdelta3-wasm-wrong-source-taken', Number(answer?.acceptsWrongSource === true), 'times'),
    fact('xdelta3-wasm-flipped-bytes-taken', (100 * (accepted ?? 0)) / (flips ?? 1), '%'),
  ];
}

async function forgeFigures(runs: number): Promise<Figure[]> {
  const forge = createRequire(import.meta.url)('node-forge') as Forge;
  const answer = await probe('forge');
  const bytes = Buffer.alloc(HASHED_BYTES, 'keelos');
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const own = forge.pki.privateKeyFromPem(
    keys.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString(),
  );
  const repeat = (work: () => unknown) => async () => {
    for (let count = 0; count < SIGNATURES; count++) work();
    return undefined;
  };
  const hashed = await inTurn(runs, {
    forge: async () => void forge.md.sha256.create().update(bytes.toString('binary')).digest(),
    node: async () => void createHash('sha256').update(bytes).digest(),
  });
  const signed = await inTurn(runs, {
    forge: repeat(() => own.sign(forge.md.sha256.create().update('keelos'))),
    node: repeat(() => sign('sha256', Buffer.from('keelos'), keys.privateKey)),
  });
  const perSecond = (seconds: readonly number[]) => seconds.map((each) => SIGNATURES / each);
  const common = { bench: BENCH, better: 'higher' } as const;
  return [
    figure({
      ...{ ...common, name: 'node-forge-sha256', unit: 'MB/s' },
      values: megabytesPerSecond(HASHED_BYTES, hashed.forge),
      rival: { name: 'node:crypto', values: megabytesPerSecond(HASHED_BYTES, hashed.node) },
    }),
    figure({
      ...{ ...common, name: 'node-forge-rsa-2048-sign', unit: '1/s' },
      values: perSecond(signed.forge),
      rival: { name: 'node:crypto', values: perSecond(signed.node) },
    }),
    fact('node-forge-load', Number(answer?.loadMs ?? 0), 'ms'),
    fact('node-forge-resident', Number(answer?.residentBytes ?? 0), 'bytes'),
    fact('node-forge-ecdsa', Number(answer?.hasEcdsa === true), 'times'),
  ];
}

/** What was found; a size of 0 means that none worked. */
export async function designCard(options: BenchOptions): Promise<Figure[]> {
  return [
    ...(await wasiFigures(options)),
    ...(await zstdCodecFigures()),
    ...(await xdelta3Figures()),
    ...(await forgeFigures(options.runs)),
  ];
}
