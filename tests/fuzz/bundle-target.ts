/** Ends of bundles: what is accepted is written back to the same bytes, and all else is refused as the twin refuses it. */
import { generateKeyPairSync } from 'node:crypto';
import { BundleReader } from '@keelos/as-core/bundle.ts';
import {
  type BundleManifest,
  type BundleTail,
  FOOTER_BYTES,
  TAIL_BYTES_MAX,
} from '@keelos/proto/bundle.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest, encodeSignatures, encodeTail } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { readTailTwin } from '../../as-core/test/bundle-twin.ts';
import { Finding, type Target } from './target.ts';

/** What the module may hold, and with it all that was dropped and not collected yet. */
const MEMORY_BYTES_MAX = 512 * 1024 * 1024;
/** Samples are short, so that changes meet the documents: these many bytes of parts before them. */
const PARTS = [
  { dataBlocks: 1, treeBlocks: 0, ukiBytes: 100, signers: 1 },
  { dataBlocks: 2, treeBlocks: 1, ukiBytes: 1, signers: 0 },
  { dataBlocks: 3, treeBlocks: 1, ukiBytes: 5000, signers: 3 },
  { dataBlocks: 129, treeBlocks: 3, ukiBytes: 7, signers: 16 },
] as const;

/** What is under test. */
export type BundleSubject = Pick<BundleReader, 'readTail'>;

/** @param plant stands in front of the reader, for tests of the harness */
export async function bundleTarget(
  plant: (reader: BundleReader) => BundleSubject = (reader) => reader,
): Promise<Target> {
  const residentBytes = process.memoryUsage.rss();
  const subject = plant(await BundleReader.create());
  const [first, ...more] = PARTS.map(sampleOf);
  if (first === undefined) throw new Error('no samples');
  const samples = [first, ...more] as const;
  return {
    name: 'bundle',
    samples: [first.tail, ...more.map(({ tail }) => tail)],
    millisecondsMax: 500,
    run(input, index) {
      const { tail, hidden } = samples[index] ?? first;
      const outcome = judge(subject, Buffer.from(input), hidden);
      const isRight = Buffer.compare(input, tail) === 0;
      if (isRight && outcome !== 'accepted') throw new Finding(`${outcome}, but it is right`);
      return outcome;
    },
    memory: () => ({
      bytes: process.memoryUsage.rss() - residentBytes,
      bytesMax: MEMORY_BYTES_MAX,
    }),
    async close() {},
  };
}

/** The end of a bundle, from the last 64 bytes of its parts on, and the bytes that stand before it. */
function sampleOf(of: (typeof PARTS)[number]): { tail: Buffer; hidden: number } {
  const block = 4096;
  const size = (of.dataBlocks + of.treeBlocks) * block;
  const hash = (digit: number) => digit.toString(16).repeat(64);
  const manifest: BundleManifest = {
    format: 'keelos-bundle/1',
    version: `1.2.${of.signers}`,
    arch: 'x86_64',
    variant: 'standard',
    buildEpochSeconds: 1_793_491_200,
    epoch: 1 + of.signers,
    kernelVersion: '6.12.117',
    root: {
      offset: 0,
      size,
      dataBytes: of.dataBlocks * block,
      sha256: hash(1),
      rootHash: hash(2),
      salt: hash(3).slice(of.signers * 2),
    },
    uki: { offset: size, size: of.ukiBytes, sha256: hash(4) },
  };
  const bytes = encodeManifest(manifest);
  const signatures = Array.from({ length: of.signers }, () =>
    signManifest(bytes, generateKeyPairSync('ed25519').privateKey),
  );
  const end = encodeTail(manifest, signatures);
  const shown = Math.min(FOOTER_BYTES, size);
  const tail = Buffer.concat([Buffer.alloc(shown, 'hsqs'), end]);
  return { tail, hidden: size + of.ukiBytes - shown };
}

/** The end of a bundle as it would be read: what stands before it is zeros behind the magic of a SquashFS. */
function judge(subject: BundleSubject, input: Buffer, hidden: number): string {
  const sizeBytes = hidden + input.length;
  const start = Buffer.alloc(Math.min(hidden, TAIL_BYTES_MAX));
  if (hidden <= TAIL_BYTES_MAX) start.write('hsqs', 'latin1');
  const tail = Buffer.concat([start, input]).subarray(-TAIL_BYTES_MAX);
  const twin = readTailTwin(tail, sizeBytes);
  let read: BundleTail;
  try {
    read = subject.readTail(tail, sizeBytes);
  } catch (error) {
    if (!(error instanceof KeelError)) throw error;
    if (error.details.reason === 'bundle-trap') throw new Finding('a trap', { cause: error });
    if (error.code === twin) return error.details.reason ?? error.code;
    throw new Finding(`${error.code}, the twin says ${outcomeOf(twin)}`);
  }
  if (typeof twin === 'string') throw new Finding(`accepted, the twin says ${twin}`);
  const documents = Buffer.concat([
    encodeManifest(read.manifest),
    encodeSignatures(read.signatures),
  ]);
  const found = tail.subarray(-FOOTER_BYTES - documents.length, -FOOTER_BYTES);
  if (!found.equals(documents)) throw new Finding('written back to other bytes');
  if (!found.subarray(0, read.manifestBytes.length).equals(Buffer.from(read.manifestBytes))) {
    throw new Finding('other bytes are said to be signed');
  }
  return 'accepted';
}

function outcomeOf(twin: BundleTail | string): string {
  return typeof twin === 'string' ? twin : 'accepted';
}
