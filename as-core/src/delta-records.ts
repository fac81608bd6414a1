/**
 * Better copies for tables of ELF files. Their records hold little but addresses, so all of them look alike to a matcher and
 * none is equal; but which old record became which new one can be told from where its addresses went.
 */
import type { Copy } from './delta-copy.ts';
import { PlaceMap } from './delta-place-map.ts';

/** A table in the bytes of a side. */
export interface RecordTable {
  readonly place: number;
  readonly bytes: number;
}

/** What one side of a pair of tables is read with. */
export interface TableSide {
  readonly bytes: Buffer;
  /** Tables by name of their section. */
  readonly tables: ReadonlyMap<string, RecordTable>;
  /** Place of an address, or -1. */
  placeOf(address: bigint): number;
  /** Address of a place, or -1. */
  addressAt(place: number): bigint;
}

interface Record {
  readonly place: number;
  readonly bytes: number;
  /** What the record is known by; of an old one: what the new one will be known by. */
  readonly key: string;
}

/** Reads the records of a table; `moved` says where an address went. */
type Reader = (side: TableSide, table: RecordTable, moved: (address: bigint) => bigint) => Record[];

const RELA_BYTES = 24;
const SYMBOL_BYTES = 24;
/** Before the search table of .eh_frame_hdr: version, three encodings, pointer to .eh_frame, count. */
const SEARCH_HEADER_BYTES = 12;
const SEARCH_BYTES = 8;
/** Counts of buckets, of symbols before the first, of words of the Bloom filter; its shift. */
const GNU_HASH_HEADER_BYTES = 16;
const NAME_BYTES_MAX = 4096;
/** A table with more records is left as it is. */
const RECORDS_MAX = 2 ** 20;

const READERS: readonly (readonly [section: string, read: Reader])[] = [
  ['.dynsym', readSymbols],
  ['.gnu.hash', readGnuHash],
  ['.gnu.version', readVersions],
  ['.hash', readHash],
  ['.eh_frame', readFrames],
  ['.eh_frame_hdr', readSearchTable],
  ['.rela.dyn', readRelocations],
  ['.rela.plt', readRelocations],
];

function readSymbols(side: TableSide, { place, bytes: length }: RecordTable): Record[] {
  return fixedRecords(place, length, SYMBOL_BYTES).map((at) => {
    return { place: at, bytes: SYMBOL_BYTES, key: symbolName(side, at) };
  });
}

function symbolName({ bytes, tables }: TableSide, at: number): string {
  const names = tables.get('.dynstr');
  if (names === undefined || at > bytes.length - SYMBOL_BYTES) return '';
  const from = names.place + bytes.readUInt32LE(at);
  const end = bytes.subarray(from, from + NAME_BYTES_MAX).indexOf(0);
  return bytes.toString('latin1', from, from + Math.max(end, 0));
}

/** Bloom filter and buckets by their number, hashes by their symbol. */
function readGnuHash(side: TableSide, { place, bytes: length }: RecordTable): Record[] {
  if (length < GNU_HASH_HEADER_BYTES) return [];
  const [buckets, first, words] = [0, 4, 8].map((at) => side.bytes.readUInt32LE(place + at));
  if (buckets === undefined || first === undefined || words === undefined) return [];
  const counts = words + buckets;
  const hashes = Math.floor((length - GNU_HASH_HEADER_BYTES - 8 * words) / 4) - buckets;
  if (counts > RECORDS_MAX || hashes < 0 || hashes > RECORDS_MAX) return [];
  const start = place + GNU_HASH_HEADER_BYTES;
  const numbered = Array.from({ length: counts }, (_, index) => {
    const [at, bytes] =
      index < words ? [start + 8 * index, 8] : [start + 8 * words + 4 * (index - words), 4];
    return { place: at, bytes, key: `${bytes} ${index - (index < words ? 0 : words)}` };
  });
  const chain = start + 8 * words + 4 * buckets;
  return [...numbered, ...bySymbol(side, { place: chain, bytes: 4, first, count: hashes })];
}

