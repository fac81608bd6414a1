/** Deltas that are wrong, cut, changed, or meant for something else: what is refused, and that nothing wrong comes out. */
import assert from 'node:assert/strict';
import type { DeltaSource } from '@keelos/as-core/delta-apply-source.ts';
import { DeltaFile } from '@keelos/as-core/delta-file.ts';
import { packHere } from '@keelos/as-core/delta-pack.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import type { DeltaContents } from '@keelos/image/core/delta-assembly.ts';
import { bytesSource, proveDelta } from '@keelos/image/shell/delta-prove.ts';
import type { DeltaInput } from '@keelos/image/sys/delta-input.ts';
import type { DeltaManifest, DeltaSide } from '@keelos/proto/delta.ts';
import { encodePlan } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { mutate } from '../../tests/fuzz/mutate.ts';
import { Random } from '../../tests/fuzz/random.ts';
import {
  apply,
  bundleSample,
  deltaOf,
  deltaReaders,
  noise,
  plainSample,
  type Sample,
  Written,
} from './delta-samples.ts';

const TIMEOUT_MS = 300_000;
const MUTATIONS = 10_000;
const SEED = 20_261_130;
/** Fields of an unsigned manifest that nothing else holds. */
const FREE = /"from":"image"|"limits":\{[^}]*\}|"to":"image"/g;
const PARTS = ['plan', 'plan', 'patch', 'literals'] as const;

let bundle: Sample;
let plain: Sample;

before(async function () {
  this.timeout(TIMEOUT_MS);
  bundle = await bundleSample();
  plain = await plainSample();
});

/** How applying ends: "E_… reason", or "right", or "wrong" when other bytes came out and nobody said so. */
async function outcome(
  delta: Uint8Array,
  sample: Sample,
  options: Parameters<typeof apply>[2] = {},
): Promise<string> {
  const written = options.written ?? new Written(sample);
  try {
    await apply(delta, sample, { ...options, written });
  } catch (error) {
    if (error instanceof KeelError) return `${error.code} ${error.details.reason ?? ''}`.trim();
    if (error instanceof CoreError && !error.code.endsWith('trap')) return error.code;
    throw error;
  }
  const made = written.bytes();
  return sample.targetFile.subarray(0, made.length).equals(made) ? 'right' : 'wrong';
}

describe('a delta for another source', () => {
  const sourceOf = (sample: Sample, edit: Partial<DeltaSource> = {}): DeltaSource => ({
    ...bytesSource(sample.old.packed),
    rootHash: sample.old.side.rootHash,
    ...edit,
  });
  const expectNothing = async (sample: Sample, source: DeltaSource) => {
    const written = new Written(sample);
    const found = await outcome(sample.delta, sample, { source, written });
    assert.equal(found, 'E_DELTA_SOURCE delta-source');
    assert.equal(written.writes, 0);
  };

  it('is refused by the root hash', async () => {
    await expectNothing(bundle, sourceOf(bundle, { rootHash: '0'.repeat(64) }));
    await expectNothing(bundle, sourceOf(bundle, { rootHash: '' }));
    await expectNothing(plain, sourceOf(plain, { rootHash: '0'.repeat(64) }));
  });

  it('is refused by the size', async () => {
    const { packed } = bundle.old;
    const { rootHash } = bundle.old.side;
    await expectNothing(bundle, { ...bytesSource(packed.subarray(1)), rootHash });
    const longer = Buffer.concat([packed, Buffer.alloc(1)]);
    await expectNothing(bundle, { ...bytesSource(longer), rootHash });
  });

  it('is refused by one byte of a plain image, and of a kernel image', async () => {
    const other = Buffer.from(plain.old.packed);
    other[5000] = (other[5000] ?? 0) ^ 1;
    await expectNothing(plain, { ...bytesSource(other), rootHash: '' });
    const { packed, side } = bundle.old;
    const uki = Buffer.from(packed);
    uki[side.dataBytes + 7] = (uki[side.dataBytes + 7] ?? 0) ^ 1;
    await expectNothing(bundle, { ...bytesSource(uki), rootHash: side.rootHash });
  });

  it('makes nothing wrong of a slot that lies about its root hash', async () => {
    for (let at = 200; at < bundle.old.side.dataBytes; at += 3001) {
      const packed = Buffer.from(bundle.old.packed);
      packed[at] = (packed[at] ?? 0) ^ 0x10;
      const source = { ...bytesSource(packed), rootHash: bundle.old.side.rootHash };
      assert.notEqual(await outcome(bundle.delta, bundle, { source }), 'wrong', `byte ${at}`);
    }
  }).timeout(TIMEOUT_MS);
});

