import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { ftruncateSync } from 'node:fs';
import { hasShaInstructions, OpensslBlockHasher } from '@keelos/as-core/openssl-block-hasher.ts';
import { BLOCK_BYTES, noise, Scratch } from './verity-files.ts';

/** Beginnings of /proc/cpuinfo. */
const processors: readonly (readonly [string, string, boolean])[] = [
  ['x86 with SHA', 'processor\t: 0\nflags\t\t: fpu clzero sha_ni avx512bw\n', true],
  ['x86 without', 'processor\t: 0\nflags\t\t: fpu clzero avx2\nbugs\t\t: sha_ni\n', false],
  ['Arm with SHA', 'processor\t: 0\nFeatures\t: fp asimd sha1 sha2 crc32\n', true],
  ['Arm with SHA-512 alone', 'processor\t: 0\nFeatures\t: fp asimd sha1 sha512\n', false],
  ['another', 'processor\t: 0\n', false],
];

describe('dm-verity digests by OpenSSL', () => {
  let scratch: Scratch;

  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch.close());

  it('agree with a plain hash of salt and block, whatever the salt', () => {
    const data = noise(64 * BLOCK_BYTES, 1);
    const fd = scratch.write('data', noise(100, 2), data);
    const hasher = new OpensslBlockHasher(noise(256, 3));
    for (let length = 256; length >= 0; length -= 3) {
      const salt = noise(length, length);
      hasher.setSalt(salt);
      const count = (length % 64) + 1;
      const seen: Buffer[] = [];
      hasher.read({ fd, offsetBytes: 100, count }, (bytes) => seen.push(Buffer.from(bytes)));
      assert.ok(Buffer.concat(seen).equals(data.subarray(0, count * BLOCK_BYTES)));
      const target = Buffer.alloc(count * 32);
      hasher.hashRead(target);
      for (let block = 0; block < count; block++) {
        const bytes = data.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
        const digest = createHash('sha256').update(salt).update(bytes).digest();
        assert.ok(digest.equals(target.subarray(block * 32, (block + 1) * 32)));
      }
    }
  });

  it('refuse too many blocks, too long a salt, too small a target, and a file that ends', () => {
    const fd = scratch.write('data', noise(3 * BLOCK_BYTES, 1));
    const hasher = new OpensslBlockHasher(new Uint8Array());
    assert.throws(() => hasher.setSalt(new Uint8Array(257)), RangeError);
    assert.throws(() => hasher.read({ fd, offsetBytes: 0, count: 65 }), RangeError);
    hasher.read({ fd, offsetBytes: 0, count: 3 });
    assert.throws(() => hasher.hashRead(new Uint8Array(95)), RangeError);
    for (const size of [3 * BLOCK_BYTES - 1, BLOCK_BYTES + 1, BLOCK_BYTES, 1, 0]) {
      ftruncateSync(fd, size);
      const short = { code: 'verity-image-too-short' };
      assert.throws(() => hasher.read({ fd, offsetBytes: 0, count: 3 }), short);
    }
  });

  for (const [name, text, expected] of processors) {
    it(`are ${expected ? 'faster' : 'slower'} than four lanes on a processor like ${name}`, () => {
      assert.equal(
        hasShaInstructions(() => text),
        expected,
      );
    });
  }

  it('are not chosen where nobody tells what the processor can do', () => {
    const silent = () => {
      throw new Error('ENOENT');
    };
    assert.equal(hasShaInstructions(silent), false);
  });
});
