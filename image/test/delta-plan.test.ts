/** Plans: what is written is read, and what reads or writes outside, repeats, or wants too much is refused. */
import assert from 'node:assert/strict';
import { DeltaReader } from '@keelos/as-core/delta.ts';
import { TAIL_BYTES_MAX } from '@keelos/proto/bundle.ts';
import type { DeltaManifest, PlanStep } from '@keelos/proto/delta.ts';
import { NO_KERNEL, PlanKind } from '@keelos/proto/delta.ts';
import { encodeDeltaTail, encodePlan, encodeVarint } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import fc from 'fast-check';

const HASH = 'ab'.repeat(32);
const BLOCK = 8192;
const SOURCE = 100_000;
const DATA = 40_960;
const UKI = 5000;

interface Sizes {
  readonly plan: Uint8Array;
  readonly patchedBytes: number;
  readonly literalBytes: number;
  readonly runBytes?: number;
  /** There is a kernel in the source, unpacked. */
  readonly hasKernel?: boolean;
}

/** There is a patch when something is patched. */
function patchBytesOf(patchedBytes: number): number {
  return patchedBytes > 0 ? 1 : 0;
}

/** A manifest around a plan: source of 100,000 bytes, target of 40,960 and 5,000. */
function manifestOf({
  plan,
  patchedBytes,
  literalBytes,
  runBytes = 32_768,
  hasKernel = false,
}: Sizes): DeltaManifest {
  const kernel = hasKernel
    ? { canary: HASH, offset: 10, packedBytes: 500, unpackedBytes: 90_000 }
    : NO_KERNEL;
  const side = { rootHash: HASH, sha256: HASH, ukiSha256: HASH };
  const patch = patchBytesOf(patchedBytes);
  let end = 0;
  const part = (size: number) => {
    end += size;
    return { offset: end - size, sha256: HASH, size };
  };
  return {
    ...{ blockBytes: BLOCK, canary: HASH, encoder: 'zstd-1.5.7', format: 'keelos-delta/1' },
    ...{ from: '1', to: '2', kernel, level: 1, patchedBytes },
    limits: { memoryBytes: 2 ** 26, runBytes },
    parts: {
      plan: part(plan.length),
      patch: part(patch),
      literals: part(literalBytes),
      targetManifest: part(1),
      targetSignatures: part(1),
    },
    source: { ...side, dataBytes: 98_304, ukiBytes: SOURCE - 98_304 },
    target: { ...side, dataBytes: DATA, ukiBytes: UKI },
  };
}

const reader = await DeltaReader.create();

function read(sizes: Sizes): PlanStep[] {
  const { plan, patchedBytes, literalBytes } = sizes;
  const tail = encodeDeltaTail(manifestOf(sizes), []);
  const parts = plan.length + patchBytesOf(patchedBytes) + literalBytes + 2;
  const whole = Buffer.concat([Buffer.alloc(parts), tail]);
  reader.readTail(whole.subarray(-TAIL_BYTES_MAX), whole.length);
  return [...reader.readPlan(plan)];
}

function reasonOf(sizes: Sizes): string {
  try {
    read(sizes);
  } catch (error) {
    if (!(error instanceof KeelError)) throw error;
    assert.equal(error.code, 'E_DELTA_MALFORMED');
    return error.details.reason ?? '';
  }
  return 'accepted';
}

const step = {
  copy: (bytes: number, from: number): PlanStep => ({ kind: 'copy', bytes, from, crc32: 1 }),
  zero: (bytes: number): PlanStep => ({ kind: 'zero', bytes, crc32: 2 }),
  raw: (bytes: number): PlanStep => ({ kind: 'raw', bytes, crc32: 3 }),
  literal: (bytes: number): PlanStep => ({ kind: 'literal', bytes, crc32: 0xffff_ffff }),
  data: (bytes: number, blocks: number[]): PlanStep => ({ kind: 'data', bytes, blocks, crc32: 5 }),
  kernel: (bytes: number, unpackedBytes: number): PlanStep => {
    return { kind: 'kernel', bytes, unpackedBytes, crc32: 7 };
  },
  metadata: (bytes: number, blocks: number[]): PlanStep => {
    return { kind: 'metadata', bytes, blocks, crc32: 6 };
  },
};

/** Fills what the steps leave of the target with zeros. */
function filled(steps: readonly PlanStep[]): PlanStep[] {
  const made = steps.reduce((sum, { bytes }) => sum + bytes, 0);
  if (made >= DATA) return [...steps];
  return [...steps, step.zero(DATA - made), step.zero(UKI)];
}

function planOf(steps: readonly PlanStep[]): Buffer {
  return encodePlan(steps, { blockBytes: BLOCK });
}

