/**
 * Which root a slot must hold, and what the verification of it means.
 */

import type { FileSystemFindings } from '@keelos/as-core/verify-squashfs-job.ts';
import { treeShape } from '@keelos/as-core/verity-tree.ts';
import { rootHashOver, VERITY_BLOCK_BYTES, type VerityTable } from '@keelos/proto/verity-table.ts';

/** Where the root hash and the salt of a slot come from. */
export type RootSource = 'command-line' | 'boot-entry' | 'contents';

/** A root that is known by its verity table. */
export interface KnownRoot {
  readonly table: VerityTable;
  readonly source: RootSource;
}

/** First 128 bits of the root hash that a slot's partition GUID names: 32 hexadecimal digits; empty without a GUID. */
export function rootHashStart(guid: string): string {
  return guid.replaceAll('-', '');
}

/** The known root that the GUID of a partition names. */
export function rootOfGuid(guid: string, known: readonly KnownRoot[]): KnownRoot | undefined {
  const start = rootHashStart(guid);
  return start === '' ? undefined : known.find(({ table }) => table.rootHash.startsWith(start));
}

/** True when `topBlock`, read where the tree of `root` has its top, leads to its root hash. */
export function isTopOf(root: KnownRoot, topBlock: Uint8Array): boolean {
  return rootHashOver(topBlock, root.table.salt) === root.table.rootHash;
}

/** Size of the hash tree of a root. */
export function treeBytes({ dataBlocks }: Pick<VerityTable, 'dataBlocks'>): number {
  return treeShape(dataBlocks).sizeBytes;
}

/** Bytes of the partition up to the end of data and tree. */
export function bytesInAll(table: Pick<VerityTable, 'dataBlocks' | 'hashStartBlock'>): number {
  return table.hashStartBlock * VERITY_BLOCK_BYTES + treeBytes(table);
}

/** Where a block of data or tree begins in the partition, in bytes. */
export function placeOf(
  table: Pick<VerityTable, 'dataBlocks' | 'hashStartBlock'>,
  { level, block }: Pick<BadBlockAt, 'level' | 'block'>,
): number {
  if (level === 0) return block * VERITY_BLOCK_BYTES;
  const inTree = treeShape(table.dataBlocks).levels[level - 1]?.offsetBytes ?? 0;
  return (table.hashStartBlock + block) * VERITY_BLOCK_BYTES + inTree;
}

const SQUASHFS_MAGIC = 0x73717368;
const SQUASHFS_SUPERBLOCK_BYTES = 96;

/** Size of the SquashFS that begins with `block`, in bytes; undefined when it is none (squashfs_super_block, Linux). */
export function squashfsBytes(block: Uint8Array): number | undefined {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  if (block.length < SQUASHFS_SUPERBLOCK_BYTES) return undefined;
  if (view.getUint32(0, true) !== SQUASHFS_MAGIC) return undefined;
  const bytes = view.getBigUint64(40, true);
  return bytes < BigInt(SQUASHFS_SUPERBLOCK_BYTES) || bytes > BigInt(Number.MAX_SAFE_INTEGER)
    ? undefined
    : Number(bytes);
}

/** A block that differs from its hash. */
export interface BadBlockAt {
  /** 0: data; from 1 on: hashes of the level below. */
  readonly level: number;
  readonly block: number;
  /** Files or tables of the file system that it belongs to. */
  readonly files: readonly string[];
}

/** What the verification of an image found. */
export interface ImageFindings {
  readonly isIntact: boolean;
  /** Of the data, hexadecimal. */
  readonly sha256: string;
  readonly badCount: number;
  readonly bad: readonly BadBlockAt[];
  readonly fileSystem: FileSystemFindings;
}

/**
 * Findings of a verification whose salt was computed from the data. If any block fits, the salt is right: no hash fits by
 * chance. If none does, data were changed and the salt with them, and the list of bad blocks says nothing.
 */
export function withoutGuesses(findings: ImageFindings, dataBlocks: number): ImageFindings {
  const isSaltRight = findings.badCount < dataBlocks;
  return isSaltRight ? findings : { ...findings, badCount: 0, bad: [] };
}

/** Verdict on a slot, with one sentence when there is something to say. */
export interface SlotJudgement {
  readonly verdict: 'intact' | 'damaged';
  readonly problem: string;
}

/** Judges findings about a slot whose root is known, or was computed from what it holds. */
export function judgeSlot(of: {
  readonly findings: ImageFindings;
  readonly rootHash: string;
  readonly guid: string;
}): SlotJudgement {
  const { findings, rootHash, guid } = of;
  const { badCount, fileSystem } = findings;
  const start = rootHashStart(guid);
  const isNamed = start !== '' && rootHash.startsWith(start);
  if (!findings.isIntact && badCount === 0) {
    return {
      verdict: 'damaged',
      problem:
        'The file system and the hash tree behind it do not belong together. No boot entry names this root, so its salt is not known and the bad blocks cannot be told from the good ones.',
    };
  }
  if (!findings.isIntact) {
    const what = badCount === 1 ? 'block differs' : 'blocks differ';
    return { verdict: 'damaged', problem: `${badCount} ${what} from what was built.` };
  }
  if (!fileSystem.isValid) {
    return {
      verdict: 'damaged',
      problem: `Every block has its hash, but the file system is not well-formed: ${fileSystem.problem}.`,
    };
  }
  return {
    verdict: 'intact',
    problem: isNamed
      ? ''
      : `The partition's GUID is ${guid === '' ? 'not known' : guid} and does not name this root: nothing boots it from here.`,
  };
}
