/** `npm run bench -- NAME… [--json] [--runs N] [--input FILE] [--old FILE --new FILE] [--pair NAME]…` */
import { parseArgs } from 'node:util';
import { boot } from './boot.ts';
import { delta } from './delta.ts';
import { designCard } from './design-card.ts';
import { memory } from './memory.ts';
import { releaseDelta } from './release-delta.ts';
import { type Figure, figureText } from './report.ts';
import type { BenchOptions } from './rounds.ts';
import { serve } from './serve.ts';
import { sha256 } from './sha256.ts';
import { size } from './size.ts';
import { squashfsRead } from './squashfs-read.ts';
import { squashfsWrite } from './squashfs-write.ts';
import { update } from './update.ts';
import { verity } from './verity.ts';
import { zstd } from './zstd.ts';

const RUNS_DEFAULT = 3;
const RUNS_MAX = 100;

/** Subject to how it is measured. */
const BENCHES: Readonly<Record<string, (options: BenchOptions) => Promise<Figure[]>>> = {
  boot: ({ runs }) => boot(runs),
  delta,
  'design-card': designCard,
  memory: ({ runs }) => memory(runs),
  'release-delta': releaseDelta,
  serve,
  sha256,
  size,
  'squashfs-read': squashfsRead,
  'squashfs-write': squashfsWrite,
  update: ({ runs }) => update(runs),
  verity,
  zstd,
};

const HELP = `Usage: npm run bench -- NAME… [options]

Subjects:
  boot             kernel start to API listening, against the same kernel with an empty init
  delta            deltas between two images, against bsdiff, xdelta3, zstd, casync and reuse of blocks
  design-card      wasi, zstd-codec, xdelta3-wasm and node-forge: limits and speed
  memory           PSS of PID 1 and the agent on an idle node
  release-delta    deltas between releases of KeelOS, and installs of one on a node, against whole bundles
  serve            ranges of a bundle from keel-image serve, against nginx
  sha256           one stream in one thread, against node:crypto, hash-wasm and @noble/hashes
  size             bytes of each part of the image
  squashfs-read    every block of the root verified on one core, against sqfs2tar and unsquashfs
  squashfs-write   the root packed, against mksquashfs: time and bytes
  update           install against dd and sha256sum on the same machine; memory at its peak; time until committed
  verity           dm-verity hash tree with 1 and 2 workers, against veritysetup, hash-wasm and node:crypto
  zstd             blocks of 128 KiB, against node:zlib, the command zstd, zstd-codec and fzstd

Options:
  --input FILE   what sha256 and verity work on instead of 256 MiB of noise; what squashfs-write packs: a
                 folder or a SquashFS
  --old FILE     with --new FILE: what delta works on instead of pairs of Debian packages; two bundles, or
                 two SquashFS files that are compressed with zstd
  --pair NAME    what delta works on instead of all its pairs; may be given again. tree: a small node's
                 tree in which containerd changes; containerd, libssl3, libc6, openssl: the package alone
  --json         one JSON object a figure on standard output:
                 {bench, name, value, unit, rival, rivalValue, ratio, runs, spread}
                 ratio: how many times better than the rival; spread: (largest - smallest) / median
  --runs N       how often each is measured (default ${RUNS_DEFAULT})
  -h, --help     this text
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      input: { type: 'string' },
      old: { type: 'string' },
      new: { type: 'string' },
      pair: { type: 'string', multiple: true, default: [] },
      runs: { type: 'string', default: String(RUNS_DEFAULT) },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  const runs = Number(values.runs);
  const unknown = positionals.filter((name) => BENCHES[name] === undefined);
  const isRight = positionals.length > 0 && unknown.length === 0;
  if (!isRight || !Number.isInteger(runs) || runs < 1 || runs > RUNS_MAX) {
    if (unknown.length > 0) process.stderr.write(`No such subject: ${unknown.join(', ')}\n\n`);
    process.stderr.write(HELP);
    return 2;
  }
  const options = {
    runs,
    input: values.input,
    older: values.old,
    newer: values.new,
    pairs: values.pair,
  };
  for (const name of positionals) {
    for (const each of (await BENCHES[name]?.(options)) ?? []) {
      process.stdout.write(`${values.json ? JSON.stringify(each) : figureText(each)}\n`);
    }
  }
  return 0;
}

process.exitCode = await main();
