/** What a patch is told of the addresses of ELF files on both sides: of those that copies lead from and to. */
import {
  type AddressBase,
  type AddressRegion,
  type AddressTables,
  BASES_MAX,
  REGIONS_MAX,
} from './delta-addresses.ts';
import type { Copy } from './delta-copy.ts';
import { type ElfFile, findElfFiles, type NamedBase } from './delta-elf-file.ts';
import { alignRecords, type TableSide } from './delta-records.ts';

/**
 * Tables for a patch: of the files that copies lead from and to with other bytes than there were.
 *
 * @param copies sorted by place in the new bytes
 */
export function findAddresses(
  old: Uint8Array,
  fresh: Uint8Array,
  copies: readonly Copy[],
): AddressTables {
  const [oldBytes, newBytes] = [bufferOf(old), bufferOf(fresh)];
  const [oldFiles, newFiles] = [findElfFiles(oldBytes), findElfFiles(newBytes)];
  const pairs = pairsOf({ oldBytes, newBytes, oldFiles, newFiles }, copies);
  const chosen = fitting(pairs, oldFiles, newFiles);
  const oldIndexes = [...new Set(chosen.map(([from]) => from))].sort((a, b) => a - b);
  const newIndexes = [...new Set(chosen.map(([, to]) => to))].sort((a, b) => a - b);
  return {
    oldRegions: regionsOf(oldFiles, oldIndexes),
    newRegions: regionsOf(newFiles, newIndexes),
    bases: basesOf(
      chosen.map(([from, to]) => ({
        oldFile: oldIndexes.indexOf(from),
        newFile: newIndexes.indexOf(to),
        old: oldFiles[from]?.bases ?? new Map(),
        fresh: newFiles[to]?.bases ?? new Map(),
      })),
    ),
    copies: alignRecords(
      copies,
      chosen.flatMap(([from, to]) => {
        const [oldFile, newFile] = [oldFiles[from], newFiles[to]];
        if (oldFile === undefined || newFile === undefined) return [];
        return [[sideOf(oldBytes, oldFile), sideOf(newBytes, newFile)] as const];
      }),
    ),
  };
}

function sideOf(bytes: Buffer, { loads, tables }: ElfFile): TableSide {
  return {
    bytes,
    tables,
    placeOf: (address) => {
      const load = loads.find(
        (each) => address >= each.address && address < each.address + BigInt(each.bytes),
      );
      return load === undefined ? -1 : load.offset + Number(address - load.address);
    },
    addressAt: (place) => {
      const load = loads.find(({ offset, bytes }) => place >= offset && place < offset + bytes);
      return load === undefined ? -1n : load.address + BigInt(place - load.offset);
    },
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Index of an old file and of a new one. */
type Pair = readonly [from: number, to: number];

/** For each new file the old one that most of its changed bytes come from. */
function pairsOf(
  sides: {
    readonly oldBytes: Buffer;
    readonly newBytes: Buffer;
    readonly oldFiles: readonly ElfFile[];
    readonly newFiles: readonly ElfFile[];
  },
  copies: readonly Copy[],
): Pair[] {
  const [oldAreas, newAreas] = [areasOf(sides.oldFiles), areasOf(sides.newFiles)];
  const copied = new Map<number, Map<number, number>>();
  const changed = new Set<number>();
  for (const { newOffset, oldOffset, length } of copies) {
    const [from, to] = [areaAt(oldAreas, oldOffset), areaAt(newAreas, newOffset)];
    if (from < 0 || to < 0) continue;
    const sources = copied.get(to) ?? new Map<number, number>();
    sources.set(from, (sources.get(from) ?? 0) + length);
    copied.set(to, sources);
    if (changed.has(to)) continue;
    const [end, oldEnd] = [newOffset + length, oldOffset + length];
    if (sides.newBytes.compare(sides.oldBytes, oldOffset, oldEnd, newOffset, end) !== 0) {
      changed.add(to);
    }
  }
  return [...changed]
    .sort((a, b) => a - b)
    .map((to) => {
      const sources = [...(copied.get(to) ?? [])].sort((a, b) => b[1] - a[1]);
      return [sources[0]?.[0] ?? 0, to];
    });
}

interface Area {
  readonly start: number;
  readonly end: number;
}

function areasOf(files: readonly ElfFile[]): Area[] {
  return files.map(({ loads }) => ({
    start: loads[0]?.offset ?? 0,
    end: loads.reduce((end, { offset, bytes }) => Math.max(end, offset + bytes), 0),
  }));
}

/** Index of the area that has `place`, or -1. */
function areaAt(areas: readonly Area[], place: number): number {
  let [low, high] = [0, areas.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((areas[middle]?.start ?? 0) <= place) low = middle + 1;
    else high = middle;
  }
  const area = areas[low - 1];
  return area !== undefined && place < area.end ? low - 1 : -1;
}

/** As many pairs as there is room for. */
function fitting(
  pairs: readonly Pair[],
  oldFiles: readonly ElfFile[],
  newFiles: readonly ElfFile[],
): Pair[] {
  const chosen: Pair[] = [];
  let [oldCount, newCount] = [0, 0];
  const seen = new Set<number>();
  for (const pair of pairs) {
    const [from, to] = pair;
    oldCount += seen.has(from) ? 0 : (oldFiles[from]?.loads.length ?? 0);
    newCount += newFiles[to]?.loads.length ?? 0;
    if (oldCount > REGIONS_MAX || newCount > REGIONS_MAX) break;
    seen.add(from);
    chosen.push(pair);
  }
  return chosen;
}

function regionsOf(files: readonly ElfFile[], indexes: readonly number[]): AddressRegion[] {
  return indexes.flatMap((index, file) =>
    (files[index]?.loads ?? []).map((load) => ({ file, ...load })),
  );
}

function basesOf(
  pairs: readonly {
    readonly oldFile: number;
    readonly newFile: number;
    readonly old: ReadonlyMap<string, NamedBase>;
    readonly fresh: ReadonlyMap<string, NamedBase>;
  }[],
): AddressBase[] {
  const bases = pairs.flatMap(({ oldFile, newFile, old, fresh }) =>
    [...old].flatMap(([name, { address: oldAddress, kind, extra }]) => {
      const newAddress = fresh.get(name)?.address;
      return newAddress === undefined
        ? []
        : [{ kind, extra, oldFile, newFile, oldAddress, newAddress }];
    }),
  );
  return bases.slice(0, BASES_MAX);
}
