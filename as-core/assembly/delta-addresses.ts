// Addresses of ELF files: where the program headers put pieces of the old and the new bytes, and where an old address went.
import {
  BASE_BYTES,
  BASES_AT,
  BASES_OF_PAIR_MAX,
  NEW_REGIONS_AT,
  OLD_REGIONS_AT,
  REGION_BYTES,
} from './delta-coder-memory';
import { mapPlace } from './delta-map';

/** No region. */
export const NO_REGION: u32 = 0xffffffff;

export let oldRegionCount: u32 = 0;
export let newRegionCount: u32 = 0;
export let baseCount: u32 = 0;

/** Regions at the place of the copy that is under way. */
export let oldRegion: u32 = NO_REGION;
export let newRegion: u32 = NO_REGION;
/** Bases of this pair of files. */
export let firstBase: u32 = 0;
export let basesHere: u32 = 0;
let basesOld: u32 = 0xffffffff;
let basesNew: u32 = 0xffffffff;

export function setAddressCounts(old: u32, fresh: u32, bases: u32): void {
  oldRegionCount = old;
  newRegionCount = fresh;
  baseCount = bases;
  oldRegion = NO_REGION;
  newRegion = NO_REGION;
  firstBase = 0;
  basesHere = 0;
  basesOld = 0xffffffff;
  basesNew = 0xffffffff;
}

// @ts-ignore: decorator
@inline
function regionAddress(at: usize): u64 {
  return load<u64>(at);
}

// @ts-ignore: decorator
@inline
function regionMemory(at: usize): u64 {
  return load<u64>(at, 8);
}

// @ts-ignore: decorator
@inline
function regionPlace(at: usize): u32 {
  return load<u32>(at, 16);
}

// @ts-ignore: decorator
@inline
function regionBytes(at: usize): u32 {
  return load<u32>(at, 20);
}

// @ts-ignore: decorator
@inline
function regionFile(at: usize): u32 {
  return load<u32>(at, 24);
}

// @ts-ignore: decorator
@inline
function regionAt(table: usize, index: u32): usize {
  return table + <usize>index * REGION_BYTES;
}

