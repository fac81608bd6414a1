/**
 * The dm-verity table on a kernel command line: what the kernel was told about a root file system and its hash tree.
 *
 *     dm-mod.create="root,,,ro,0 <sectors> verity 1 <data> <hash> 4096 4096 <blocks> <hash start> sha256 <root> <salt> …"
 *
 * Documentation/admin-guide/device-mapper/{dm-init,verity}.rst.
 */
import { createHash } from 'node:crypto';

/** Bytes in a block of root file system and hash tree alike. */
export const VERITY_BLOCK_BYTES = 4096;
/** Largest salt, in bytes. */
const SALT_BYTES_MAX = 256;
/** Largest root, in blocks: 64 GiB. */
const DATA_BLOCKS_MAX = 2 ** 24;

/** A root file system with its hash tree behind it, on one device. */
export interface VerityTable {
  /** As the table names it, for example "PARTUUID=…". */
  readonly device: string;
  /** Blocks of the file system. */
  readonly dataBlocks: number;
  /** Block of the device at which the hash tree begins. */
  readonly hashStartBlock: number;
  /** SHA-256, 64 lower-case hexadecimal digits. */
  readonly rootHash: string;
  /** Hexadecimal digits, maybe none. */
  readonly salt: string;
}

const TABLE =
  /\bdm-mod\.create="?[^",]*,[^",]*,[^",]*,ro,0 (\d{1,15}) verity 1 (\S+) (\S+) 4096 4096 (\d{1,10}) (\d{1,10}) sha256 ([0-9a-f]{64}) (-|(?:[0-9a-f]{2})+)(?=[ "]|$)/;

/** The table that a command line names; undefined when it names none of the form above. */
export function parseVerityTable(commandLine: string): VerityTable | undefined {
  const found = TABLE.exec(commandLine);
  if (found === null) return undefined;
  const [, sectors, device = '', hashDevice, blocks, start, rootHash = '', saltText = ''] = found;
  const dataBlocks = Number(blocks);
  const hashStartBlock = Number(start);
  const salt = saltText === '-' ? '' : saltText;
  const fits =
    device === hashDevice &&
    dataBlocks > 0 &&
    dataBlocks <= DATA_BLOCKS_MAX &&
    hashStartBlock >= dataBlocks &&
    hashStartBlock <= 2 * DATA_BLOCKS_MAX &&
    Number(sectors) * 512 === dataBlocks * VERITY_BLOCK_BYTES &&
    salt.length <= 2 * SALT_BYTES_MAX;
  return fits ? { device, dataBlocks, hashStartBlock, rootHash, salt } : undefined;
}

/** Salt of a root's hash tree, hexadecimal: it follows from the contents, so that equal roots have equal trees. */
export function saltOfContents(dataSha256: Uint8Array): string {
  return createHash('sha256').update('keelos verity salt\0').update(dataSha256).digest('hex');
}

/** Root hash over the top block of a hash tree (of one block of data: over that block). */
export function rootHashOver(topBlock: Uint8Array, salt: string): string {
  return createHash('sha256').update(Buffer.from(salt, 'hex')).update(topBlock).digest('hex');
}