describe('a delta with another target', () => {
  const other = 'cd'.repeat(32);
  const withTarget = (edit: Partial<DeltaSide>) => (manifest: DeltaManifest) => ({
    ...manifest,
    target: { ...manifest.target, ...edit },
  });
  const rows: readonly (readonly [
    name: string,
    sample: () => Sample,
    edit: (manifest: DeltaManifest) => DeltaManifest,
    expected: string,
  ])[] = [
    [
      'SHA-256 of the data',
      () => bundle,
      withTarget({ sha256: other }),
      'E_DELTA_DAMAGED delta-result',
    ],
    [
      'SHA-256 of a plain image',
      () => plain,
      withTarget({ sha256: other }),
      'E_DELTA_DAMAGED delta-result',
    ],
    ['root hash', () => bundle, withTarget({ rootHash: other }), 'E_DELTA_MALFORMED delta-sides'],
    [
      'kernel image',
      () => bundle,
      withTarget({ ukiSha256: other }),
      'E_DELTA_MALFORMED delta-sides',
    ],
    [
      'size of the data',
      () => bundle,
      withTarget({ dataBytes: 4096 }),
      'E_BUNDLE_MALFORMED bundle-places',
    ],
    [
      'release',
      () => bundle,
      (manifest) => ({ ...manifest, to: '9.9.9' }),
      'E_DELTA_MALFORMED delta-sides',
    ],
  ];
  for (const [name, sample, edit, expected] of rows) {
    it(`is refused: ${name}`, async () => {
      assert.equal(await outcome(deltaOf(sample().contents, edit), sample()), expected);
    });
  }

  it('is refused by the root hash that comes out, although all else fits', async () => {
    const { contents } = bundle;
    const text = contents.parts.targetManifest.toString();
    const { rootHash } = bundle.target.side;
    const changed: DeltaContents = {
      ...contents,
      parts: {
        ...contents.parts,
        targetManifest: Buffer.from(
          Buffer.from(contents.parts.targetManifest).toString('latin1').replace(rootHash, other),
        ),
      },
    };
    assert.ok(text.length > 0);
    const delta = deltaOf(changed, withTarget({ rootHash: other }));
    assert.equal(await outcome(delta, bundle), 'E_DELTA_DAMAGED delta-result');
  });
});

describe('a step that makes other bytes than its checksum says', () => {
  it('is found, whatever its kind', async () => {
    const readers = await deltaReaders();
    const file = DeltaFile.openWith(readers, bytesSource(bundle.delta));
    const steps = [...file.readPlan()];
    const kinds = new Set<string>();
    for (const [index, step] of steps.entries()) {
      kinds.add(step.kind);
      const changed = steps.with(index, { ...step, crc32: (step.crc32 ^ 1) >>> 0 });
      const plan = encodePlan(changed, file.manifest);
      const { parts } = bundle.contents;
      const delta = deltaOf({ ...bundle.contents, parts: { ...parts, plan } });
      assert.equal(await outcome(delta, bundle), 'E_DELTA_DAMAGED delta-step', step.kind);
    }
    assert.ok(kinds.size >= 4, [...kinds].join());
  }).timeout(TIMEOUT_MS);
});

describe('an encoder that is another', () => {
  it('is found before anything is written', async () => {
    const right = await packHere();
    const packer = {
      lanes: 1,
      pack: (blocks: readonly Uint8Array[], level: number) =>
        right.pack(blocks, level === 22 ? 21 : level + 1),
    };
    const written = new Written(bundle);
    const found = await outcome(bundle.delta, bundle, { packer, written });
    assert.equal(found, 'E_DELTA_ENCODER delta-encoder');
    assert.equal(written.writes, 0);
  });

  it('is found by the step when it lies about the canary', async () => {
    const right = await packHere();
    let calls = 0;
    const packer = {
      lanes: 1,
      pack: (blocks: readonly Uint8Array[], level: number) =>
        right.pack(blocks, calls++ === 0 ? level : level + 4),
    };
    const found = await outcome(bundle.delta, bundle, { packer });
    assert.equal(found, 'E_DELTA_DAMAGED delta-step');
  });

  it('is found by another canary in the manifest', async () => {
    const delta = deltaOf(bundle.contents, (manifest) => ({
      ...manifest,
      canary: 'ef'.repeat(32),
    }));
    assert.equal(await outcome(delta, bundle), 'E_DELTA_ENCODER delta-encoder');
  });
});

