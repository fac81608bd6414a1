/** Bytes at a place in a file that is zero everywhere else. */
export interface Extent {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** The same ranges further back, for a file system inside a disk. */
export function shiftExtents(extents: readonly Extent[], byBytes: number): Extent[] {
  return extents.map(({ offset, data }) => ({ offset: offset + byBytes, data }));
}
