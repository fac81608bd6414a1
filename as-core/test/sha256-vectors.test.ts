import assert from 'node:assert/strict';
import { createSha256, type Sha256 } from '@keelos/as-core/sha256.ts';

/** NIST, "Descriptions of SHA-256, SHA-384, and SHA-512" and the additional examples for lengths around the padding. */
const examples: readonly (readonly [string, Uint8Array, string])[] = [
  [
    'one byte',
    Buffer.from('bd', 'hex'),
    '68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b',
  ],
  [
    'four bytes',
    Buffer.from('c98c8e55', 'hex'),
    '7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504',
  ],
  [
    '55 zeros: the padding fits exactly',
    Buffer.alloc(55),
    '02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7',
  ],
  [
    '56 zeros: the length needs a block of its own',
    Buffer.alloc(56),
    'd4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb',
  ],
  [
    '57 zeros',
    Buffer.alloc(57),
    '65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785',
  ],
  [
    '64 zeros: all padding in a block of its own',
    Buffer.alloc(64),
    'f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b',
  ],
  [
    '1000 zeros',
    Buffer.alloc(1000),
    '541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53',
  ],
  [
    '1000 times A',
    Buffer.alloc(1000, 'A'),
    'c2e686823489ced2017f6059b8b239318b6364f6dcd835d0a519105a1eadd6e4',
  ],
  [
    '1005 times U',
    Buffer.alloc(1005, 'U'),
    'f4d62ddec0f3dd90ea1380fa16a5ff8dc4c54b21740650f24afc4120903552b0',
  ],
  [
    'a million zeros',
    Buffer.alloc(1_000_000),
    'd29751f2649b32ff572b5e0a9f541ea660a50f94ff0beedfb0b692b924cc8025',
  ],
  [
    'a million times a',
    Buffer.alloc(1_000_000, 'a'),
    'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0',
  ],
];

/** NIST CAVP, SHA256Monte.rsp: the seed, and the digests after the first and the last thousand rounds. */
const MONTE_CARLO = {
  seed: '6d1e72ad03ddeb5de891e572e2396f8da015d899ef0e79503152d6010a3fe691',
  first: 'e93c330ae5447738c8aa85d71a6c80f2a58381d05872d26bdd39f1fcd4f2b788',
  last: '6a912ba4188391a78e6f13d88ed2d14e13afce9db6f7dcbf4a48c24f3db02778',
};
const CHECKPOINTS = 100;
const ROUNDS = 1000;

describe('SHA-256 in WebAssembly, against vectors of others', () => {
  let sha256: Sha256;

  before(async () => {
    sha256 = await createSha256();
  });

  const digestOf = (...pieces: readonly Uint8Array[]): Buffer => {
    sha256.reset();
    for (const piece of pieces) sha256.update(piece);
    return Buffer.from(sha256.digest());
  };

  for (const [name, bytes, digest] of examples) {
    it(`has the digest of NIST for ${name}`, () => {
      assert.equal(digestOf(bytes).toString('hex'), digest);
    });
  }

  it("comes through NIST's Monte Carlo test", () => {
    let seed: Buffer = Buffer.from(MONTE_CARLO.seed, 'hex');
    for (let checkpoint = 0; checkpoint < CHECKPOINTS; checkpoint++) {
      let last: Buffer[] = [seed, seed, seed];
      for (let round = 0; round < ROUNDS; round++) {
        last = [...last.slice(1), digestOf(...last)];
      }
      seed = last[2] ?? seed;
      if (checkpoint === 0) assert.equal(seed.toString('hex'), MONTE_CARLO.first);
    }
    assert.equal(seed.toString('hex'), MONTE_CARLO.last);
  });

  // The shape of Wycheproof's cases: one input, changed in one place at a time, never gives the same result.
  it('gives every input with one bit changed another digest', () => {
    const bytes = Buffer.alloc(150, 0x5a);
    const seen = new Set([digestOf(bytes).toString('hex')]);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const at = bit >> 3;
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit & 7)), at);
      seen.add(digestOf(bytes).toString('hex'));
      bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << (bit & 7)), at);
    }
    assert.equal(seen.size, 150 * 8 + 1);
  });
});