describe('the proof of a delta', () => {
  const proof = async (edit: (target: DeltaInput) => DeltaInput) =>
    proveDelta({
      delta: bundle.delta,
      old: bundle.old,
      target: edit(bundle.target),
      packer: await packHere(),
    });

  it('takes the target, and no other: whichever byte of data or kernel image is another', async () => {
    await proof((target) => target);
    const { packed, side } = bundle.target;
    for (const at of [0, side.dataBytes - 1, side.dataBytes, packed.length - 1]) {
      const other = Buffer.from(packed);
      other[at] = (other[at] ?? 0) ^ 1;
      await assert.rejects(
        proof((target) => ({ ...target, packed: other })),
        { code: 'E_DELTA_DAMAGED', message: /Cannot prove delta: .* at / },
        `byte ${at}`,
      );
    }
  });
});

describe('a delta that is damaged', function () {
  this.timeout(TIMEOUT_MS);

  it('is refused wherever it is cut', async () => {
    const { delta } = plain;
    for (let length = 0; length < delta.length; length++) {
      const found = await outcome(delta.subarray(0, length), plain);
      assert.match(found, /^E_DELTA_(DAMAGED|MALFORMED)/, `${length} bytes`);
    }
  });

  it('makes nothing wrong whichever of its bytes is another', async () => {
    const { delta } = plain;
    const right: number[] = [];
    for (let at = 0; at < delta.length; at++) {
      const flipped = Buffer.from(delta);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      const found = await outcome(flipped, plain);
      if (found === 'right') right.push(at);
      else assert.match(found, /^E_(?!.*trap)/, `byte ${at}: ${found}`);
    }
    // Nobody has signed it: the names of the releases may be others, and what it says that it needs at most.
    const spans = [...delta.toString('latin1').matchAll(FREE)];
    assert.equal(spans.length, 3);
    for (const at of right) {
      const isFree = spans.some(({ index, 0: { length } }) => at > index && at < index + length);
      assert.ok(isFree, `byte ${at} is another, and nobody says so`);
    }
  });

  it('is refused with bytes behind it', async () => {
    const longer = Buffer.concat([plain.delta, noise(10, 1)]);
    assert.equal(await outcome(longer, plain), 'E_DELTA_MALFORMED delta-trailing');
  });

  it(`makes nothing wrong of ${MUTATIONS} changes of its bytes`, async () => {
    const found = new Map<string, number>();
    for (let index = 0; index < MUTATIONS; index++) {
      const random = new Random(SEED, index);
      const delta = mutate(plain.delta, random, bundle.delta);
      const result = await outcome(delta, plain);
      assert.notEqual(result, 'wrong', `mutation ${index}`);
      assert.doesNotMatch(result, /trap/, `mutation ${index}`);
      if (result === 'right') assert.ok(plain.delta.equals(delta), `mutation ${index}`);
      found.set(result, (found.get(result) ?? 0) + 1);
    }
    assert.ok((found.get('E_DELTA_DAMAGED delta-part') ?? 0) > 100);
  });

  it('makes nothing wrong of changes that its hashes and its manifest have followed', async () => {
    const found = new Map<string, number>();
    for (let index = 0; index < MUTATIONS / 50; index++) {
      const random = new Random(SEED + 1, index);
      const name = random.pick(PARTS);
      const { parts } = plain.contents;
      const changed = mutate(parts[name], random, parts.patch);
      const delta = deltaOf({ ...plain.contents, parts: { ...parts, [name]: changed } });
      const result = await outcome(delta, plain);
      assert.notEqual(result, 'wrong', `mutation ${index} of ${name}`);
      assert.doesNotMatch(result, /trap/, `mutation ${index} of ${name}`);
      found.set(result, (found.get(result) ?? 0) + 1);
    }
    assert.ok(found.size > 5, `met only ${[...found.keys()]}`);
  });
});
