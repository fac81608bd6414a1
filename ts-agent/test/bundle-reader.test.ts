/** Bundles and trust files are read by a child process, and what it says is what the module says. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { type BundleManifest, FOOTER_BYTES } from '@keelos/proto/bundle.ts';
import { judgeSignatures, rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import {
  EMPTY_TRUST,
  encodeManifest,
  encodeTail,
  encodeTrust,
  keyIdOf,
} from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { bundleReader } from '@keelos/ts-agent/sys/bundle-reader.ts';

const program = {
  executable: process.execPath,
  argv0: 'keel-verifier',
  args: [fileURLToPath(new URL('run-verifier.ts', import.meta.url))],
};
const { readBundle, readTrust } = bundleReader({ program, log: () => {} });

const HASH = 'ab'.repeat(32);
const MANIFEST: BundleManifest = {
  format: 'keelos-bundle/1',
  version: '1.2.3',
  arch: 'x86_64',
  variant: 'standard',
  buildEpochSeconds: 1_793_491_200,
  epoch: 1,
  kernelVersion: '6.12.117',
  root: { offset: 0, size: 4096, sha256: HASH, dataBytes: 4096, rootHash: HASH, salt: '' },
  uki: { offset: 4096, size: 90_000, sha256: HASH },
};

describe('reading of bundles in a process', function () {
  this.timeout(60_000);

  const { privateKey } = generateKeyPairSync('ed25519');
  const raw = rawPublicKey(privateKey);
  const key = { id: keyIdOf(raw), name: 'one', notAfter: 0, publicKey: raw.toString('hex') };
  const trust = { ...EMPTY_TRUST, keys: [key] };
  const signature = signManifest(encodeManifest(MANIFEST), privateKey);
  const bundle = Buffer.concat([Buffer.alloc(94_096, 'hsqs'), encodeTail(MANIFEST, [signature])]);
  const tail = bundle.subarray(-81_984);

  it('gives the manifest, its bytes and the signatures, which then are judged', async () => {
    const read = await readBundle(tail, bundle.length);
    assert.deepEqual(read.manifest, MANIFEST);
    assert.deepEqual(Buffer.from(read.manifestBytes), encodeManifest(MANIFEST));
    assert.match(read.manifestSha256, /^[0-9a-f]{64}$/);
    assert.deepEqual(read.signatures, [signature]);
    assert.deepEqual(await readTrust(encodeTrust(trust)), trust);
    assert.deepEqual(judgeSignatures({ tail: read, trust, nowMs: 0 }), { signers: ['one'] });
  });

  it('passes refusals on with their codes', async () => {
    const cut = bundle.subarray(0, -FOOTER_BYTES);
    const longer = Buffer.concat([bundle, Buffer.alloc(10)]);
    for (const [bytes, code] of [
      [cut, 'E_BUNDLE_TRUNCATED'],
      [longer, 'E_BUNDLE_OVERSIZE'],
    ] as const) {
      const found = await readBundle(bytes.subarray(-81_984), bytes.length).catch((error) => error);
      assert.ok(found instanceof KeelError, String(found));
      assert.equal(found.code, code);
    }
    const broken = await readTrust(Buffer.from('{}')).catch((error) => error);
    assert.ok(broken instanceof KeelError && broken.code === 'E_IMAGE_INVALID', String(broken));
  });

  it('ends when its caller gives up', async () => {
    const stop = new AbortController();
    const reading = readBundle(tail, bundle.length, stop.signal);
    stop.abort(new Error('enough'));
    await assert.rejects(reading, /enough/);
  });
});