describe('a plan', () => {
  it('is read as it was written', () => {
    const steps = [
      step.copy(96, 50_000),
      step.copy(904, 0),
      step.copy(1000, 99_000),
      step.data(9000, [8192, 8192, 17]),
      step.literal(960),
      step.metadata(8200, [8192, 100]),
      step.raw(700),
      step.zero(20_100),
      step.raw(3000),
      step.zero(2000),
    ];
    const patchedBytes = 8192 * 2 + 17 + 8292 + 3700;
    assert.deepEqual(read({ plan: planOf(steps), patchedBytes, literalBytes: 960 }), steps);
  });

  it('has a kernel read as it was written, which may be larger than a run', () => {
    const steps = [
      step.zero(DATA),
      step.zero(100),
      step.kernel(4000, 60_000),
      step.zero(UKI - 4100),
    ];
    const sizes = { plan: planOf(steps), patchedBytes: 60_000, literalBytes: 0, hasKernel: true };
    assert.deepEqual(read(sizes), steps);
  });

  it('is read as it was written, whatever it holds', () => {
    const random = fc.oneof(
      fc
        .tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: SOURCE - 300 }))
        .map(([bytes, from]) => step.copy(bytes, from)),
      fc.integer({ min: 1, max: 300 }).map(step.raw),
      fc.integer({ min: 1, max: 300 }).map(step.literal),
      fc
        .array(fc.integer({ min: 1, max: BLOCK }), { minLength: 1, maxLength: 3 })
        .map((blocks) => step.data(blocks.length, blocks)),
    );
    fc.assert(
      fc.property(fc.array(random, { maxLength: 40 }), (some) => {
        const steps = filled(some);
        const taken = (each: PlanStep) => {
          if (each.kind === 'raw') return each.bytes;
          return 'blocks' in each ? each.blocks.reduce((sum, bytes) => sum + bytes, 0) : 0;
        };
        const patchedBytes = steps.reduce((sum, each) => sum + taken(each), 0);
        const literalBytes = steps.reduce(
          (sum, { kind, bytes }) => sum + (kind === 'literal' ? bytes : 0),
          0,
        );
        assert.deepEqual(read({ plan: planOf(steps), patchedBytes, literalBytes }), steps);
      }),
    );
  });

  type Row = readonly [
    name: string,
    steps: readonly PlanStep[],
    reason: string,
    sizes?: Partial<Sizes>,
  ];
  const rows: readonly Row[] = [
    ['reads behind the source', [step.copy(2, SOURCE - 1)], 'delta-plan-source'],
    ['reads all the source and one byte more', [step.copy(SOURCE + 1, 0)], 'delta-plan-source'],
    ['begins to read behind the source', [step.copy(1, SOURCE + 1)], 'delta-plan-source'],
    ['makes more than the data of the root', [step.copy(DATA + 1, 0)], 'delta-plan-target'],
    [
      'goes on from the data into the kernel image',
      [step.zero(DATA - 1), step.zero(2)],
      'delta-plan-target',
    ],
    [
      'makes more than the kernel image',
      [step.zero(DATA), step.zero(UKI + 1)],
      'delta-plan-target',
    ],
    [
      'goes on behind the kernel image',
      [step.zero(DATA), step.zero(UKI), step.zero(1)],
      'delta-plan-target',
    ],
    ['makes no kernel image', [step.zero(DATA)], 'delta-plan-target'],
    [
      'makes not all of the kernel image',
      [step.zero(DATA), step.zero(UKI - 1)],
      'delta-plan-target',
    ],
    ['makes nothing', [], 'delta-plan-target'],
    ['has a step that makes nothing', [step.zero(0)], 'delta-plan-target'],
    ['takes patched bytes that are not there', [step.raw(1)], 'delta-plan-streams'],
    [
      'packs a kernel, and the source has none unpacked',
      [step.zero(DATA), step.kernel(UKI, 9_000)],
      'delta-plan-kind',
      { patchedBytes: 9_000 },
    ],
    [
      'packs a kernel in the root',
      [step.kernel(100, 9_000)],
      'delta-plan-target',
      { patchedBytes: 9_000, hasKernel: true },
    ],
    [
      'packs a kernel of nothing',
      [step.zero(DATA), step.kernel(UKI, 0)],
      'delta-plan-run',
      { hasKernel: true },
    ],
    [
      'packs a kernel that is too large',
      [step.zero(DATA), step.kernel(UKI, 2 ** 27 + 1)],
      'delta-plan-run',
      { patchedBytes: 2 ** 27 + 1, hasKernel: true },
    ],
    [
      'packs a kernel to more than that makes',
      [step.zero(DATA), step.kernel(UKI, 3_900)],
      'delta-plan-target',
      { patchedBytes: 3_900, hasKernel: true },
    ],
    [
      'packs a kernel of more than is patched',
      [step.zero(DATA), step.kernel(UKI, 9_000)],
      'delta-plan-streams',
      { patchedBytes: 8_999, hasKernel: true },
    ],
    [
      'takes the patched bytes twice',
      [step.raw(10), step.raw(10)],
      'delta-plan-streams',
      { patchedBytes: 10 },
    ],
    ['leaves patched bytes', filled([step.raw(10)]), 'delta-plan-streams', { patchedBytes: 11 }],
    ['takes literals that are not there', [step.literal(1)], 'delta-plan-streams'],
    [
      'takes the literals twice',
      [step.literal(9), step.literal(9)],
      'delta-plan-streams',
      { literalBytes: 9 },
    ],
    ['leaves literals', filled([step.literal(9)]), 'delta-plan-streams', { literalBytes: 10 }],
    [
      'patches more at once than it may',
      [step.raw(32_769)],
      'delta-plan-run',
      { patchedBytes: 40_000 },
    ],
    [
      'packs more at once than it may',
      [step.data(5, [8192, 8192, 8192, 8192, 1])],
      'delta-plan-run',
      { patchedBytes: 40_000 },
    ],
    [
      'packs more metadata at once than it may',
      [step.metadata(15, [8192, 8192, 8192, 8192, 1])],
      'delta-plan-run',
      { patchedBytes: 40_000 },
    ],
    ['has no block', [step.data(5, [])], 'delta-plan-run'],
    [
      'has more blocks than a step may',
      [step.data(4097, Array(4097).fill(1))],
      'delta-plan-run',
      { patchedBytes: 5000 },
    ],
    [
      'makes blocks larger by packing them',
      [step.data(11, [10])],
      'delta-plan-target',
      { patchedBytes: 10 },
    ],
    ['makes nothing of blocks', [step.data(0, [10])], 'delta-plan-target', { patchedBytes: 10 }],
    [
      'makes metadata larger than its block and length',
      [step.metadata(13, [10])],
      'delta-plan-target',
      { patchedBytes: 10 },
    ],
    [
      'makes metadata without length',
      [step.metadata(2, [10])],
      'delta-plan-target',
      { patchedBytes: 10 },
    ],
  ];
  for (const [name, steps, reason, sizes = {}] of rows) {
    it(`is refused when it ${name}`, () => {
      const plan = planOf(steps);
      assert.equal(reasonOf({ plan, patchedBytes: 0, literalBytes: 0, ...sizes }), reason);
    });
  }

  const crc = [0, 0, 0, 0];
  const number = 'delta-plan-number';
  const bytes: readonly (readonly [name: string, plan: readonly number[], reason: string])[] = [
    ['an unknown kind', [PlanKind.kernel + 1, 1, ...crc], 'delta-plan-kind'],
    ['kind 255', [255], 'delta-plan-kind'],
    ['no number', [PlanKind.zero], number],
    ['a number that is cut', [PlanKind.zero, 0x80], number],
    ['a number of nine bytes', [PlanKind.zero, ...Array(8).fill(0x81), 1, ...crc], number],
    ['a number with zeros in front', [PlanKind.zero, 0x81, 0x00, ...crc], number],
    ['no checksum', [PlanKind.zero, 1, 0, 0, 0], number],
    ['a copy without a place', [PlanKind.copy, 1], number],
    ['a copy from before the source', [PlanKind.copy, 1, 1, ...crc], 'delta-plan-source'],
    [
      'a copy from very far',
      [PlanKind.copy, 1, ...encodeVarint(2 ** 53 - 1), ...crc],
      'delta-plan-source',
    ],
    [
      'a copy of very much',
      [PlanKind.copy, ...encodeVarint(2 ** 53 - 1), 0, ...crc],
      'delta-plan-source',
    ],
    ['a block of nothing', [PlanKind.data, 1, 1, ...encodeVarint(BLOCK), ...crc], number],
    ['a block of less', [PlanKind.data, 1, 1, ...encodeVarint(2 ** 40), ...crc], number],
    ['metadata of nothing', [PlanKind.metadata, 1, 3, ...encodeVarint(8192), ...crc], number],
    ['very many blocks', [PlanKind.data, ...encodeVarint(2 ** 32), 1, ...crc], 'delta-plan-run'],
  ];
  for (const [name, plan, reason] of bytes) {
    it(`is refused with ${name}`, () => {
      const sizes = { patchedBytes: 9000, literalBytes: 0 };
      assert.equal(reasonOf({ plan: Buffer.from(plan), ...sizes }), reason);
    });
  }

  it('is judged as a whole before its first step is told', () => {
    const plan = Buffer.concat([planOf([step.zero(DATA)]), Buffer.from([9])]);
    assert.equal(reasonOf({ plan, patchedBytes: 0, literalBytes: 0 }), 'delta-plan-kind');
  });

  it('is refused however it is cut', () => {
    const plan = planOf(
      filled([step.copy(100, 5000), step.data(300, [8192, 17]), step.literal(5)]),
    );
    const sizes = { patchedBytes: 8209, literalBytes: 5 };
    assert.equal(reasonOf({ plan, ...sizes }), 'accepted');
    for (let length = 0; length < plan.length; length++) {
      assert.match(reasonOf({ plan: plan.subarray(0, length), ...sizes }), /^delta-plan-/);
    }
  });
});