/** Buckets by their number, chains by their symbol. */
function readHash(side: TableSide, { place, bytes: length }: RecordTable): Record[] {
  if (length < 8) return [];
  const buckets = side.bytes.readUInt32LE(place);
  const count = Math.floor(length / 4) - 2 - buckets;
  if (buckets > RECORDS_MAX || count < 0 || count > RECORDS_MAX) return [];
  const numbered = Array.from({ length: buckets }, (_, index) => {
    return { place: place + 8 + 4 * index, bytes: 4, key: `${index} ` };
  });
  const chain = place + 8 + 4 * buckets;
  return [...numbered, ...bySymbol(side, { place: chain, bytes: 4, first: 0, count })];
}

function readVersions(side: TableSide, { place, bytes: length }: RecordTable): Record[] {
  const count = Math.floor(length / 2);
  return count > RECORDS_MAX ? [] : bySymbol(side, { place, bytes: 2, first: 0, count });
}

/** Records of `bytes` bytes each, one for each symbol from `first` on. */
function bySymbol(
  side: TableSide,
  of: {
    readonly place: number;
    readonly bytes: number;
    readonly first: number;
    readonly count: number;
  },
): Record[] {
  const symbols = side.tables.get('.dynsym');
  if (symbols === undefined) return [];
  return Array.from({ length: of.count }, (_, index) => {
    const key = symbolName(side, symbols.place + (of.first + index) * SYMBOL_BYTES);
    return { place: of.place + index * of.bytes, bytes: of.bytes, key };
  });
}

function readRelocations(
  side: TableSide,
  { place, bytes: length }: RecordTable,
  moved: (address: bigint) => bigint,
): Record[] {
  const { bytes } = side;
  const symbols = side.tables.get('.dynsym');
  return fixedRecords(place, length, RELA_BYTES).map((at) => {
    const addend = moved(bytes.readBigUInt64LE(at + 16));
    const symbol = bytes.readUInt32LE(at + 12);
    // The slot of an imported symbol holds nothing that could tell where it went; its name does.
    const offset =
      symbol === 0 || symbols === undefined
        ? moved(bytes.readBigUInt64LE(at))
        : symbolName(side, symbols.place + symbol * SYMBOL_BYTES);
    return {
      place: at,
      bytes: RELA_BYTES,
      key: `${offset} ${bytes.readUInt32LE(at + 8)} ${addend}`,
    };
  });
}

function readSearchTable(
  side: TableSide,
  { place, bytes: length }: RecordTable,
  moved: (address: bigint) => bigint,
): Record[] {
  const base = side.addressAt(place);
  const first = place + SEARCH_HEADER_BYTES;
  return fixedRecords(first, length - SEARCH_HEADER_BYTES, SEARCH_BYTES).map((at) => {
    const address = moved(base + BigInt(side.bytes.readInt32LE(at)));
    return { place: at, bytes: SEARCH_BYTES, key: `${address}` };
  });
}

/** Records of .eh_frame (Linux Standard Base, "Exception Frames"): the CIEs as they are, an FDE by where its code begins. */
function readFrames(
  side: TableSide,
  { place, bytes: length }: RecordTable,
  moved: (address: bigint) => bigint,
): Record[] {
  const records: Record[] = [];
  for (let at = place; at + 12 <= place + length && records.length < RECORDS_MAX; ) {
    const bytes = side.bytes.readUInt32LE(at) + 4;
    if (bytes < 12 || bytes > place + length - at) break;
    const isCommon = side.bytes.readUInt32LE(at + 4) === 0;
    const address = side.addressAt(at + 8) + BigInt(side.bytes.readInt32LE(at + 8));
    const key = isCommon ? side.bytes.toString('latin1', at, at + bytes) : `${moved(address)}`;
    records.push({ place: at, bytes, key });
    at += bytes;
  }
  return records;
}

function fixedRecords(place: number, length: number, bytes: number): number[] {
  const count = Math.max(0, Math.floor(length / bytes));
  return count > RECORDS_MAX
    ? []
    : Array.from({ length: count }, (_, index) => place + index * bytes);
}

