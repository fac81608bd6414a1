/** The manifest of a bundle from that of an image. Pure. */
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import type { ImageManifest } from './image-manifest.ts';

/** What a bundle of this image says. */
export function bundleManifest(image: ImageManifest): BundleManifest {
  const { root, uki } = image.parts;
  return {
    format: 'keelos-bundle/1',
    version: image.version,
    arch: image.arch,
    variant: image.variant,
    buildEpochSeconds: image.buildEpochSeconds,
    epoch: image.trust.epoch,
    kernelVersion: image.kernelVersion,
    root: {
      offset: 0,
      size: root.sizeBytes,
      sha256: root.sha256,
      dataBytes: root.dataBytes,
      rootHash: image.rootHash,
      salt: image.salt,
    },
    uki: { offset: root.sizeBytes, size: uki.sizeBytes, sha256: uki.sha256 },
  };
}
