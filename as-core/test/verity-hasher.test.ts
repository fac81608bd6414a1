import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { compileModule } from '@keelos/as-core/load.ts';
import { Status } from '@keelos/as-core/status.ts';
import { VerityHasher } from '@keelos/as-core/verity-hasher.ts';
import fc from 'fast-check';

const BLOCK_BYTES = 4096;

function bytesOf(length: number, seed: number): Uint8Array {
  let state = (seed * 2654435761 + 1) >>> 0;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

function nodeDigests(blocks: Uint8Array, salt: Uint8Array): string {
  const digests: string[] = [];
  for (let offset = 0; offset < blocks.length; offset += BLOCK_BYTES) {
    const block = blocks.subarray(offset, offset + BLOCK_BYTES);
    digests.push(createHash('sha256').update(salt).update(block).digest('hex'));
  }
  return digests.join('');
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('dm-verity digests in WebAssembly', () => {
  let module: WebAssembly.Module;
  let hasher: VerityHasher;

  before(async () => {
    module = await compileModule('verity');
  });

  beforeEach(() => {
    hasher = new VerityHasher(module, new Uint8Array());
  });

  it('imports nothing', () => {
    assert.deepEqual(WebAssembly.Module.imports(module), []);
  });

  it('agree with node:crypto for every length of the salt', () => {
    const blocks = bytesOf(5 * BLOCK_BYTES, 1);
    for (let length = 0; length <= 256; length++) {
      const salt = bytesOf(length, length);
      hasher.setSalt(salt);
      assert.equal(hex(hasher.hash(blocks)), nodeDigests(blocks, salt), `salt of ${length} bytes`);
    }
  });

  it('agree with node:crypto for every number of blocks around four and around a full input', () => {
    const salt = bytesOf(32, 3);
    hasher.setSalt(salt);
    for (const count of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 61, 62, 63, 64, 65, 127, 128, 129, 131]) {
      const blocks = bytesOf(count * BLOCK_BYTES, count);
      assert.equal(hex(hasher.hash(blocks)), nodeDigests(blocks, salt), `${count} blocks`);
    }
  });

  // All bits of one word, of one byte: a lane that takes a neighbour's bit shows here.
  it('agree with node:crypto when only one lane has only one bit', () => {
    for (let lane = 0; lane < 4; lane++) {
      for (let bit = 0; bit < 512; bit += 7) {
        const blocks = new Uint8Array(4 * BLOCK_BYTES);
        blocks[lane * BLOCK_BYTES + (bit >> 3)] = 1 << (bit & 7);
        assert.equal(hex(hasher.hash(blocks)), nodeDigests(blocks, new Uint8Array()));
      }
    }
  });

  it('agree with node:crypto for random blocks and salts', () => {
    const blocks = fc.uint8Array({ minLength: BLOCK_BYTES, maxLength: BLOCK_BYTES });
    const salts = fc.uint8Array({ maxLength: 256 });
    fc.assert(
      fc.property(fc.array(blocks, { maxLength: 6 }), salts, (list, salt) => {
        const data = Buffer.concat(list);
        hasher.setSalt(salt);
        assert.equal(hex(hasher.hash(data)), nodeDigests(data, salt));
      }),
      { numRuns: 60 },
    );
  });

  it('refuse a salt of more than 256 bytes, and keep the one they have', () => {
    const salt = bytesOf(7, 7);
    const block = bytesOf(BLOCK_BYTES, 8);
    hasher.setSalt(salt);
    assert.throws(() => hasher.setSalt(new Uint8Array(257)), RangeError);
    assert.throws(() => new VerityHasher(module, new Uint8Array(257)), RangeError);
    assert.equal(hex(hasher.hash(block)), nodeDigests(block, salt));
  });

  it('refuse a part of a block', () => {
    for (const length of [1, BLOCK_BYTES - 1, BLOCK_BYTES + 1]) {
      assert.throws(() => hasher.hash(new Uint8Array(length)), RangeError);
    }
  });

  it('refuse more blocks than the input area holds', () => {
    const raw = new WebAssembly.Instance(module).exports as unknown as {
      hashBlocks(count: number): number;
      inputBlocksMax(): number;
      setSalt(length: number): number;
    };
    for (const count of [raw.inputBlocksMax() + 1, 2 ** 20, 2 ** 31, 2 ** 32 - 1]) {
      assert.equal(raw.hashBlocks(count), Status.outOfRange);
    }
    assert.equal(raw.hashBlocks(raw.inputBlocksMax()), Status.ok);
    for (const length of [257, 2 ** 31, 2 ** 32 - 1]) {
      assert.equal(raw.setSalt(length), Status.outOfRange);
    }
  });

  it('share nothing between two hashers, and hand out digests that stay', () => {
    const other = new VerityHasher(module, bytesOf(9, 9));
    const blocks = bytesOf(4 * BLOCK_BYTES, 10);
    const first = hasher.hash(blocks);
    other.hash(bytesOf(4 * BLOCK_BYTES, 11));
    hasher.hash(bytesOf(4 * BLOCK_BYTES, 12));
    assert.equal(hex(first), nodeDigests(blocks, new Uint8Array()));
  });
});
