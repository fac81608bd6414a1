/**
 * Finds the kernel command line inside a unified kernel image: section ".cmdline" of a PE file.
 *
 * https://uapi-group.org/specifications/specs/unified_kernel_image/, Microsoft PE format.
 */

/** Bytes from the start of a kernel image in which its headers lie. */
const KERNEL_IMAGE_HEADER_BYTES = 4096;
/** Longest kernel command line on x86-64 (COMMAND_LINE_SIZE). */
const COMMAND_LINE_BYTES_MAX = 2048;
const SECTION_HEADER_BYTES = 40;
const SECTIONS_MAX = 64;
const COFF_BYTES = 24;

/** A piece of a kernel image. */
export interface ImagePiece {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

/**
 * The command line in a kernel image, without the zeros at its end; undefined when there is none, or not all of it.
 *
 * @param read gives a piece of the image, shorter where it ends, or undefined when it is not there
 */
export async function kernelCommandLine(
  read: (piece: ImagePiece) => Promise<Buffer | undefined>,
): Promise<string | undefined> {
  const header = await read({ offsetBytes: 0, lengthBytes: KERNEL_IMAGE_HEADER_BYTES });
  const place = header === undefined ? undefined : commandLinePlace(header);
  const line = place === undefined ? undefined : await read(place);
  if (line === undefined || line.length !== place?.lengthBytes) return undefined;
  return line.toString('latin1').replace(/\0+$/, '');
}

/** Where in the file the command line is; undefined when `header` is not the start of a unified kernel image. */
function commandLinePlace(header: Buffer): ImagePiece | undefined {
  if (header.length < 64 || header.toString('latin1', 0, 2) !== 'MZ') return undefined;
  const pe = header.readUInt32LE(60);
  if (pe > header.length - COFF_BYTES || header.toString('latin1', pe, pe + 4) !== 'PE\0\0') {
    return undefined;
  }
  const sections = Math.min(header.readUInt16LE(pe + 6), SECTIONS_MAX);
  const table = pe + COFF_BYTES + header.readUInt16LE(pe + 20);
  for (let index = 0; index < sections; index += 1) {
    const at = table + index * SECTION_HEADER_BYTES;
    if (at > header.length - SECTION_HEADER_BYTES) return undefined;
    if (header.toString('latin1', at, at + 8) !== '.cmdline') continue;
    const lengthBytes = Math.min(header.readUInt32LE(at + 8), COMMAND_LINE_BYTES_MAX);
    return { offsetBytes: header.readUInt32LE(at + 20), lengthBytes };
  }
  return undefined;
}
