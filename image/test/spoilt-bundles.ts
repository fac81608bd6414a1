/** A good bundle, and every way to spoil it: the rows of BUNDLE_FAULTS (proto). */
import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTrust } from '@keelos/image/core/trust.ts';
import { makeBundle } from '@keelos/image/shell/make-bundle.ts';
import { makeKeyFiles } from '@keelos/image/sys/key-files.ts';
import {
  type BundleManifest,
  FOOTER_BYTES,
  type TrustedKey,
  type TrustFile,
} from '@keelos/proto/bundle.ts';
import type { BundleFaultName } from '@keelos/proto/bundle-faults.data.ts';
import type { Fit } from '@keelos/proto/bundle-fit.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import {
  EMPTY_TRUST,
  encodeFooter,
  encodeManifest,
  encodeTail,
} from '@keelos/proto/bundle-writer.ts';
import { makeSmallImage } from './small-image.ts';

/** Time at which the bundles are judged: Unix milliseconds. */
export const NOW_MS = 1_800_000_000_000;

/** A spoilt bundle, or a node that it is wrong for. */
export interface Spoilt {
  readonly bytes?: Buffer;
  readonly trust?: TrustFile;
  readonly fit?: Fit;
}

const trusting = (keys: readonly TrustedKey[], threshold = 1) =>
  makeTrust({ keys, threshold, epoch: 1 });

/** A small bundle that its own trust file accepts. */
export class SpoiltBundles {
  readonly good: Buffer;
  readonly manifest: BundleManifest;
  readonly trust: TrustFile;
  readonly #keys: { readonly trusted: TrustedKey; readonly stranger: TrustedKey };
  readonly #second: TrustedKey;
  readonly #privateKey: KeyObject;

  private constructor(of: {
    good: Buffer;
    manifest: BundleManifest;
    keys: { trusted: TrustedKey; second: TrustedKey; stranger: TrustedKey };
    privateKey: KeyObject;
  }) {
    const { trusted, second, stranger } = of.keys;
    this.good = of.good;
    this.manifest = of.manifest;
    this.trust = trusting([trusted, second]);
    this.#keys = { trusted, stranger };
    this.#second = second;
    this.#privateKey = of.privateKey;
  }

  /** Makes keys, image and bundle in a folder. */
  static async make(dir: string): Promise<SpoiltBundles> {
    const make = (name: string) => makeKeyFiles({ dir: join(dir, 'keys'), name, notAfter: 0 });
    const trusted = await make('trusted');
    const [second, stranger] = [(await make('second')).key, (await make('stranger')).key];
    const trust = trusting([trusted.key, second]);
    await makeSmallImage(join(dir, 'image'), { version: '1.2.3', trust });
    const made = await makeBundle({
      imageDir: join(dir, 'image'),
      keys: [trusted.privatePath],
      out: dir,
    });
    return new SpoiltBundles({
      good: await readFile(made.path),
      manifest: made.manifest,
      keys: { trusted: trusted.key, second, stranger },
      privateKey: createPrivateKey(await readFile(trusted.privatePath, 'utf8')),
    });
  }

