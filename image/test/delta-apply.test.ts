/** Deltas that are right: what they make, in how much memory, and after a cut. */
import assert from 'node:assert/strict';
import { type Packer, packHere } from '@keelos/as-core/delta-pack.ts';
import { ZstdEncoder } from '@keelos/as-core/zstd.ts';
import { layoutSquashfs, planSquashfs } from '@keelos/image/core/squashfs-writer.ts';
import { PLAN_BYTES_MAX, RUN_BYTES_MAX } from '@keelos/proto/delta.ts';
import {
  apply,
  bundleOf,
  bundleSample,
  file,
  newEntries,
  noise,
  plainSample,
  program,
  type Sample,
  sampleOf,
  Written,
} from './delta-samples.ts';
import { image, OPTIONS } from './squashfs-oracle.ts';

const TIMEOUT_MS = 120_000;
const encoder = await ZstdEncoder.create();

describe('applying a delta', function () {
  this.timeout(TIMEOUT_MS);
  let bundle: Sample;

  before(async () => {
    bundle = await bundleSample();
  });

  it('makes root, hash tree and kernel image of a bundle', async () => {
    const { root, uki, report } = await apply(bundle.delta, bundle);
    const made = Buffer.concat([root, uki]);
    assert.ok(bundle.targetFile.subarray(0, made.length).equals(made));
    assert.ok(report.copiedBytes > 9000 && report.packedBytes > 0 && report.rawBytes > 0);
    const { copiedBytes, packedBytes, rawBytes, literalBytes, zeroBytes } = report;
    const { dataBytes, ukiBytes } = bundle.target.side;
    const all = copiedBytes + packedBytes + rawBytes + literalBytes + zeroBytes;
    assert.equal(all, dataBytes + ukiBytes);
  });

  it('makes a plain image', async () => {
    const plain = await plainSample();
    const { root } = await apply(plain.delta, plain);
    assert.ok(root.equals(plain.targetFile));
  });

  it('is small where little changed', () => {
    assert.ok(bundle.delta.length < 14_000, `${bundle.delta.length} bytes`);
  });

  const options = { blockBytes: 4096, fragments: 'none', level: 3 } as const;
  const pairs: Readonly<Record<string, () => [Buffer, Buffer]>> = {
    'equal images': () => [image(newEntries(), options), image(newEntries(), options)],
    'images with nothing alike': () => [
      image([file('/a', noise(50_000, 1))], options),
      image([file('/b', noise(70_000, 2))], { ...options, level: 5 }),
    ],
    'blocks of another size': () => [
      image([file('/a', program(300_000, 1))], { ...options, blockBytes: 131_072 }),
      image([file('/a', program(300_001, 1))], { ...options, blockBytes: 65_536 }),
    ],
    'runs that are as long as they may be': () => [
      image([file('/a', program(1_100_000, 1))], { ...options, blockBytes: 1_048_576 }),
      image([file('/a', program(1_100_000, 2))], { ...options, blockBytes: 1_048_576 }),
    ],
    'many small files': () => [
      image(
        Array.from({ length: 300 }, (_, at) => file(`/${at}`, program(300 + at, at))),
        options,
      ),
      image(
        Array.from({ length: 300 }, (_, at) => file(`/${at}`, program(301 + at, at))),
        options,
      ),
    ],
    'blocks of which the encoder makes only some': () => [
      image([file('/a', program(100_000, 1))], options),
      packedOtherwise(shifted(program(100_000, 1)), (index) => index % 3 === 0),
    ],
    'blocks that another encoder made': () => [
      image([file('/a', program(100_000, 1))], options),
      packedOtherwise(shifted(program(100_000, 1)), () => true),
    ],
    'fragments, and an export table': () => [
      image(newEntries(), { ...options, fragments: 'tails', isExportable: true }),
      image([...newEntries(), file('/x', program(3000, 3))], { ...options, fragments: 'tails' }),
    ],
  };
  for (const [name, make] of Object.entries(pairs)) {
    it(`makes ${name}`, async () => {
      const sample = await sampleOf(...make());
      const { root } = await apply(sample.delta, sample);
      assert.ok(root.equals(sample.targetFile));
      assert.ok(sample.contents.parts.plan.length <= PLAN_BYTES_MAX);
    });
  }

  it('carries the blocks that the encoder does not make, and no others', async () => {
    const old = image([file('/a', program(100_000, 1))], options);
    const some = packedOtherwise(shifted(program(100_000, 1)), (index) => index % 3 === 0);
    const all = packedOtherwise(shifted(program(100_000, 1)), () => true);
    const reports = [];
    for (const target of [some, all]) {
      const sample = await sampleOf(old, target);
      reports.push((await apply(sample.delta, sample)).report);
    }
    const [first, second] = reports;
    assert.ok((first?.packedBytes ?? 0) > (first?.literalBytes ?? 0));
    assert.ok((first?.literalBytes ?? 0) > 0);
    assert.ok((second?.literalBytes ?? 0) > 10 * (second?.packedBytes ?? 0));
  });

  it('gives out the root in order, then its hash tree, then the kernel image', async () => {
    const written = new Written(bundle);
    let [last, end] = ['root', 0];
    const write = written.write.bind(written);
    written.write = (part, offset, bytes) => {
      if (part !== last) {
        assert.equal(part, 'uki');
        [last, end] = [part, 0];
      }
      assert.equal(offset, end);
      assert.ok(bytes.length <= RUN_BYTES_MAX);
      end = offset + bytes.length;
      write(part, offset, bytes);
    };
    await apply(bundle.delta, bundle, { written });
    assert.equal(written.ends.root, bundle.target.tail?.manifest.root.size);
  });

  it('fails with the first run that fails, also when a later one has failed before', async () => {
    const right = await packHere();
    let calls = 0;
    const packer: Packer = {
      lanes: 3,
      pack: async (blocks, level) => {
        calls += 1;
        // The canary, then runs of which each fails sooner than the one before.
        if (calls === 1) return right.pack(blocks, level);
        const call = calls;
        for (let turns = 20 - 3 * call; turns > 0; turns--) await new Promise(setImmediate);
        throw new Error(`run ${call}`);
      },
    };
    const uki = noise(5000, 1);
    const sample = await sampleOf(
      await bundleOf({ version: '1.0.0', entries: [file('/a', program(4_000_000, 1))], uki }),
      await bundleOf({
        version: '1.0.1',
        entries: [file('/a', shifted(program(4_000_000, 1)))],
        uki,
      }),
    );
    await assert.rejects(apply(sample.delta, sample, { packer }), /run 2/);
    assert.ok(calls > 3);
  });

  it('stops when it is told to, and says why', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const applying = apply(bundle.delta, bundle, {
      signal: stop.signal,
      onWrite: (writes) => writes === 3 && stop.abort(reason),
    });
    await assert.rejects(applying, reason);
  });
});