/** The copies with those of tables made anew. */
export function alignRecords(
  copies: readonly Copy[],
  pairs: readonly (readonly [old: TableSide, fresh: TableSide])[],
): readonly Copy[] {
  const map = new PlaceMap(copies);
  let aligned = copies;
  for (const [old, fresh] of pairs) {
    const moved = (address: bigint) => {
      const place = old.placeOf(address);
      return place < 0 ? address : fresh.addressAt(map.at(place));
    };
    for (const [section, read] of READERS) {
      const [from, to] = [old.tables.get(section), fresh.tables.get(section)];
      if (from === undefined || to === undefined) continue;
      const own = tableCopies(
        read(old, from, moved),
        read(fresh, to, (address) => address),
      );
      if (own.length > 0) aligned = replaced(aligned, own);
    }
  }
  return aligned;
}

/** Copies of records with the same key, in the order of both sides; what lies between goes with the copy before it. */
function tableCopies(old: readonly Record[], fresh: readonly Record[]): Copy[] {
  const places = new Map<string, number>();
  for (const [index, { key }] of fresh.entries()) places.set(key, places.has(key) ? -1 : index);
  const seen = new Set<string>();
  const twice = new Set(
    old.filter(({ key }) => seen.size === seen.add(key).size).map(({ key }) => key),
  );
  const anchors = old.flatMap(({ key }, index) => {
    const place = twice.has(key) ? -1 : (places.get(key) ?? -1);
    return place < 0 ? [] : [{ from: index, to: place }];
  });
  const copies: Copy[] = [];
  const rising = longestRising(anchors);
  for (const [index, { from, to }] of rising.entries()) {
    const next = rising[index + 1] ?? { from: old.length, to: fresh.length };
    const first = index === 0 ? -Math.min(from, to) : 0;
    const count = Math.min(next.from - from, next.to - to);
    for (let step = first; step < count; step++) {
      const [source, target] = [old[from + step], fresh[to + step]];
      if (source === undefined || target === undefined) break;
      const length = Math.min(source.bytes, target.bytes);
      append(copies, { newOffset: target.place, oldOffset: source.place, length });
    }
  }
  return copies;
}

interface Anchor {
  readonly from: number;
  readonly to: number;
}

/** The longest row of anchors in which `to` rises as well. */
function longestRising(anchors: readonly Anchor[]): Anchor[] {
  const ends: number[] = [];
  const before: number[] = [];
  for (const [index, { to }] of anchors.entries()) {
    let [low, high] = [0, ends.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((anchors[ends[middle] ?? 0]?.to ?? 0) < to) low = middle + 1;
      else high = middle;
    }
    before.push(ends[low - 1] ?? -1);
    ends[low] = index;
  }
  const row: Anchor[] = [];
  for (let index = ends.at(-1) ?? -1; index >= 0; index = before[index] ?? -1) {
    const anchor = anchors[index];
    if (anchor !== undefined) row.push(anchor);
  }
  return row.reverse();
}

function append(copies: Copy[], copy: Copy): void {
  const last = copies.at(-1);
  const goesOn =
    last !== undefined &&
    last.newOffset + last.length === copy.newOffset &&
    last.oldOffset + last.length === copy.oldOffset;
  if (!goesOn) copies.push(copy);
  else copies[copies.length - 1] = { ...last, length: last.length + copy.length };
}

/** `copies` with `own` in the place of all that they have from the first of these to the last. */
function replaced(copies: readonly Copy[], own: readonly Copy[]): Copy[] {
  const [first, last] = [own[0], own.at(-1)];
  if (first === undefined || last === undefined) return [...copies];
  const [start, end] = [first.newOffset, last.newOffset + last.length];
  const before = copies
    .filter(({ newOffset }) => newOffset < start)
    .map((copy) => ({ ...copy, length: Math.min(copy.length, start - copy.newOffset) }));
  const after = copies
    .filter(({ newOffset, length }) => newOffset + length > end)
    .map((copy) => {
      const cut = Math.max(0, end - copy.newOffset);
      return {
        newOffset: copy.newOffset + cut,
        oldOffset: copy.oldOffset + cut,
        length: copy.length - cut,
      };
    });
  return [...before, ...own, ...after];
}
