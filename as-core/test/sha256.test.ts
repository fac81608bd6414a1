import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { compileModule } from '@keelos/as-core/load.ts';
import { Sha256 } from '@keelos/as-core/sha256.ts';
import { Status } from '@keelos/as-core/status.ts';
import fc from 'fast-check';
import { sha256Twin } from './sha256-twin.ts';

function nodeDigest(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 131 + (index >> 8)) & 0xff);
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('SHA-256 in WebAssembly', () => {
  let module: WebAssembly.Module;
  let sha256: Sha256;

  before(async () => {
    module = await compileModule('sha256');
  });

  beforeEach(() => {
    sha256 = new Sha256(module);
  });

  it('imports nothing', () => {
    assert.deepEqual(WebAssembly.Module.imports(module), []);
  });

  it('gives the digests of FIPS 180-4', () => {
    const digests = [
      ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
      ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
      [
        'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
        '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
      ],
    ] as const;
    for (const [text, digest] of digests) {
      assert.equal(hex(sha256.reset().update(Buffer.from(text)).digest()), digest);
    }
  });

  it('agrees with node:crypto for every length to 300 and every split in two', () => {
    for (let length = 0; length <= 300; length++) {
      const bytes = bytesOf(length);
      const expected = nodeDigest(bytes);
      for (let split = 0; split <= length; split++) {
        sha256.reset().update(bytes.subarray(0, split)).update(bytes.subarray(split));
        assert.equal(hex(sha256.digest()), expected, `${length} bytes split at ${split}`);
      }
    }
  });

  it('agrees with node:crypto for every split in three around two blocks', () => {
    const bytes = bytesOf(130);
    const expected = nodeDigest(bytes);
    for (let first = 0; first <= 130; first++) {
      for (let second = first; second <= 130; second++) {
        sha256.reset().update(bytes.subarray(0, first)).update(bytes.subarray(first, second));
        assert.equal(hex(sha256.update(bytes.subarray(second)).digest()), expected);
      }
    }
  });

  it('agrees with node:crypto for random pieces', () => {
    const pieces = fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 12 });
    fc.assert(
      fc.property(pieces, (parts) => {
        sha256.reset();
        for (const part of parts) sha256.update(part);
        assert.equal(hex(sha256.digest()), nodeDigest(...parts));
      }),
    );
  });

  it('agrees with node:crypto around the size of its input area', () => {
    for (const length of [65_535, 65_536, 65_537, 131_071, 131_073, 1_000_003]) {
      const bytes = bytesOf(length);
      assert.equal(hex(sha256.reset().update(bytes).digest()), nodeDigest(bytes));
      const shifted = sha256.reset().update(bytes.subarray(0, 1)).update(bytes.subarray(1));
      assert.equal(hex(shifted.digest()), nodeDigest(bytes));
    }
  });

  it('has a twin in TypeScript that agrees with node:crypto', () => {
    for (let length = 0; length <= 200; length++) {
      assert.equal(hex(sha256Twin(bytesOf(length))), nodeDigest(bytesOf(length)));
    }
  });

  // A counter of 32 bits is wrong past 4 GiB, one of signed 32 bits past 2 GiB, a bit length of 32 bits past 512 MiB.
  const blocksBefore = [2n ** 22n, 2n ** 23n, 2n ** 25n, 2n ** 26n, 2n ** 26n + 1n, 2n ** 48n];
  for (const blocks of blocksBefore) {
    it(`counts right after ${blocks * 64n} bytes`, () => {
      for (const length of [0, 1, 55, 56, 63, 64, 65, 119, 120, 70_000]) {
        const bytes = bytesOf(length);
        const digest = sha256.reset().skipBlocks(blocks).update(bytes).digest();
        assert.equal(hex(digest), hex(sha256Twin(bytes, blocks * 64n)), `${length} bytes`);
      }
    });
  }

  it('refuses a stream of more than 2^61 - 1 bytes, and changes nothing by that', () => {
    const last = 2n ** 55n - 1n;
    sha256.skipBlocks(last).update(bytesOf(63));
    assert.throws(() => sha256.update(bytesOf(1)), RangeError);
    assert.equal(hex(sha256.digest()), hex(sha256Twin(bytesOf(63), last * 64n)));
    assert.throws(() => sha256.reset().skipBlocks(last + 1n), RangeError);
    assert.throws(() => sha256.reset().update(bytesOf(1)).skipBlocks(1n), RangeError);
  });

  it('refuses everything after the end of a stream until the next one begins', () => {
    sha256.update(bytesOf(10)).digest();
    assert.throws(() => sha256.digest(), RangeError);
    assert.throws(() => sha256.update(bytesOf(1)), RangeError);
    assert.throws(() => sha256.skipBlocks(1n), RangeError);
    assert.equal(hex(sha256.reset().digest()), nodeDigest());
  });

  it('refuses a piece that is longer than its input area', () => {
    const raw = new WebAssembly.Instance(module).exports as unknown as {
      init(): void;
      update(length: number): number;
      inputBytesMax(): number;
    };
    raw.init();
    for (const length of [raw.inputBytesMax() + 1, 2 ** 31, 2 ** 32 - 1]) {
      assert.equal(raw.update(length), Status.inputTooLong);
    }
    assert.equal(raw.update(raw.inputBytesMax()), Status.ok);
  });

  it('shares nothing between two hashers', () => {
    const other = new Sha256(module);
    sha256.update(bytesOf(100));
    other.update(bytesOf(7));
    assert.equal(hex(sha256.digest()), nodeDigest(bytesOf(100)));
    assert.equal(hex(other.digest()), nodeDigest(bytesOf(7)));
  });

  it('hands out digests that later streams leave alone', () => {
    const first = sha256.update(bytesOf(1)).digest();
    sha256.reset().update(bytesOf(2)).digest();
    assert.equal(hex(first), nodeDigest(bytesOf(1)));
  });

  it('has one table of status numbers on both sides', async () => {
    const source = await readFile(new URL('../assembly/status.ts', import.meta.url), 'utf8');
    const numbers = [...source.matchAll(/export const STATUS_\w+: i32 = (\d+);/g)].map(
      ([, number]) => Number(number),
    );
    assert.deepEqual(numbers, Object.values(Status));
  });
});
