// Where old places went. The copy list is painted onto the old bytes: where copies overlap there, the longest wins; between
// copies the distance of the last one goes on.
import { COPIES_AT, COPY_BYTES, HEAP_AT, ORDER_AT, SEGMENT_BYTES, SEGMENTS_AT } from './delta-coder-memory';

/** Copies of this patch. */
export let copyCount: u32 = 0;
let segmentCount: u32 = 0;
let heapCount: u32 = 0;
/** Segment of the last answer. */
export let segment: u32 = 0;

/** Copies: 0 when a patch begins. */
export function setCopyCount(count: u32): void {
  copyCount = count;
}

// @ts-ignore: decorator
@inline
export function copyNew(index: u32): u32 {
  return load<u32>(COPIES_AT + <usize>index * COPY_BYTES);
}

// @ts-ignore: decorator
@inline
export function copyLength(index: u32): u32 {
  return load<u32>(COPIES_AT + <usize>index * COPY_BYTES, 4);
}

// @ts-ignore: decorator
@inline
export function copyOld(index: u32): u32 {
  return load<u32>(COPIES_AT + <usize>index * COPY_BYTES, 8);
}

// @ts-ignore: decorator
@inline
function cell(table: usize, index: u32): usize {
  return table + (<usize>index << 2);
}

/** Copies ordered by old place, by heap sort: no order of theirs makes it slow. */
function sortCopies(): void {
  for (let i: u32 = 0; i < copyCount; i++) store<u32>(cell(ORDER_AT, i), i);
  for (let i: u32 = copyCount >> 1; i > 0; i--) sinkOrder(i - 1, copyCount);
  for (let end: u32 = copyCount; end > 1; end--) {
    const first: u32 = load<u32>(ORDER_AT);
    store<u32>(ORDER_AT, load<u32>(cell(ORDER_AT, end - 1)));
    store<u32>(cell(ORDER_AT, end - 1), first);
    sinkOrder(0, end - 1);
  }
}

function isLater(a: u32, b: u32): bool {
  const first: u32 = copyOld(a);
  const second: u32 = copyOld(b);
  return first == second ? a > b : first > second;
}

function sinkOrder(start: u32, end: u32): void {
  let parent: u32 = start;
  const moving: u32 = load<u32>(cell(ORDER_AT, parent));
  for (;;) {
    let child: u32 = 2 * parent + 1;
    if (child >= end) break;
    if (child + 1 < end && isLater(load<u32>(cell(ORDER_AT, child + 1)), load<u32>(cell(ORDER_AT, child)))) child++;
    const other: u32 = load<u32>(cell(ORDER_AT, child));
    if (!isLater(other, moving)) break;
    store<u32>(cell(ORDER_AT, parent), other);
    parent = child;
  }
  store<u32>(cell(ORDER_AT, parent), moving);
}

function isLonger(a: u32, b: u32): bool {
  const first: u32 = copyLength(a);
  const second: u32 = copyLength(b);
  return first == second ? a < b : first > second;
}

function pushHeap(copy: u32): void {
  let at: u32 = heapCount++;
  while (at > 0) {
    const parent: u32 = (at - 1) >> 1;
    const above: u32 = load<u32>(cell(HEAP_AT, parent));
    if (!isLonger(copy, above)) break;
    store<u32>(cell(HEAP_AT, at), above);
    at = parent;
  }
  store<u32>(cell(HEAP_AT, at), copy);
}

function popHeap(): void {
  heapCount--;
  if (heapCount == 0) return;
  const moving: u32 = load<u32>(cell(HEAP_AT, heapCount));
  let parent: u32 = 0;
  for (;;) {
    let child: u32 = 2 * parent + 1;
    if (child >= heapCount) break;
    if (child + 1 < heapCount && isLonger(load<u32>(cell(HEAP_AT, child + 1)), load<u32>(cell(HEAP_AT, child)))) child++;
    const other: u32 = load<u32>(cell(HEAP_AT, child));
    if (!isLonger(other, moving)) break;
    store<u32>(cell(HEAP_AT, parent), other);
    parent = child;
  }
  store<u32>(cell(HEAP_AT, parent), moving);
}

function oldEnd(copy: u32): u64 {
  return <u64>copyOld(copy) + <u64>copyLength(copy);
}

function addSegment(place: u32, distance: u32): void {
  if (segmentCount > 0) {
    const last: usize = SEGMENTS_AT + <usize>(segmentCount - 1) * SEGMENT_BYTES;
    if (load<u32>(last, 4) == distance) return;
    if (load<u32>(last) == place) {
      store<u32>(last, distance, 4);
      return;
    }
  }
  const at: usize = SEGMENTS_AT + <usize>segmentCount * SEGMENT_BYTES;
  store<u32>(at, place);
  store<u32>(at, distance, 4);
  segmentCount++;
}

/** Paints the map. The copies must lie within both sides. */
export function paintMap(): void {
  sortCopies();
  segmentCount = 0;
  heapCount = 0;
  segment = 0;
  let next: u32 = 0;
  while (next < copyCount || heapCount > 0) {
    // The longest copy that is under way ends, or another one begins.
    const begins: u64 = next < copyCount ? <u64>copyOld(load<u32>(cell(ORDER_AT, next))) : u64.MAX_VALUE;
    const ends: u64 = heapCount > 0 ? oldEnd(load<u32>(HEAP_AT)) : u64.MAX_VALUE;
    const place: u64 = min<u64>(begins, ends);
    if (begins == place) pushHeap(load<u32>(cell(ORDER_AT, next++)));
    while (heapCount > 0 && oldEnd(load<u32>(HEAP_AT)) <= place) popHeap();
    if (heapCount == 0 || place > 0xffffffff) continue;
    const longest: u32 = load<u32>(HEAP_AT);
    addSegment(<u32>place, copyNew(longest) - copyOld(longest));
  }
}

// @ts-ignore: decorator
@inline
function segmentPlace(index: u32): u32 {
  return load<u32>(SEGMENTS_AT + <usize>index * SEGMENT_BYTES);
}

/** New place of an old one; `segment` says by which segment. */
export function mapPlace(place: u32): u32 {
  if (segmentCount == 0) return place;
  const isHere: bool =
    segmentPlace(segment) <= place && (segment + 1 == segmentCount || segmentPlace(segment + 1) > place);
  if (!isHere) {
    let low: u32 = 0;
    let high: u32 = segmentCount;
    while (high - low > 1) {
      const middle: u32 = (low + high) >> 1;
      if (segmentPlace(middle) <= place) low = middle;
      else high = middle;
    }
    segment = low;
  }
  return place + load<u32>(SEGMENTS_AT + <usize>segment * SEGMENT_BYTES, 4);
}
