/** Addresses that a patch may be coded with: what the headers of ELF files say. They make patches smaller, nothing else. */

import type { Copy } from './delta-copy.ts';

/** Bytes of a side that a program header maps. Regions are sorted by place and do not overlap; those of a file follow each other. */
export interface AddressRegion {
  /** Number of the file, from 0 on, in the order of places. */
  readonly file: number;
  /** Where its first byte lies in the side. */
  readonly offset: number;
  readonly bytes: number;
  /** Address of that byte. */
  readonly address: bigint;
  /** Bytes from that address on, those without bytes in the file counted: at least `bytes`. */
  readonly memoryBytes: bigint;
}

/**
 * What is counted from a base: bytes; bytes, in the midst of 64-bit addresses; symbols; the names of symbols, in a table of
 * symbols; bytes from this base or from one of the three behind it; the same in the midst of 64-bit addresses.
 */
export const BaseKind = {
  offsets: 0,
  mixed: 1,
  records: 2,
  symbols: 3,
  company: 4,
  mixedCompany: 5,
} as const;

/** What 32-bit offsets are counted from in an old file, and in the new one that was made of it. */
export interface AddressBase {
  readonly kind: (typeof BaseKind)[keyof typeof BaseKind];
  readonly oldFile: number;
  readonly newFile: number;
  readonly oldAddress: bigint;
  readonly newAddress: bigint;
  /** Of `symbols`: where in 24 bytes the old table begins. */
  readonly extra: number;
}

/** All that is known of the addresses of both sides. */
export interface AddressTables {
  readonly oldRegions: readonly AddressRegion[];
  readonly newRegions: readonly AddressRegion[];
  readonly bases: readonly AddressBase[];
  /** The copy list, with better copies of tables, for use in its place. */
  readonly copies?: readonly Copy[];
}

/** Nothing is known. */
export const NO_ADDRESSES: AddressTables = { oldRegions: [], newRegions: [], bases: [] };

/** Most regions of a side, and of one file of it. */
export const REGIONS_MAX = 2048;
/** See {@link REGIONS_MAX}. */
export const REGIONS_OF_FILE_MAX = 16;
/** Most bases; 16 of them for one pair of files are looked at. */
export const BASES_MAX = 2048;
