/** Writes the plan of a delta, and what stands behind its parts. Equal values give equal bytes. Pure. */
import type { BundleSignature } from './bundle.ts';
import {
  canonicalJson,
  encodeFooter,
  encodeSignatures,
  type FooterPlaces,
} from './bundle-writer.ts';
import {
  DELTA_FORMAT_VERSION,
  DELTA_MAGIC,
  type DeltaManifest,
  PlanKind,
  type PlanStep,
} from './delta.ts';

/** Content of a full metadata block. */
export const METADATA_BLOCK_BYTES = 8192;

/** Bytes of a manifest: what is signed. */
export function encodeDeltaManifest(manifest: DeltaManifest): Buffer {
  return Buffer.from(canonicalJson(manifest), 'latin1');
}

/** All that stands behind the parts, which end at `partsEnd`: manifest, signatures, footer. */
export function encodeDeltaTail(
  manifest: DeltaManifest,
  signatures: readonly BundleSignature[],
): Buffer {
  const { offset, size } = manifest.parts.targetSignatures;
  const manifestBytes = encodeDeltaManifest(manifest);
  const signatureBytes = encodeSignatures(signatures);
  const footer = encodeDeltaFooter({
    manifestOffset: offset + size,
    manifestBytes: manifestBytes.length,
    signaturesBytes: signatureBytes.length,
  });
  return Buffer.concat([manifestBytes, signatureBytes, footer]);
}

/** The footer: the fields of a bundle's, under another name. */
export function encodeDeltaFooter(places: FooterPlaces): Buffer {
  return encodeFooter(places, { magic: DELTA_MAGIC, version: DELTA_FORMAT_VERSION });
}

/** A varint: 7 bits a byte, the lowest first. @throws RangeError for what is no whole number from 0 */
export function encodeVarint(value: number): number[] {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`Cannot write ${value}`);
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  return [...bytes, left];
}

/** The part `plan`. */
export function encodePlan(
  steps: readonly PlanStep[],
  { blockBytes }: Pick<DeltaManifest, 'blockBytes'>,
): Buffer {
  const parts: Buffer[] = [];
  let copyEnd = 0;
  for (const step of steps) {
    const fields: number[] = [PlanKind[step.kind]];
    const put = (value: number) => void fields.push(...encodeVarint(value));
    if (step.kind === 'copy') {
      put(step.bytes);
      put(zigzag(step.from - copyEnd));
      copyEnd = step.from + step.bytes;
    } else if (step.kind === 'data') {
      put(step.blocks.length);
      put(step.bytes);
      for (const block of step.blocks) put(blockBytes - block);
    } else if (step.kind === 'kernel') {
      put(step.bytes);
      put(step.unpackedBytes);
    } else if (step.kind === 'metadata') {
      put(step.blocks.length);
      put(step.bytes);
      put(METADATA_BLOCK_BYTES - (step.blocks.at(-1) ?? 0));
    } else {
      put(step.bytes);
    }
    const check = Buffer.alloc(4);
    check.writeUInt32LE(step.crc32);
    parts.push(Buffer.from(fields), check);
  }
  return Buffer.concat(parts);
}

/** Forward 2n, back 2n - 1. */
function zigzag(difference: number): number {
  return difference >= 0 ? difference * 2 : -difference * 2 - 1;
}
