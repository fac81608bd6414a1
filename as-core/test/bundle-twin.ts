/** The reader of bundles a second time, by regular expressions: what it says is compared with the module. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { BundleTail } from '@keelos/proto/bundle.ts';
import { FOOTER_BYTES, MANIFEST_BYTES_MAX, SIGNATURES_BYTES_MAX } from '@keelos/proto/bundle.ts';

/** What is wrong, as the error table has it. */
export type Refusal = 'E_BUNDLE_MALFORMED' | 'E_BUNDLE_TRUNCATED' | 'E_BUNDLE_OVERSIZE';

const NUMBER = '(0|[1-9]\\d{0,15})';
const NAME = '"([A-Za-z0-9.+_-]{1,64})"';
const HASH = '"([0-9a-f]{64})"';
const MANIFEST = new RegExp(
  `^{"arch":"(x86_64|aarch64)","buildEpochSeconds":${NUMBER},"epoch":${NUMBER},` +
    `"format":"keelos-bundle/1","kernelVersion":${NAME},"root":{"dataBytes":${NUMBER},` +
    `"offset":${NUMBER},"rootHash":${HASH},"salt":"((?:[0-9a-f]{2}){0,256})","sha256":${HASH},` +
    `"size":${NUMBER}},"uki":{"offset":${NUMBER},"sha256":${HASH},"size":${NUMBER}},` +
    `"variant":${NAME},"version":${NAME}}$`,
);
const SIGNATURE = '{"keyId":"([0-9a-f]{16})","signature":"([0-9a-f]{128})"}';
const SIGNATURES = new RegExp(`^{"signatures":\\[(?:${SIGNATURE}(?:,${SIGNATURE}){0,15})?\\]}$`);
const MAGIC = 'KEELBNDL';

/** What the module must make of the last bytes of a bundle. */
export function readTailTwin(tail: Buffer, size: number): BundleTail | Refusal {
  const footer = footerTwin(tail, size);
  if (typeof footer === 'string') return footer;
  const signaturesAt = tail.length - FOOTER_BYTES - footer.signaturesBytes;
  const manifestBytes = tail.subarray(signaturesAt - footer.manifestBytes, signaturesAt);
  const manifest = manifestTwin(manifestBytes.toString('latin1'), footer.manifestOffset);
  if (typeof manifest === 'string') return manifest;
  const text = tail.toString('latin1', signaturesAt, tail.length - FOOTER_BYTES);
  if (!SIGNATURES.test(text)) return 'E_BUNDLE_MALFORMED';
  const signatures: BundleTail['signatures'] = JSON.parse(text).signatures;
  const ids = signatures.map(({ keyId }) => keyId);
  if (ids.join() !== [...new Set(ids)].sort().join()) return 'E_BUNDLE_MALFORMED';
  const manifestSha256 = createHash('sha256').update(manifestBytes).digest('hex');
  return { manifest, manifestBytes, manifestSha256, signatures };
}

function footerTwin(tail: Buffer, size: number) {
  const isOther = tail.length >= 4 && tail.toString('latin1', 0, 4) !== 'hsqs';
  const none = tail.length === size && isOther ? 'E_BUNDLE_MALFORMED' : 'E_BUNDLE_TRUNCATED';
  if (tail.length < FOOTER_BYTES) return none;
  const footer = tail.subarray(-FOOTER_BYTES);
  const isNamed = footer.toString('latin1', 0, 8) === MAGIC;
  const bundleBytes = footer.readBigUInt64LE(16);
  if (!isNamed && bundleBytes !== BigInt(size)) {
    for (let at = tail.indexOf(MAGIC); at >= 0; at = tail.indexOf(MAGIC, at + 1)) {
      if (at + FOOTER_BYTES < tail.length && isSound(tail.subarray(at))) return 'E_BUNDLE_OVERSIZE';
    }
    return none;
  }
  const isZero =
    footer.readUInt32LE(12) === 0 && footer.subarray(40, 60).every((byte) => byte === 0);
  const isKnown = footer.readUInt32LE(8) === 1;
  if (!isNamed || !isSound(footer) || !isZero || !isKnown) return 'E_BUNDLE_MALFORMED';
  if (bundleBytes > size) return 'E_BUNDLE_TRUNCATED';
  if (bundleBytes < size) return 'E_BUNDLE_OVERSIZE';
  const manifestBytes = footer.readUInt32LE(32);
  const signaturesBytes = footer.readUInt32LE(36);
  if (manifestBytes > MANIFEST_BYTES_MAX || signaturesBytes > SIGNATURES_BYTES_MAX) {
    return 'E_BUNDLE_OVERSIZE';
  }
  const manifestOffset = footer.readBigUInt64LE(24);
  const expected = BigInt(size) - BigInt(manifestBytes + signaturesBytes + FOOTER_BYTES);
  if (expected < 0n || manifestOffset !== expected) return 'E_BUNDLE_MALFORMED';
  return { manifestBytes, signaturesBytes, manifestOffset: Number(manifestOffset) };
}

function isSound(footer: Buffer): boolean {
  return crc32(footer.subarray(0, 60)) === footer.readUInt32LE(60);
}

function manifestTwin(text: string, end: number): BundleTail['manifest'] | Refusal {
  if (!MANIFEST.test(text)) return 'E_BUNDLE_MALFORMED';
  const manifest: BundleTail['manifest'] = JSON.parse(text);
  const { root, uki, epoch, buildEpochSeconds } = manifest;
  for (const value of [root.dataBytes, root.offset, root.size, uki.offset, uki.size]) {
    if (!Number.isSafeInteger(value)) return 'E_BUNDLE_MALFORMED';
  }
  const isTimely = buildEpochSeconds <= 253_402_300_799 && epoch >= 1 && epoch < 2 ** 31;
  if (!isTimely) return 'E_BUNDLE_MALFORMED';
  if (root.size > 2 ** 32 || uki.size > 2 ** 27) return 'E_BUNDLE_OVERSIZE';
  const levels = [root.dataBytes / 4096];
  while ((levels.at(-1) ?? 0) > 1) levels.push(Math.ceil((levels.at(-1) ?? 0) / 128));
  const blocks = levels.reduce((sum, count) => sum + count, 0);
  const isPlaced = [
    root.dataBytes > 0 && root.dataBytes % 4096 === 0,
    root.size === blocks * 4096,
    root.offset === 0 && uki.offset === root.size && uki.size > 0,
    root.size + uki.size === end,
  ].every(Boolean);
  return isPlaced ? manifest : 'E_BUNDLE_MALFORMED';
}
