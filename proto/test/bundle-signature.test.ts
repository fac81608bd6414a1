import assert from 'node:assert/strict';
import { createPrivateKey, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import type { BundleManifest, BundleSignature, TrustFile } from '../src/bundle.ts';
import { SIGNATURE_CONTEXT } from '../src/bundle.ts';
import { judgeFit } from '../src/bundle-fit.ts';
import {
  judgeEach,
  judgeSignatures,
  publicKeyOf,
  rawPublicKey,
  signManifest,
} from '../src/bundle-signature.ts';
import { canonicalJson, keyIdOf } from '../src/bundle-writer.ts';
import { KeelError } from '../src/errors.ts';

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;
const manifestBytes = Buffer.from('{"a":"manifest"}');
const manifest = { version: '1.2.3' } as BundleManifest;

/** Keys a to d; the end of each, in seconds from now, 0 for none. */
const KEYS: Readonly<Record<string, KeyObject>> = Object.fromEntries(
  ['a', 'b', 'c', 'd'].map((name) => [name, generateKeyPairSync('ed25519').privateKey]),
);

function keyOf(name: string): KeyObject {
  const key = KEYS[name];
  assert.ok(key);
  return key;
}

function trustOf(threshold: number, ends: Readonly<Record<string, number>>): TrustFile {
  const keys = Object.entries(ends).map(([name, notAfter]) => {
    const raw = rawPublicKey(keyOf(name));
    return { id: keyIdOf(raw), name, notAfter, publicKey: raw.toString('hex') };
  });
  return { format: 'keelos-trust/1', threshold, epoch: 1, keys };
}

const flipped = ({ keyId, signature }: BundleSignature): BundleSignature => ({
  keyId,
  signature: signature.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
});

/** Signatures by letter; a capital is a signature with a flipped bit. */
function signed(letters: string): BundleSignature[] {
  return [...letters].map((letter) => {
    const name = letter.toLowerCase();
    const right = signManifest(manifestBytes, keyOf(name));
    return letter === name ? right : flipped(right);
  });
}

describe('signatures of a bundle', () => {
  const past = NOW - 1;
  const cases: readonly (readonly [
    signatures: string,
    threshold: number,
    trust: Readonly<Record<string, number>>,
    expected: string,
  ])[] = [
    ['a', 1, { a: 0 }, 'a'],
    ['ab', 1, { a: 0, b: 0 }, 'a,b'],
    ['ab', 2, { a: 0, b: 0, c: 0 }, 'a,b'],
    ['ad', 1, { a: 0 }, 'a'],
    ['a', 1, { a: NOW }, 'a'],
    ['ab', 1, { a: past, b: 0 }, 'b'],
    ['a', 1, {}, 'E_NO_TRUST'],
    ['', 1, {}, 'E_NO_TRUST'],
    ['', 1, { a: 0 }, 'E_SIGNATURE_WRONG'],
    ['d', 1, { a: 0 }, 'E_SIGNATURE_WRONG'],
    ['A', 1, { a: 0 }, 'E_SIGNATURE_WRONG'],
    ['Ab', 1, { a: 0, b: 0 }, 'E_SIGNATURE_WRONG'],
    ['aD', 1, { a: 0 }, 'a'],
    ['a', 2, { a: 0, b: 0 }, 'E_SIGNATURES_TOO_FEW'],
    ['ad', 2, { a: 0, b: 0 }, 'E_SIGNATURES_TOO_FEW'],
    ['a', 2, { a: past, b: 0 }, 'E_SIGNATURES_TOO_FEW'],
    ['a', 1, { a: past }, 'E_KEY_EXPIRED'],
    ['ab', 2, { a: past, b: 0 }, 'E_KEY_EXPIRED'],
    ['A', 1, { a: past }, 'E_SIGNATURE_WRONG'],
  ];
  for (const [signatures, threshold, ends, expected] of cases) {
    it(`${signatures || 'none'}, ${threshold} of ${JSON.stringify(ends)}: ${expected}`, () => {
      const tail = { manifest, manifestBytes, signatures: signed(signatures) };
      const trust = trustOf(threshold, ends);
      if (expected.startsWith('E_')) {
        assert.throws(
          () => judgeSignatures({ tail, trust, nowMs: NOW_MS }),
          (error) => error instanceof KeelError && error.code === expected,
        );
        return;
      }
      const { signers } = judgeSignatures({ tail, trust, nowMs: NOW_MS });
      assert.equal(signers.join(), expected);
    });
  }

  it('ends with the second that it is given', () => {
    const tail = { manifestBytes, signatures: signed('a') };
    const trust = trustOf(1, { a: NOW });
    const verdictAt = (nowMs: number) => judgeEach({ tail, trust, nowMs })[0]?.verdict;
    assert.equal(verdictAt(NOW_MS), 'good');
    assert.equal(verdictAt(NOW_MS + 1), 'expired');
  });

  it('stands for the manifest with its context, and for no other bytes', () => {
    const [{ signature } = { signature: '' }] = signed('a');
    const key = publicKeyOf(rawPublicKey(keyOf('a')));
    const bytes = Buffer.from(signature, 'hex');
    const context = Buffer.from(SIGNATURE_CONTEXT);
    assert.equal(context.at(-1), 0);
    assert.ok(verify(null, Buffer.concat([context, manifestBytes]), key, bytes));
    assert.ok(!verify(null, manifestBytes, key, bytes));
    const trust = trustOf(1, { a: 0 });
    for (let bit = 0; bit < manifestBytes.length * 8; bit++) {
      const turned = Buffer.from(manifestBytes);
      turned.writeUInt8((turned[bit >> 3] ?? 0) ^ (1 << (bit & 7)), bit >> 3);
      const tail = { manifestBytes: turned, signatures: signed('a') };
      assert.equal(judgeEach({ tail, trust, nowMs: NOW_MS })[0]?.verdict, 'wrong');
    }
  });

  it('belongs to the public key that RFC 8032, section 7.1, test 2 has', () => {
    const seed = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';
    const head = '302e020100300506032b657004220420';
    const key = createPrivateKey({
      key: Buffer.from(head + seed, 'hex'),
      format: 'der',
      type: 'pkcs8',
    });
    assert.equal(
      rawPublicKey(key).toString('hex'),
      '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
    );
  });

  it('refuses keys of other kinds', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    assert.throws(() => signManifest(manifestBytes, privateKey), /it is ec, expected ed25519/);
  });
});