  /** For each row what makes its bundles. */
  get rows(): Readonly<Record<BundleFaultName, () => Spoilt[]>> {
    const { good, manifest, trust } = this;
    const { trusted, stranger } = this.#keys;
    const second = this.#second;
    const flips = (from: number, to: number, count?: number) => this.#flips(from, to, count);
    const text = () => encodeManifest(manifest).toString('latin1');
    const [partsEnd, signaturesAt] = [this.#partsEnd, this.#signaturesAt];
    return {
      rootFlipped: () => flips(0, manifest.root.dataBytes, 8),
      treeFlipped: () => flips(manifest.root.dataBytes, manifest.root.size),
      ukiFlipped: () => flips(manifest.uki.offset, partsEnd, 8),
      manifestFlipped: () => flips(partsEnd, signaturesAt, 40),
      signaturesFlipped: () => flips(signaturesAt, good.length - FOOTER_BYTES, 40),
      footerFlipped: () => flips(good.length - FOOTER_BYTES, good.length, FOOTER_BYTES),
      unknownField: () => [this.#withManifestText(text().replace('"epoch"', '"cpu":1,"epoch"'))],
      duplicateKey: () => [this.#withManifestText(text().replace('"epoch"', '"epoch":1,"epoch"'))],
      otherFile: () => [
        { bytes: Buffer.from('<html>404</html>') },
        { bytes: Buffer.alloc(100_000) },
      ],
      truncated: () =>
        [0, 1, 5, 4096, manifest.root.size, partsEnd, signaturesAt, good.length - 1].map(
          (length) => ({ bytes: good.subarray(0, length) }),
        ),
      bytesBehind: () =>
        [1, 64, 4096].map((more) => ({ bytes: Buffer.concat([good, Buffer.alloc(more)]) })),
      hugePart: () => [
        this.#withManifestText(text().replace(`"size":${manifest.uki.size}`, '"size":134217729')),
        this.#withManifestText(text().replace(`"size":${manifest.root.size}`, '"size":4294971392')),
      ],
      unsigned: () => [{ bytes: this.#withTail(encodeTail(manifest, [])) }],
      wrongKey: () => [{ trust: trusting([stranger]) }],
      tooFew: () => [{ trust: trusting([trusted, second], 2) }],
      expired: () => [{ trust: trusting([{ ...trusted, notAfter: NOW_MS / 1000 - 1 }]) }],
      noTrust: () => [{ trust: EMPTY_TRUST }],
      lowerEpoch: () => [{ trust: { ...trust, epoch: 2 } }],
      otherArch: () => [
        { fit: { arch: 'aarch64' } },
        { bytes: this.remade({ arch: 'aarch64' }), fit: { arch: 'x86_64' } },
      ],
      otherRoot: () => [this.#withOtherRoot()],
      largerThanSlot: () => [{ fit: { slotBytes: manifest.root.size - 1 } }],
    };
  }

  /** The bundle with another manifest, signed as the good one is. */
  remade(change: Partial<BundleManifest>): Buffer {
    const other = { ...this.manifest, ...change };
    return this.#withTail(encodeTail(other, [this.#signature(encodeManifest(other))]));
  }

  get #partsEnd(): number {
    return this.manifest.uki.offset + this.manifest.uki.size;
  }

  get #signaturesAt(): number {
    return this.#partsEnd + encodeManifest(this.manifest).length;
  }

  #flippedAt(offset: number, mask = 1): Spoilt {
    const bytes = Buffer.from(this.good);
    bytes.writeUInt8((bytes[offset] ?? 0) ^ mask, offset);
    return { bytes };
  }

  /** First, last, and some between. */
  #flips(from: number, to: number, count = 5): Spoilt[] {
    return Array.from({ length: count }, (_, index) =>
      this.#flippedAt(from + Math.floor(((to - 1 - from) * index) / (count - 1)), 1 << (index % 8)),
    );
  }

  #withTail(tail: Buffer): Buffer {
    return Buffer.concat([this.good.subarray(0, this.#partsEnd), tail]);
  }

  #signature(bytes: Buffer) {
    return signManifest(bytes, this.#privateKey);
  }

  /** The bundle with any text as its manifest, signed. */
  #withManifestText(text: string): Spoilt {
    const bytes = Buffer.from(text, 'latin1');
    const { keyId, signature: digits } = this.#signature(bytes);
    const list = Buffer.from(`{"signatures":[{"keyId":"${keyId}","signature":"${digits}"}]}`);
    const footer = encodeFooter({
      manifestOffset: this.#partsEnd,
      manifestBytes: bytes.length,
      signaturesBytes: list.length,
    });
    return { bytes: this.#withTail(Buffer.concat([bytes, list, footer])) };
  }

  /** Signed by a trusted key, and its kernel image names a root that is not the bundle's. */
  #withOtherRoot(): Spoilt {
    const { good, manifest } = this;
    const bytes = Buffer.from(good);
    const table = good.indexOf(manifest.root.rootHash, manifest.uki.offset, 'latin1');
    if (table < 0) throw new Error('the kernel image does not name its root');
    bytes.write(bytes[table] === 0x30 ? '1' : '0', table, 'latin1');
    const part = bytes.subarray(manifest.uki.offset, this.#partsEnd);
    const uki = { ...manifest.uki, sha256: createHash('sha256').update(part).digest('hex') };
    const other = { ...manifest, uki };
    const tail = encodeTail(other, [this.#signature(encodeManifest(other))]);
    return { bytes: Buffer.concat([bytes.subarray(0, this.#partsEnd), tail]) };
  }
}
