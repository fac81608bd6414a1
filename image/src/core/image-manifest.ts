/**
 * manifest.json of an image: what was built, out of what, with which hashes. Equal images have equal text.
 */
import { createHash } from 'node:crypto';
import type { TrustFile } from '@keelos/proto/bundle.ts';
import type { Gpt } from '@keelos/proto/gpt.ts';
import { partitionBytes, SECTOR_BYTES } from '@keelos/proto/gpt.ts';
import { slotGuid } from '@keelos/proto/guid.ts';
import type { VerityFacts } from './command-line.ts';
import { kernelCommandLine } from './command-line.ts';

/** What sort of image it is; there is one so far. */
const VARIANT = 'standard';

/** Size and hash of one part. */
export interface PartFacts {
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** manifest.json. */
export interface ImageManifest {
  readonly format: 'keelos-image/1';
  readonly version: string;
  readonly arch: 'x86_64';
  readonly variant: string;
  readonly buildEpochSeconds: number;
  readonly rootHash: string;
  readonly salt: string;
  /** GUID that the partition with this root must have. */
  readonly slotGuid: string;
  readonly commandLine: string;
  readonly kernelVersion: string;
  /** Keys whose updates a node with this image takes. */
  readonly trust: {
    /** Security epoch of the image, and the lowest that it takes. */
    readonly epoch: number;
    readonly threshold: number;
    /** Their ids. */
    readonly keys: readonly string[];
  };
  /** Keys whose channels it may follow. */
  readonly channelTrust: {
    readonly threshold: number;
    /** Their ids. */
    readonly keys: readonly string[];
  };
  readonly parts: {
    readonly disk: PartFacts;
    /** Root file system with hash tree. */
    readonly root: PartFacts & { readonly dataBytes: number; readonly hashBytes: number };
    readonly uki: PartFacts;
    readonly kernel: PartFacts;
    /** The executable, as it is in the root file system. */
    readonly keel: PartFacts;
    readonly sbom: PartFacts;
  };
  readonly partitions: readonly {
    readonly number: number;
    readonly name: string;
    readonly offsetBytes: number;
    readonly sizeBytes: number;
  }[];
  /** Tool to version: another version may make other bytes. */
  readonly tools: Readonly<Record<string, string>>;
  /** Packages that the mirror no longer had in the locked version. */
  readonly substituted: readonly {
    readonly name: string;
    readonly locked: string;
    readonly taken: string;
  }[];
}

function partFacts(bytes: Uint8Array): PartFacts {
  return { sizeBytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}

/** What a manifest is made of. */
export interface ManifestInput {
  readonly version: string;
  readonly epochSeconds: number;
  readonly verity: VerityFacts;
  readonly table: Gpt;
  readonly kernelVersion: string;
  readonly trust: TrustFile;
  readonly channelTrust: TrustFile;
  readonly tools: Readonly<Record<string, string>>;
  readonly substituted: ImageManifest['substituted'];
  readonly parts: Readonly<Record<'root' | 'uki' | 'kernel' | 'sbom', Uint8Array>>;
  readonly keel: Uint8Array;
  readonly disk: { readonly sha256: string };
}

/** The manifest of a built image. */
export function imageManifest(input: ManifestInput): ImageManifest {
  const { verity, parts, table } = input;
  const hashBytes = parts.root.length - verity.dataBytes;
  return {
    format: 'keelos-image/1',
    version: input.version,
    arch: 'x86_64',
    variant: VARIANT,
    buildEpochSeconds: input.epochSeconds,
    rootHash: verity.rootHash,
    salt: verity.salt,
    slotGuid: slotGuid(verity.rootHash),
    commandLine: kernelCommandLine(verity),
    kernelVersion: input.kernelVersion,
    trust: {
      epoch: input.trust.epoch,
      threshold: input.trust.threshold,
      keys: input.trust.keys.map(({ id }) => id),
    },
    channelTrust: {
      threshold: input.channelTrust.threshold,
      keys: input.channelTrust.keys.map(({ id }) => id),
    },
    parts: {
      disk: { sizeBytes: table.diskSectors * SECTOR_BYTES, sha256: input.disk.sha256 },
      root: { ...partFacts(parts.root), dataBytes: verity.dataBytes, hashBytes },
      uki: partFacts(parts.uki),
      kernel: partFacts(parts.kernel),
      keel: partFacts(input.keel),
      sbom: partFacts(parts.sbom),
    },
    partitions: table.partitions.map((partition) => ({
      number: partition.number,
      name: partition.name,
      offsetBytes: partition.firstLba * SECTOR_BYTES,
      sizeBytes: partitionBytes(partition),
    })),
    tools: input.tools,
    substituted: input.substituted,
  };
}

/** Text of manifest.json. */
export function manifestText(manifest: ImageManifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}