describe('fit of a bundle', () => {
  const whole = {
    version: '1.2.3',
    arch: 'x86_64',
    epoch: 3,
    root: { size: 8192 },
  } as BundleManifest;
  const cases = [
    [{}, ''],
    [{ arch: 'x86_64', epoch: 3, slotBytes: 8192 }, ''],
    [{ arch: 'aarch64' }, 'E_ARCH_MISMATCH'],
    [{ epoch: 4 }, 'E_EPOCH_TOO_LOW'],
    [{ epoch: 2 }, ''],
    [{ slotBytes: 8191 }, 'E_SLOT_TOO_SMALL'],
  ] as const;
  for (const [fit, code] of cases) {
    it(`${JSON.stringify(fit)}: ${code || 'fits'}`, () => {
      if (code === '') judgeFit(whole, fit);
      else assert.throws(() => judgeFit(whole, fit), { code });
    });
  }
});

describe('canonical JSON', () => {
  it('sorts keys at every depth and keeps lists', () => {
    assert.equal(canonicalJson({ b: [{ d: 1, c: 'x' }], a: 0 }), '{"a":0,"b":[{"c":"x","d":1}]}');
    assert.throws(() => canonicalJson({ a: 0.5 }), RangeError);
    assert.throws(() => canonicalJson({ a: 2 ** 53 }), RangeError);
  });
});