/** An image that says level 3, and some blocks of which have another. */
function packedOtherwise(contents: Buffer, isOther: (index: number) => boolean): Buffer {
  const options = { ...OPTIONS, blockBytes: 4096, fragments: 'none', level: 3 } as const;
  const plan = planSquashfs([file('/a', contents)], options);
  const packed = plan.data.pieces.map((piece, index) =>
    encoder.encode(piece, isOther(index) ? 19 : options.level),
  );
  const compress = (bytes: Uint8Array) => encoder.encode(bytes, options.level);
  return layoutSquashfs(plan, { packed, compress });
}

/** The same with a byte in front: all blocks change, and little is new. */
function shifted(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from('x'), bytes.subarray(0, -1)]);
}

describe('applying a delta after a cut', function () {
  this.timeout(TIMEOUT_MS);
  const packedBlocks = { count: 0 };

  it('goes on at any write, keeps what is right and packs nothing twice', async () => {
    const sample = await bundleSample();
    const whole = new Written(sample);
    await apply(sample.delta, sample, { written: whole });
    const { ends, writes } = whole;
    for (let cut = 0; cut < writes; cut++) {
      const written = new Written(sample);
      const applying = apply(sample.delta, sample, {
        written,
        onWrite: (done) => {
          if (done === cut) throw new Error('the power fails');
        },
      });
      await assert.rejects(applying, /the power fails/);
      const kept = keptOf(written, written.ends);
      const { report } = await apply(sample.delta, sample, { written, kept });
      assert.ok(written.bytes().equals(whole.bytes()), `cut ${cut}`);
      const dataEnd = Math.min(written.ends.root, sample.target.side.dataBytes);
      assert.ok(report.keptBytes <= dataEnd + written.ends.uki);
      packedBlocks.count = report.keptBytes;
    }
    assert.ok(packedBlocks.count > ends.uki / 2, 'nothing was kept at the last cut');
  });

  it('makes anew what is there and wrong', async () => {
    const sample = await bundleSample();
    const written = new Written(sample);
    await apply(sample.delta, sample, { written });
    const right = written.bytes();
    const places = { root: sample.target.side.dataBytes, uki: sample.target.side.ukiBytes };
    for (const at of [0, 100, 10_000, places.root - 1]) {
      written.root[at] = (written.root[at] ?? 0) ^ 1;
      const { report } = await apply(sample.delta, sample, {
        written,
        kept: keptOf(written, places),
      });
      assert.ok(written.bytes().equals(right), `byte ${at}`);
      assert.ok(report.keptBytes < places.root + places.uki && report.keptBytes > 0);
    }
  });

  it('reads nothing back where nothing was written', async () => {
    const sample = await bundleSample();
    const kept = keptOf(new Written(sample), { root: 0, uki: 0 });
    const read = () => assert.fail('read back');
    const { report } = await apply(sample.delta, sample, { kept: { ...kept, read } });
    assert.equal(report.keptBytes, 0);
  });

  it('takes what was there before the first write for nothing', async () => {
    const old = await bundleOf({ version: '1.0.0', entries: newEntries(), uki: noise(5000, 1) });
    const target = await bundleOf({ version: '1.0.2', entries: newEntries(), uki: noise(5000, 2) });
    const sample = await sampleOf(old, target);
    const written = new Written(sample);
    const places = { root: sample.target.side.dataBytes, uki: 5000 };
    await apply(sample.delta, sample, { written, kept: keptOf(written, places) });
    assert.ok(target.subarray(0, written.bytes().length).equals(written.bytes()));
  });
});

function keptOf(written: Written, ends: { readonly root: number; readonly uki: number }) {
  const before = { root: Buffer.from(written.root), uki: Buffer.from(written.uki) };
  return {
    dataBytes: ends.root,
    ukiBytes: ends.uki,
    read: (part: 'root' | 'uki', offset: number, target: Uint8Array) => {
      target.set(before[part].subarray(offset, offset + target.length));
    },
  };
}
