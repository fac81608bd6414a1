/**
 * Bytes of each part of the image, from its manifest.
 */
import { findBuiltNode } from '../scripts/lib/node-image.mjs';
import { type Figure, figure } from './report.ts';

/** One figure a part. Sizes do not vary, so there is one run. */
export async function size(): Promise<Figure[]> {
  const { manifest } = await findBuiltNode();
  const { root, uki, kernel, keel, disk } = manifest.parts;
  const parts = {
    'root-compressed': root.dataBytes,
    'root-hash-tree': root.hashBytes,
    kernel: kernel.sizeBytes,
    uki: uki.sizeBytes,
    'keel-executable': keel.sizeBytes,
    'disk-apparent': disk.sizeBytes,
  };
  return Object.entries(parts).map(([name, value]) =>
    figure({ bench: 'size', name, unit: 'bytes', better: 'lower', values: [value] }),
  );
}
