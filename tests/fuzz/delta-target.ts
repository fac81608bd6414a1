/**
 * Deltas: whatever is applied ends with a refusal or with the very target. Half of the changes are of the whole file, which
 * hashes mostly stop; the others are of one part, with hashes and manifest that have followed the change.
 */
import { type ApplyModules, applyDelta, compileApply } from '@keelos/as-core/delta-apply.ts';
import { scratchBytes } from '@keelos/as-core/delta-apply-source.ts';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { type Packer, packHere } from '@keelos/as-core/delta-pack.ts';
import type { DeltaContents } from '@keelos/image/core/delta-assembly.ts';
import { bytesSource, memoryScratch } from '@keelos/image/shell/delta-prove.ts';
import type { DeltaPartName } from '@keelos/proto/delta.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  bundleSample,
  deltaOf,
  deltaReaders,
  plainSample,
  type Sample,
  Written,
} from '../../image/test/delta-samples.ts';
import { KERNEL, kernelSample, newKernel } from '../../image/test/kernel-samples.ts';
import { Finding, type Target } from './target.ts';

/** What the modules may hold, and with it all that was dropped and not collected yet. */
const MEMORY_BYTES_MAX = 1024 * 1024 * 1024;
/** Parts that are changed by themselves. */
const PARTS: readonly DeltaPartName[] = ['plan', 'patch', 'literals', 'targetManifest'];

/** What is under test. */
export type DeltaSubject = typeof applyDelta;

/** What an input is: a whole delta, or one part of it. */
interface Case {
  readonly sample: Sample;
  readonly part: DeltaPartName | undefined;
  readonly bytes: Uint8Array;
}

/** @param plant stands in the place of what applies, for tests of the harness */
export async function deltaTarget(
  plant: (apply: DeltaSubject) => DeltaSubject = (apply) => apply,
): Promise<Target> {
  const residentBytes = process.memoryUsage.rss();
  const [first, ...more] = await casesOf();
  const applying = {
    packer: await packHere(),
    modules: await compileApply(),
    readers: await deltaReaders(),
    apply: plant(applyDelta),
  };
  return {
    name: 'delta',
    samples: [first.bytes, ...more.map(({ bytes }) => bytes)],
    millisecondsMax: 5000,
    run: (input, index) => judge(applying, [first, ...more][index] ?? first, input),
    memory: () => ({
      bytes: process.memoryUsage.rss() - residentBytes,
      bytesMax: MEMORY_BYTES_MAX,
    }),
    async close() {},
  };
}

async function casesOf(): Promise<[Case, ...Case[]]> {
  const [plain, bundle] = [await plainSample(), await bundleSample()];
  const parts = PARTS.map((part) => {
    const sample = part === 'targetManifest' ? bundle : plain;
    return { sample, part, bytes: sample.contents.parts[part] };
  });
  const whole = { sample: plain, part: undefined, bytes: plain.delta };
  const kernel = await kernelSample(KERNEL.subarray(0, 50_000), newKernel().subarray(0, 50_100));
  const plan = { sample: kernel, part: 'plan', bytes: kernel.contents.parts.plan } as const;
  return [whole, { sample: bundle, part: undefined, bytes: bundle.delta }, ...parts, plan];
}

interface Applying {
  readonly packer: Packer;
  readonly modules: ApplyModules;
  readonly readers: Parameters<typeof DeltaFile.openWith>[0];
  readonly apply: DeltaSubject;
}

async function judge(
  { apply, readers, packer, modules }: Applying,
  { sample, part, bytes }: Case,
  input: Uint8Array,
): Promise<string> {
  const delta = part === undefined ? input : deltaOf(withPart(sample.contents, part, input));
  const written = new Written(sample);
  let outcome = 'accepted';
  try {
    const file = DeltaFile.openWith(readers, bytesSource(delta));
    await apply({
      delta: file,
      scratch: memoryScratch(scratchBytes(file.manifest)),
      source: { ...bytesSource(sample.old.packed), rootHash: sample.old.side.rootHash },
      write: (to, offset, piece) => written.write(to, offset, piece),
      packer,
      modules,
    });
  } catch (error) {
    if (!(error instanceof KeelError)) throw error;
    const reason = error.details.reason ?? error.code;
    if (reason.endsWith('-trap')) throw new Finding(`a trap: ${reason}`, { cause: error });
    outcome = reason;
  }
  const isRight = Buffer.compare(input, bytes) === 0;
  if (isRight && outcome !== 'accepted') throw new Finding(`${outcome}, but it is right`);
  const made = written.bytes();
  if (outcome === 'accepted' && !sample.targetFile.subarray(0, made.length).equals(made)) {
    throw new Finding('accepted, and made another target');
  }
  return outcome;
}

function withPart(contents: DeltaContents, part: DeltaPartName, bytes: Uint8Array): DeltaContents {
  return { ...contents, parts: { ...contents.parts, [part]: bytes } };
}
