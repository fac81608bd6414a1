/** Bundles for tests: their parts are zeros, their manifests and signatures are right. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { BundleManifest, TrustFile } from '@keelos/proto/bundle.ts';
import { rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest, encodeTail, encodeTrust, keyIdOf } from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';

/** A manifest whose parts are 3 blocks, the tree over them, and a kernel image of 1,000 bytes. */
export const MANIFEST: BundleManifest = {
  format: 'keelos-bundle/1',
  version: '1.2.3-rc.1+build_7',
  arch: 'x86_64',
  variant: 'standard',
  buildEpochSeconds: 1_793_491_200,
  epoch: 3,
  kernelVersion: '6.12.117',
  root: {
    offset: 0,
    size: 4 * 4096,
    sha256: 'ab'.repeat(32),
    dataBytes: 3 * 4096,
    rootHash: 'cd'.repeat(32),
    salt: 'ef'.repeat(32),
  },
  uki: { offset: 4 * 4096, size: 1000, sha256: '01'.repeat(32) },
};

/** A fresh private key. */
export function freshKey() {
  return generateKeyPairSync('ed25519').privateKey;
}

/** A bundle, signed by as many fresh keys as wanted. */
export function bundleOf(manifest: BundleManifest, signers: number): Buffer {
  const bytes = encodeManifest(manifest);
  const signatures = Array.from({ length: signers }, () => signManifest(bytes, freshKey()));
  const parts = Buffer.alloc(manifest.uki.offset + manifest.uki.size);
  parts.write('hsqs', 'latin1');
  return Buffer.concat([parts, encodeTail(manifest, signatures)]);
}

/** A trust file of fresh keys. */
export function trustOf(count: number): TrustFile {
  const keys = Array.from({ length: count }, (_, index) => {
    const raw = rawPublicKey(freshKey());
    const publicKey = raw.toString('hex');
    return { id: keyIdOf(raw), name: `key ${index}`, notAfter: index * 1000, publicKey };
  });
  const sorted = keys.sort((a, b) => (a.id < b.id ? -1 : 1));
  return { format: 'keelos-trust/1', threshold: Math.max(1, count - 1), epoch: 2, keys: sorted };
}

/** Its bytes. */
export function trustBytes(trust: TrustFile): Buffer {
  return encodeTrust(trust);
}

/** What a reader refuses: code of the error, reason and message; "accepted" when it does not. */
export function refusal(act: () => unknown): { code: string; reason: string; message: string } {
  try {
    act();
  } catch (error) {
    if (!(error instanceof KeelError)) throw error;
    assert.notEqual(error.details.reason, 'bundle-trap');
    return { code: error.code, reason: error.details.reason ?? '', message: error.message };
  }
  return { code: 'accepted', reason: '', message: '' };
}