/** The region of `table` that `place` lies in. Regions are sorted by place and do not overlap. */
function findRegion(table: usize, regions: u32, place: u32): u32 {
  let low: u32 = 0;
  let high: u32 = regions;
  while (low < high) {
    const middle: u32 = (low + high) >> 1;
    if (regionPlace(regionAt(table, middle)) <= place) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return NO_REGION;
  const at: usize = regionAt(table, low - 1);
  return place - regionPlace(at) < regionBytes(at) ? low - 1 : NO_REGION;
}

/** Looks up the regions of an old and a new place. */
export function enterPlaces(old: u32, fresh: u32): void {
  oldRegion = findRegion(OLD_REGIONS_AT, oldRegionCount, old);
  newRegion = findRegion(NEW_REGIONS_AT, newRegionCount, fresh);
  if (oldRegion == NO_REGION || newRegion == NO_REGION) {
    basesHere = 0;
    basesOld = 0xffffffff;
    return;
  }
  const oldFile: u32 = regionFile(regionAt(OLD_REGIONS_AT, oldRegion));
  const newFile: u32 = regionFile(regionAt(NEW_REGIONS_AT, newRegion));
  if (oldFile == basesOld && newFile == basesNew) return;
  basesOld = oldFile;
  basesNew = newFile;
  firstBase = 0;
  basesHere = 0;
  for (let i: u32 = 0; i < baseCount && basesHere < BASES_OF_PAIR_MAX; i++) {
    const at: usize = BASES_AT + <usize>i * BASE_BYTES;
    if (load<u32>(at, 16) != oldFile || load<u32>(at, 20) != newFile) {
      if (basesHere > 0) break;
      continue;
    }
    if (basesHere == 0) firstBase = i;
    basesHere++;
  }
}

/** Both places lie in regions. */
// @ts-ignore: decorator
@inline
export function hasAddresses(): bool {
  return oldRegion != NO_REGION && newRegion != NO_REGION;
}

// @ts-ignore: decorator
@inline
export function oldAddress(place: u32): u64 {
  const at: usize = regionAt(OLD_REGIONS_AT, oldRegion);
  return regionAddress(at) + <u64>(place - regionPlace(at));
}

// @ts-ignore: decorator
@inline
export function newAddress(place: u32): u64 {
  const at: usize = regionAt(NEW_REGIONS_AT, newRegion);
  return regionAddress(at) + <u64>(place - regionPlace(at));
}

// @ts-ignore: decorator
@inline
export function oldBase(index: u32): u64 {
  return load<u64>(BASES_AT + <usize>(firstBase + index) * BASE_BYTES);
}

// @ts-ignore: decorator
@inline
export function newBase(index: u32): u64 {
  return load<u64>(BASES_AT + <usize>(firstBase + index) * BASE_BYTES, 8);
}

// @ts-ignore: decorator
@inline
export function baseExtra(index: u32): u64 {
  return load<u32>(BASES_AT + <usize>(firstBase + index) * BASE_BYTES, 28);
}

// @ts-ignore: decorator
@inline
export function baseKind(index: u32): u32 {
  return load<u32>(BASES_AT + <usize>(firstBase + index) * BASE_BYTES, 24);
}

/** Old region that holds `address`, in the file of `oldRegion`; with the part that has no bytes in the file. */
export function regionOf(address: u64): u32 {
  const here: usize = regionAt(OLD_REGIONS_AT, oldRegion);
  if (address - regionAddress(here) < regionMemory(here)) return oldRegion;
  const file: u32 = regionFile(here);
  for (let i: u32 = oldRegion; i > 0; i--) {
    const at: usize = regionAt(OLD_REGIONS_AT, i - 1);
    if (regionFile(at) != file) break;
    if (address - regionAddress(at) < regionMemory(at)) return i - 1;
  }
  for (let i: u32 = oldRegion + 1; i < oldRegionCount; i++) {
    const at: usize = regionAt(OLD_REGIONS_AT, i);
    if (regionFile(at) != file) break;
    if (address - regionAddress(at) < regionMemory(at)) return i;
  }
  return NO_REGION;
}

/** Where an old address of region `region` went, by the map; itself when nothing is known. */
export function mapAddress(address: u64, region: u32): u64 {
  const at: usize = regionAt(OLD_REGIONS_AT, region);
  const distance: u64 = address - regionAddress(at);
  if (distance < <u64>regionBytes(at)) {
    const place: u32 = mapPlace(regionPlace(at) + <u32>distance);
    const fresh: u32 = freshRegionAt(place);
    if (fresh == NO_REGION) return address;
    const target: usize = regionAt(NEW_REGIONS_AT, fresh);
    return regionAddress(target) + <u64>(place - regionPlace(target));
  }
  // Behind the bytes of the file: the end of the region moved.
  if (regionBytes(at) == 0) return address;
  const fresh: u32 = freshRegionAt(mapPlace(regionPlace(at) + regionBytes(at) - 1));
  if (fresh == NO_REGION) return address;
  const target: usize = regionAt(NEW_REGIONS_AT, fresh);
  return regionAddress(target) + <u64>regionBytes(target) + (distance - <u64>regionBytes(at));
}

let lastFresh: u32 = 0;

function freshRegionAt(place: u32): u32 {
  if (lastFresh < newRegionCount) {
    const at: usize = regionAt(NEW_REGIONS_AT, lastFresh);
    if (place - regionPlace(at) < regionBytes(at)) return lastFresh;
  }
  const found: u32 = findRegion(NEW_REGIONS_AT, newRegionCount, place);
  if (found != NO_REGION) lastFresh = found;
  return found;
}
