/** Every way to spoil a bundle, and the error that refuses it. */
import assert from 'node:assert/strict';
import { createHash, createPrivateKey } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeTrust } from '@keelos/image/core/trust.ts';
import { checkBundle } from '@keelos/image/shell/check-bundle.ts';
import { makeBundle } from '@keelos/image/shell/make-bundle.ts';
import { type KeyFiles, makeKeyFiles } from '@keelos/image/sys/key-files.ts';
import {
  type BundleManifest,
  FOOTER_BYTES,
  type TrustedKey,
  type TrustFile,
} from '@keelos/proto/bundle.ts';
import {
  BUNDLE_FAULTS,
  type BundleFault,
  type BundleFaultName,
} from '@keelos/proto/bundle-faults.data.ts';
import type { Fit } from '@keelos/proto/bundle-fit.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import {
  EMPTY_TRUST,
  encodeFooter,
  encodeManifest,
  encodeTail,
} from '@keelos/proto/bundle-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { makeSmallImage } from './small-image.ts';

const NOW_MS = 1_800_000_000_000;

/** A spoilt bundle, or a node that it is wrong for. */
interface Spoilt {
  readonly bytes?: Buffer;
  readonly trust?: TrustFile;
  readonly fit?: Fit;
}

describe('a spoilt bundle', function () {
  this.timeout(120_000);

  let dir = '';
  let good: Buffer;
  let manifest: BundleManifest;
  let trust: TrustFile;
  let keys: { readonly trusted: KeyFiles; readonly second: KeyFiles; readonly stranger: KeyFiles };

  before(async function () {
    this.timeout(300_000);
    dir = await mkdtemp(join(tmpdir(), 'keel-faults-'));
    const make = (name: string) => makeKeyFiles({ dir: join(dir, 'keys'), name, notAfter: 0 });
    keys = {
      trusted: await make('trusted'),
      second: await make('second'),
      stranger: await make('stranger'),
    };
    trust = trusting([keys.trusted.key, keys.second.key]);
    await makeSmallImage(join(dir, 'image'), { version: '1.2.3', trust });
    const made = await makeBundle({
      imageDir: join(dir, 'image'),
      keys: [keys.trusted.privatePath],
      out: dir,
    });
    manifest = made.manifest;
    good = await readFile(made.path);
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const trusting = (of: readonly TrustedKey[], threshold = 1) =>
    makeTrust({ keys: of, threshold, epoch: 1 });

  async function verdict({ bytes = good, trust: by = trust, fit }: Spoilt): Promise<string> {
    const path = join(dir, 'spoilt');
    await writeFile(path, bytes);
    const file = await open(path, 'r');
    try {
      await checkBundle(file, { trust: by, nowMs: NOW_MS, ...(fit === undefined ? {} : { fit }) });
      return 'accepted';
    } catch (error) {
      if (!(error instanceof KeelError)) throw error;
      return error.code;
    } finally {
      await file.close();
    }
  }

  const flippedAt = (offset: number, mask = 1): Spoilt => {
    const bytes = Buffer.from(good);
    bytes.writeUInt8((bytes[offset] ?? 0) ^ mask, offset);
    return { bytes };
  };
  /** First, last, and some between. */
  const flips = (from: number, to: number, count = 5): Spoilt[] =>
    Array.from({ length: count }, (_, index) =>
      flippedAt(from + Math.floor(((to - 1 - from) * index) / (count - 1)), 1 << (index % 8)),
    );
  const partsEnd = () => manifest.uki.offset + manifest.uki.size;
  const signaturesAt = () => partsEnd() + encodeManifest(manifest).length;

  /** The bundle with another manifest, signed as the good one is. */
  const remade = (change: Partial<BundleManifest>): Buffer => {
    const other = { ...manifest, ...change };
    return withTail(encodeTail(other, [signature(encodeManifest(other))]));
  };
  const withTail = (tail: Buffer) => Buffer.concat([good.subarray(0, partsEnd()), tail]);
  const privateKey = () => createPrivateKey(keyPem);
  let keyPem = '';
  before(async () => {
    keyPem = await readFile(keys.trusted.privatePath, 'utf8');
  });
  const signature = (bytes: Buffer) => signManifest(bytes, privateKey());
  /** The bundle with any text as its manifest, signed. */
  const withManifestText = (text: string): Spoilt => {
    const bytes = Buffer.from(text, 'latin1');
    const { keyId, signature: digits } = signature(bytes);
    const list = Buffer.from(`{"signatures":[{"keyId":"${keyId}","signature":"${digits}"}]}`);
    const footer = encodeFooter({
      manifestOffset: partsEnd(),
      manifestBytes: bytes.length,
      signaturesBytes: list.length,
    });
    return { bytes: withTail(Buffer.concat([bytes, list, footer])) };
  };
  const text = () => encodeManifest(manifest).toString('latin1');

  const SPOIL: Readonly<Record<BundleFaultName, () => Spoilt[]>> = {
    rootFlipped: () => flips(4, manifest.root.dataBytes, 8),
    treeFlipped: () => flips(manifest.root.dataBytes, manifest.root.size),
    ukiFlipped: () => flips(manifest.uki.offset, partsEnd(), 8),
    manifestFlipped: () => flips(partsEnd(), signaturesAt(), 40),
    signaturesFlipped: () => flips(signaturesAt(), good.length - FOOTER_BYTES, 40),
    footerFlipped: () => flips(good.length - FOOTER_BYTES, good.length, FOOTER_BYTES),
    unknownField: () => [withManifestText(text().replace('"epoch"', '"cpu":1,"epoch"'))],
    duplicateKey: () => [withManifestText(text().replace('"epoch"', '"epoch":1,"epoch"'))],
    otherFile: () => [
      { bytes: Buffer.from('<html>404</html>') },
      { bytes: Buffer.alloc(100_000) },
      flippedAt(0),
    ],
    truncated: () =>
      [0, 1, 5, 4096, manifest.root.size, partsEnd(), signaturesAt(), good.length - 1].map(
        (length) => ({ bytes: good.subarray(0, length) }),
      ),
    bytesBehind: () =>
      [1, 64, 4096].map((more) => ({ bytes: Buffer.concat([good, Buffer.alloc(more)]) })),
    hugePart: () => [
      withManifestText(text().replace(`"size":${manifest.uki.size}`, '"size":134217729')),
      withManifestText(text().replace(`"size":${manifest.root.size}`, '"size":4294971392')),
    ],
    unsigned: () => [{ bytes: withTail(encodeTail(manifest, [])) }],
    wrongKey: () => [{ trust: trusting([keys.stranger.key]) }],
    tooFew: () => [{ trust: trusting([keys.trusted.key, keys.second.key], 2) }],
    expired: () => [{ trust: trusting([{ ...keys.trusted.key, notAfter: NOW_MS / 1000 - 1 }]) }],
    noTrust: () => [{ trust: EMPTY_TRUST }],
    lowerEpoch: () => [{ trust: { ...trust, epoch: 2 } }],
    otherArch: () => [
      { fit: { arch: 'aarch64' } },
      { bytes: remade({ arch: 'aarch64' }), fit: { arch: 'x86_64' } },
    ],
    largerThanSlot: () => [{ fit: { slotBytes: manifest.root.size - 1 } }],
  };

  it('is refused, and the good one is not', async () => {
    assert.equal(await verdict({}), 'accepted');
    assert.equal(await verdict({ bytes: remade({ variant: 'other' }) }), 'accepted');
    const fit = { arch: 'x86_64', slotBytes: manifest.root.size } as const;
    assert.equal(await verdict({ fit }), 'accepted');
  });

  for (const [name, spoil] of Object.entries(SPOIL)) {
    const { fault, codes }: BundleFault = BUNDLE_FAULTS[name as BundleFaultName];
    it(`${fault}: ${codes.join(' or ')}`, async () => {
      const seen = new Set<string>();
      for (const spoilt of spoil()) {
        const code = await verdict(spoilt);
        assert.ok((codes as readonly string[]).includes(code), `${code}, expected ${codes.join()}`);
        seen.add(code);
      }
      assert.ok(seen.size > 0);
    });
  }

  it('has a kernel image that starts another root', async () => {
    const at = good.indexOf('keel.slot-hash=', manifest.uki.offset, 'latin1');
    const table = good.indexOf(manifest.root.rootHash, manifest.uki.offset, 'latin1');
    assert.ok(table > 0 && table < at);
    const bytes = Buffer.from(good);
    bytes.write(bytes[table] === 0x30 ? '1' : '0', table, 'latin1');
    const part = bytes.subarray(manifest.uki.offset, partsEnd());
    const uki = { ...manifest.uki, sha256: createHash('sha256').update(part).digest('hex') };
    const other = { ...manifest, uki };
    const tail = encodeTail(other, [signature(encodeManifest(other))]);
    const spoilt = Buffer.concat([bytes.subarray(0, partsEnd()), tail]);
    assert.equal(await verdict({ bytes: spoilt }), 'E_BUNDLE_DAMAGED');
  });
});
