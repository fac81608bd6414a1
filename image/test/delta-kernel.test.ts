/** Kernels in deltas: found in their kernel images, unpacked, patched, and packed again to the same bytes. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { constants, zstdCompressSync } from 'node:zlib';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import {
  KERNEL_WINDOW_LOG,
  packKernel,
  piecesOf,
  unpackKernel,
} from '@keelos/as-core/kernel-packing.ts';
import { kernelPayload } from '@keelos/image/core/kernel-payload.ts';
import { makeDelta } from '@keelos/image/shell/delta.ts';
import {
  areKernelsMade,
  packKnownKernel,
  type UnpackedKernel,
  unpackedKernels,
} from '@keelos/image/shell/delta-kernels.ts';
import { bytesSource, memoryScratch } from '@keelos/image/shell/delta-prove.ts';
import { NO_KERNEL } from '@keelos/proto/delta.ts';
import { encodePlan } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { mutate } from '../../tests/fuzz/mutate.ts';
import { Random } from '../../tests/fuzz/random.ts';
import {
  apply,
  deltaOf,
  inputOf,
  noise,
  program,
  type Sample,
  sampleOf,
  Written,
} from './delta-samples.ts';
import {
  bundles,
  KERNEL,
  kernelFrame,
  kernelImage,
  kernelSample,
  newKernel,
  packedKernelImage,
} from './kernel-samples.ts';

const TIMEOUT_MS = 120_000;
const MUTATIONS = 100;
const collected = async (pieces: AsyncIterable<Uint8Array>) => {
  const parts: Uint8Array[] = [];
  for await (const part of pieces) parts.push(part);
  return Buffer.concat(parts);
};

describe('the frame of a kernel', function () {
  this.timeout(TIMEOUT_MS);

  it('is the same however its content comes, and what the zstd command unpacks to that content', async () => {
    // Larger than the window, so that the oldest bytes have gone when the last ones come.
    const content = program(5_000_000, 3);
    const frame = await kernelFrame(content);
    for (const pieceBytes of [1_000, 65_536, 131_073]) {
      const pieces = Array.from({ length: Math.ceil(content.length / pieceBytes) }, (_, index) =>
        content.subarray(index * pieceBytes, (index + 1) * pieceBytes),
      );
      assert.ok(frame.equals(await collected(packKernel(pieces, content.length))), `${pieceBytes}`);
    }
    assert.ok(content.equals(execFileSync('zstd', ['-dcq'], { input: frame, maxBuffer: 2 ** 24 })));
    assert.ok(content.equals(await collected(unpackKernel([frame]))));
    // What comes when zstd is given the end twice: an empty frame.
    assert.notEqual(frame.subarray(-9).toString('hex'), '28b52ffd2000010000');
  });

  it('is refused when it needs a larger window, is cut, or is none', async () => {
    const params = { [constants.ZSTD_c_windowLog]: KERNEL_WINDOW_LOG + 1 };
    const content = program(9_000_000, 4);
    const wide = zstdCompressSync(content, { params, pledgedSrcSize: undefined as never });
    await assert.rejects(collected(unpackKernel([wide])), /[Ff]rame requires too much memory/);
    const frame = await kernelFrame(KERNEL);
    await assert.rejects(collected(unpackKernel([frame.subarray(0, -9)])));
    await assert.rejects(collected(unpackKernel([KERNEL])));
  });

  it('ends with the error of whoever gives its content', async () => {
    const failing = piecesOf(100, () => {
      throw new Error('the disk does not read');
    });
    await assert.rejects(collected(packKernel(failing, 100)), /the disk does not read/);
    await assert.rejects(collected(packKernel([KERNEL.subarray(1)], KERNEL.length)));
  });
});

describe('the kernel in a kernel image', () => {
  it('is found where the boot protocol says', async () => {
    const uki = await packedKernelImage(KERNEL, 'quiet');
    const found = kernelPayload(uki);
    assert.ok(found !== undefined);
    const { offset, packedBytes, unpackedBytes } = found;
    assert.equal(unpackedBytes, KERNEL.length);
    const frame = uki.subarray(offset, offset + packedBytes);
    assert.ok(frame.equals(await kernelFrame(KERNEL)), 'without the size that stands behind it');
  });

  it('is none: no program, no kernel, another compression, a frame that is cut or says too little', async () => {
    const frame = await kernelFrame(KERNEL);
    const uki = kernelImage({ frame, unpackedBytes: KERNEL.length, commandLine: '' });
    const at = kernelPayload(uki)?.offset ?? 0;
    const edited = (edit: (copy: Buffer) => void) => {
      const copy = Buffer.from(uki);
      edit(copy);
      return kernelPayload(copy);
    };
    assert.equal(kernelPayload(program(90_000, 1)), undefined);
    assert.equal(kernelPayload(Buffer.alloc(0)), undefined);
    assert.equal(
      edited((copy) => copy.writeUInt32LE(0x184d2204, at)),
      undefined,
      'LZ4',
    );
    assert.equal(
      edited((copy) => copy.write('HdrX', copy.indexOf('HdrS'), 'latin1')),
      undefined,
    );
    const lengthAt = uki.indexOf('HdrS') - 0x202 + 0x24c;
    assert.equal(
      edited((copy) => copy.writeUInt32LE(frame.length - 1, lengthAt)),
      undefined,
      'cut',
    );
    assert.equal(
      edited((copy) => copy.writeUInt32LE(0, lengthAt)),
      undefined,
      'empty',
    );
    // Of a stream nobody knows how long it will be.
    const stream = execFileSync('zstd', ['-19', '-cq'], { input: KERNEL });
    const of = { unpackedBytes: KERNEL.length, commandLine: '' };
    assert.equal(kernelPayload(kernelImage({ frame: stream, ...of })), undefined, 'no size');
    const window = { [constants.ZSTD_c_windowLog]: 23 };
    const wide = zstdCompressSync(program(9_000_000, 4), { params: window });
    assert.equal(kernelPayload(kernelImage({ frame: wide, ...of })), undefined, 'wide window');
  });
});

describe('a delta with another kernel', function () {
  this.timeout(TIMEOUT_MS);
  let sample: Sample;

  before(async () => {
    sample = await kernelSample();
  });

  it('has what changed in the unpacked kernel, and makes every byte', async () => {
    const { kernel, source } = sample.contents.facts;
    assert.equal(kernel.unpackedBytes, KERNEL.length);
    assert.ok(kernel.packedBytes > 300_000 && kernel.packedBytes < source.ukiBytes);
    assert.ok(sample.delta.length < 12_000, `${sample.delta.length} bytes`);
    const { root, uki, report } = await apply(sample.delta, sample);
    assert.ok(
      sample.targetFile.subarray(0, root.length + uki.length).equals(Buffer.concat([root, uki])),
    );
    assert.ok(report.packedBytes > 300_000);
  });

  it('is gone on with behind a kernel that is there already', async () => {
    const whole = await apply(sample.delta, sample);
    const { report } = await apply(sample.delta, sample, {
      kept: {
        dataBytes: sample.target.side.dataBytes,
        ukiBytes: sample.target.side.ukiBytes,
        read: (part, offset, target) => void whole[part].copy(target, 0, offset),
      },
    });
    assert.equal(report.keptBytes, sample.target.packed.length);
  });

  const refusals: readonly (readonly [string, string, (sample: Sample) => Promise<unknown>])[] = [
    [
      'packed by another encoder',
      'E_DELTA_ENCODER delta-encoder',
      ({ contents }) => {
        const canary = createHash('sha256').update('another').digest('hex');
        const facts = { ...contents.facts, kernel: { ...contents.facts.kernel, canary } };
        return apply(deltaOf({ ...contents, facts }), sample);
      },
    ],
    [
      'whose kernel is longer than it says',
      'E_DELTA_SOURCE delta-source',
      ({ contents }) => {
        const kernel = { ...contents.facts.kernel, unpackedBytes: KERNEL.length - 1 };
        return apply(deltaOf({ ...contents, facts: { ...contents.facts, kernel } }), sample);
      },
    ],
    [
      'whose kernel lies elsewhere',
      'E_DELTA_SOURCE delta-source',
      ({ contents }) => {
        const { kernel: at } = contents.facts;
        const kernel = { ...at, offset: at.offset - 1 };
        return apply(deltaOf({ ...contents, facts: { ...contents.facts, kernel } }), sample);
      },
    ],
  ];
  for (const [name, expected, attempt] of refusals) {
    it(`${name} is refused: ${expected}`, async () => {
      const told = await attempt(sample).then(
        () => 'applied',
        (error: unknown) => {
          assert.ok(error instanceof KeelError, String(error));
          return `${error.code} ${error.details.reason ?? ''}`;
        },
      );
      assert.equal(told, expected);
    });
  }

  it('is found wrong where its kernel is packed to other bytes than its checksum says', async () => {
    const file = await DeltaFile.open(bytesSource(sample.delta));
    const steps = [...file.readPlan()];
    const index = steps.findIndex(({ kind }) => kind === 'kernel');
    const step = steps[index] ?? assert.fail('no kernel');
    const target = sample.target.side;
    const before = steps.slice(0, index).reduce((sum, { bytes }) => sum + bytes, 0);
    const plan = encodePlan(
      steps.with(index, { ...step, crc32: (step.crc32 ^ 1) >>> 0 }),
      file.manifest,
    );
    const { contents } = sample;
    const delta = deltaOf({ ...contents, parts: { ...contents.parts, plan } });
    const written = new Written(sample);
    const details = { reason: 'delta-step' };
    await assert.rejects(apply(delta, sample, { written }), { code: 'E_DELTA_DAMAGED', details });
    assert.equal(written.ends.uki, before - target.dataBytes, 'nothing of it');
  });

  it('never makes wrong bytes out of a changed patch', async () => {
    const random = new Random(20_261_130, 0);
    const { contents } = sample;
    const seen = new Set<string>();
    for (let index = 0; index < MUTATIONS; index += 1) {
      const patch = mutate(contents.parts.patch, random, contents.parts.literals);
      const delta = deltaOf({ ...contents, parts: { ...contents.parts, patch } });
      const written = new Written(sample);
      const found = await apply(delta, sample, { written }).then(
        () => 'applied',
        (error: unknown) => (error instanceof KeelError ? error.code : String(error)),
      );
      seen.add(found);
      const isRight = sample.targetFile.subarray(0, written.bytes().length).equals(written.bytes());
      assert.ok(found.startsWith('E_DELTA_') || (found === 'applied' && isRight), found);
    }
    assert.ok(seen.has('E_DELTA_DAMAGED'), [...seen].join());
  });

  it('ends with the error of the disk that has no room for the unpacked kernel', async () => {
    const full = Object.assign(new Error('no space left'), { errno: -28, syscall: 'write' });
    const scratch = {
      ...memoryScratch(KERNEL.length),
      write: () => {
        throw full;
      },
    };
    await assert.rejects(apply(sample.delta, sample, { scratch }), full);
  });

  const otherFrame = (content: Buffer) => {
    const params = { [constants.ZSTD_c_compressionLevel]: 12, [constants.ZSTD_c_windowLog]: 20 };
    const frame = zstdCompressSync(content, { params, pledgedSrcSize: content.length });
    return kernelImage({ frame, unpackedBytes: content.length, commandLine: '' });
  };
  const carried: readonly (readonly [string, () => Promise<[Buffer, Buffer]>])[] = [
    [
      'something else has packed the new kernel',
      async () => [await packedKernelImage(KERNEL, ''), otherFrame(newKernel())],
    ],
    [
      'something else has packed the old one, so whoever runs it packs otherwise',
      async () => [otherFrame(KERNEL), await packedKernelImage(newKernel(), '')],
    ],
    [
      'the kernels have nothing in common',
      async () => [
        await packedKernelImage(KERNEL, ''),
        await packedKernelImage(noise(300_000, 5), ''),
      ],
    ],
  ];
  for (const [name, images] of carried) {
    it(`carries the kernel image as it is when ${name}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'keel-delta-'));
      try {
        const [oldPath, newPath, out] = ['old', 'new', 'out'].map((file) => join(folder, file)) as [
          string,
          string,
          string,
        ];
        const [oldFile, newFile] = await bundles(...(await images()));
        await writeFile(oldPath, oldFile);
        await writeFile(newPath, newFile);
        await makeDelta({ oldPath, newPath, out });
        const delta = await DeltaFile.open(bytesSource(await readFile(out)));
        assert.deepEqual(delta.manifest.kernel, NO_KERNEL);
        const kinds = [...delta.readPlan()].map(({ kind }) => kind);
        assert.ok(!kinds.includes('kernel'), kinds.join());
      } finally {
        await rm(folder, { recursive: true });
      }
    });
  }

  it('knows whether the encoder makes a kernel, and does not pack twice what it knows', async () => {
    const kernels = unpackedKernels(sample.old, sample.target);
    assert.ok(kernels !== undefined);
    const signal = new AbortController().signal;
    assert.equal(await areKernelsMade(kernels, signal), true);
    for (const name of ['old', 'target'] as const) {
      const other: UnpackedKernel = {
        ...kernels[name],
        content: Buffer.from(kernels[name].content).fill(1, 9, 99),
      };
      assert.equal(await areKernelsMade({ ...kernels, [name]: other }, signal), false, name);
    }
    const late = AbortSignal.abort(new Error('too late'));
    await assert.rejects(areKernelsMade(kernels, late), /too late/);
    const known = packKnownKernel(kernels.target);
    assert.ok(
      (await collected(known([newKernel()], newKernel().length))).equals(kernels.target.frame),
    );
    assert.ok((await collected(known([KERNEL], KERNEL.length))).equals(await kernelFrame(KERNEL)));
  });

  it('leaves kernels that are the same as they are', async () => {
    const uki = await packedKernelImage(KERNEL, 'root=old');
    const [oldFile, newFile] = await bundles(uki, await packedKernelImage(KERNEL, 'root=new'));
    assert.equal(unpackedKernels(await inputOf(oldFile), await inputOf(newFile)), undefined);
    const { contents } = await sampleOf(oldFile, newFile);
    assert.equal(contents.facts.kernel.canary, '');
  });
});
