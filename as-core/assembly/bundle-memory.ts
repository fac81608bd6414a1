// Memory of the bundle reader, all of it static, and the limits of the format (proto/src/bundle.ts has the same).

/** Largest manifest. */
export const MANIFEST_BYTES_MAX: u32 = 65536;
/** Largest list of signatures. */
export const SIGNATURES_BYTES_MAX: u32 = 16384;
/** Bytes of the footer. */
export const FOOTER_BYTES: u32 = 64;
/** Largest trust file. */
export const TRUST_BYTES_MAX: u32 = 65536;
/** Most signatures. */
export const SIGNATURES_MAX: u32 = 16;
/** Most keys of a trust file. */
export const TRUST_KEYS_MAX: u32 = 32;
/** Largest root with its hash tree. */
export const ROOT_BYTES_MAX: u64 = 1 << 32;
/** Largest kernel image. */
export const UKI_BYTES_MAX: u64 = 1 << 27;

/** Room for what is read: the end of a bundle, or a trust file. */
export const INPUT_BYTES_MAX: u32 = 65536 + 16384 + 64;
/** Where it is put. */
export const input: usize = memory.data(65536 + 16384 + 64, 16);

/** Cells that hold what was read: a number (u64), or where a text begins in `input` (u32) and its length (u32). */
export const CELLS_MAX: u32 = 192;
/** Where they are. */
export const cells: usize = memory.data(192 * 8, 16);

/** Where cell `index` is. */
export function cellAt(index: u32): usize {
  return cells + (<usize>index << 3);
}
