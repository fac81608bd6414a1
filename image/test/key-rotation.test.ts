/** Keys are rotated by updates: each release is judged by the trust file of the one before it. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { makeTrust, rotateTrust, trustedKey } from '@keelos/image/core/trust.ts';
import type { BundleManifest, TrustedKey, TrustFile } from '@keelos/proto/bundle.ts';
import { judgeFit } from '@keelos/proto/bundle-fit.ts';
import { judgeSignatures, rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import { canonicalJson } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';

const NOW_MS = 1_800_000_000_000;
const NOW = NOW_MS / 1000;

interface Key {
  readonly secret: KeyObject;
  readonly trusted: TrustedKey;
}

function key(name: string, notAfter = 0): Key {
  const secret = generateKeyPairSync('ed25519').privateKey;
  return { secret, trusted: trustedKey({ name, notAfter, raw: rawPublicKey(secret) }) };
}

/** A release with a trust file inside, signed by some keys. */
interface Release {
  readonly trust: TrustFile;
  readonly signedBy: readonly Key[];
}

/** What a node that runs with `trust` says to a release. */
function verdict(trust: TrustFile, { trust: inside, signedBy }: Release): string {
  const manifest = { version: '1', epoch: inside.epoch } as BundleManifest;
  const manifestBytes = Buffer.from(canonicalJson(manifest));
  const signatures = signedBy.map(({ secret }) => signManifest(manifestBytes, secret));
  try {
    judgeSignatures({ tail: { manifest, manifestBytes, signatures }, trust, nowMs: NOW_MS });
    judgeFit(manifest, { epoch: trust.epoch });
    return 'taken';
  } catch (error) {
    if (error instanceof KeelError) return error.code;
    throw error;
  }
}

describe('rotation of keys', () => {
  const [first, next, thief] = [key('first'), key('next'), key('thief')] as const;
  const trust1 = makeTrust({ keys: [first.trusted], threshold: 1, epoch: 1 });
  const trust2 = rotateTrust(trust1, { add: [next.trusted], remove: [] });
  const trust3 = rotateTrust(trust2, { add: [], remove: ['first'], epoch: 2 });
  const ended = rotateTrust(trust2, {
    add: [{ ...first.trusted, notAfter: NOW - 1 }],
    remove: [],
  });
  const both = rotateTrust(trust2, { add: [], remove: [], threshold: 2 });

  const steps: readonly (readonly [name: string, TrustFile, Release, expected: string])[] = [
    ['the old key brings the next', trust1, { trust: trust2, signedBy: [first] }, 'taken'],
    [
      'the next key is not known yet',
      trust1,
      { trust: trust2, signedBy: [next] },
      'E_SIGNATURE_WRONG',
    ],
    [
      'a trust file inside counts for nothing',
      trust1,
      { trust: trust3, signedBy: [next] },
      'E_SIGNATURE_WRONG',
    ],
    ['either signs now', trust2, { trust: trust3, signedBy: [next] }, 'taken'],
    ['the old one is gone', trust3, { trust: trust3, signedBy: [first] }, 'E_SIGNATURE_WRONG'],
    ['the next one signs', trust3, { trust: trust3, signedBy: [next] }, 'taken'],
    [
      'an old release comes not back',
      trust3,
      { trust: trust2, signedBy: [next] },
      'E_EPOCH_TOO_LOW',
    ],
    ['a key that ended by an update', ended, { trust: ended, signedBy: [first] }, 'E_KEY_EXPIRED'],
    ['the other goes on', ended, { trust: ended, signedBy: [next] }, 'taken'],
    ['two are wanted from now on', both, { trust: both, signedBy: [next] }, 'E_SIGNATURES_TOO_FEW'],
    ['and two are there', both, { trust: both, signedBy: [next, first] }, 'taken'],
    ['a thief beside one', both, { trust: both, signedBy: [next, thief] }, 'E_SIGNATURES_TOO_FEW'],
    ['a thief alone', trust2, { trust: trust2, signedBy: [thief] }, 'E_SIGNATURE_WRONG'],
  ];
  for (const [name, running, release, expected] of steps) {
    it(`${name}: ${expected}`, () => assert.equal(verdict(running, release), expected));
  }
});
