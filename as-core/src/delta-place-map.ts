/** Where old places went: the map that the coder paints from a copy list (as-core/assembly/delta-map.ts), for the side that makes patches. */
import type { Copy } from './delta-copy.ts';

/** Where copies overlap, the longest wins; between copies the distance of the last one goes on. */
export class PlaceMap {
  /** Old places from which on another distance counts, and the distances. */
  readonly #places: number[] = [];
  readonly #distances: number[] = [];

  constructor(copies: readonly Copy[]) {
    const waiting = copies.toSorted((a, b) => a.oldOffset - b.oldOffset);
    const heap: Copy[] = [];
    for (let next = 0; next < waiting.length || heap.length > 0; ) {
      const begins = waiting[next]?.oldOffset ?? Number.POSITIVE_INFINITY;
      const place = Math.min(begins, oldEnd(heap[0]));
      const copy = waiting[next];
      if (begins === place && copy !== undefined) {
        pushLongest(heap, copy);
        next += 1;
      }
      while (oldEnd(heap[0]) <= place) popLongest(heap);
      const longest = heap[0];
      if (longest !== undefined) this.#add(place, longest.newOffset - longest.oldOffset);
    }
  }

  #add(place: number, distance: number): void {
    if (this.#distances.at(-1) === distance) return;
    if (this.#places.at(-1) === place) {
      this.#distances[this.#distances.length - 1] = distance;
      return;
    }
    this.#places.push(place);
    this.#distances.push(distance);
  }

  /** New place of an old one. */
  at(place: number): number {
    let [low, high] = [0, this.#places.length];
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] ?? 0) <= place) low = middle;
      else high = middle;
    }
    return place + (this.#distances[low] ?? 0);
  }
}

function oldEnd(copy: Copy | undefined): number {
  return copy === undefined ? Number.POSITIVE_INFINITY : copy.oldOffset + copy.length;
}

function pushLongest(heap: Copy[], copy: Copy): void {
  let at = heap.length;
  heap.push(copy);
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    const above = heap[parent];
    if (above === undefined || above.length >= copy.length) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = copy;
}

function popLongest(heap: Copy[]): void {
  const moving = heap.pop();
  if (moving === undefined || heap.length === 0) return;
  let parent = 0;
  for (;;) {
    let child = 2 * parent + 1;
    if ((heap[child + 1]?.length ?? -1) > (heap[child]?.length ?? -1)) child += 1;
    const other = heap[child];
    if (other === undefined || other.length <= moving.length) break;
    heap[parent] = other;
    parent = child;
  }
  heap[parent] = moving;
}
