/** A tiny image in a folder, as keel-image build leaves it: a few files, and some EFI program as its kernel. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { kernelCommandLine } from '@keelos/image/core/command-line.ts';
import { freshTable } from '@keelos/image/core/disk.ts';
import {
  type ImageManifest,
  imageManifest,
  manifestText,
} from '@keelos/image/core/image-manifest.ts';
import { ROOT_FORMAT } from '@keelos/image/core/rootfs-entries.ts';
import { buildUki } from '@keelos/image/core/uki.ts';
import { IMAGE_FILES } from '@keelos/image/shell/image-files.ts';
import { writeSquashfs } from '@keelos/image/shell/squashfs.ts';
import { fetchDebianParts, unpackDeb } from '@keelos/image/sys/debian-parts.ts';
import { appendHashTree } from '@keelos/image/sys/verity.ts';
import type { TrustFile } from '@keelos/proto/bundle.ts';
import { EMPTY_TRUST } from '@keelos/proto/bundle-writer.ts';

const EFI_DIR = 'usr/lib/systemd/boot/efi';
const EPOCH_SECONDS = 1_793_491_200;
/** Noise does not compress: some blocks of data, and so a hash tree of two levels. */
const NOISE_BYTES = 700_000;

/** Writes the files of {@link IMAGE_FILES} that a bundle is made of to `dir`. */
export async function makeSmallImage(
  dir: string,
  of: { readonly version: string; readonly trust: TrustFile },
): Promise<ImageManifest> {
  const { version, trust } = of;
  await mkdir(dir, { recursive: true });
  const { debs } = await fetchDebianParts();
  const unpacked = join(dir, 'debs');
  await unpackDeb(debs['systemd-boot-efi']?.file ?? '', unpacked);
  const stub = await readFile(join(unpacked, EFI_DIR, 'linuxx64.efi.stub'));
  const kernel = await readFile(join(unpacked, EFI_DIR, 'systemd-bootx64.efi'));
  const { image: root, verity } = await appendHashTree(await smallRoot(version));
  const uki = buildUki({
    stub,
    kernel,
    commandLine: kernelCommandLine(verity),
    osRelease: `VERSION_ID=${version}\n`,
    kernelRelease: '6.12.0',
  });
  const none = Buffer.alloc(0);
  const manifest = imageManifest({
    version,
    epochSeconds: EPOCH_SECONDS,
    verity,
    trust,
    channelTrust: EMPTY_TRUST,
    tools: {},
    substituted: [],
    table: freshTable(verity.rootHash),
    kernelVersion: '6.12.0',
    keel: none,
    parts: { root, uki, kernel, sbom: none },
    disk: { sha256: '' },
  });
  await writeFile(join(dir, IMAGE_FILES.root), root);
  await writeFile(join(dir, IMAGE_FILES.uki), uki);
  await writeFile(join(dir, IMAGE_FILES.manifest), manifestText(manifest));
  return manifest;
}

async function smallRoot(version: string): Promise<Buffer> {
  const noise = Buffer.alloc(NOISE_BYTES);
  for (let at = 0, state = 1; at < NOISE_BYTES; at += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    noise.writeUInt32LE(state, at);
  }
  const file = (path: string, contents: Buffer) =>
    ({ type: 'file', path, mode: 0o644, contents }) as const;
  const tree = [
    { type: 'directory', path: '/etc', mode: 0o755 } as const,
    file('/etc/version', Buffer.from(version)),
    file('/noise', noise),
  ];
  const workers = new CoreWorkers(1);
  try {
    return await writeSquashfs({ tree, ...ROOT_FORMAT, epochSeconds: EPOCH_SECONDS, workers });
  } finally {
    await workers.close();
  }
}
