/** Names of the files of a built image. */
export const IMAGE_FILES = {
  disk: 'disk.img',
  root: 'root.squashfs',
  uki: 'keel.efi',
  manifest: 'manifest.json',
  sbom: 'sbom.spdx.json',
} as const;
