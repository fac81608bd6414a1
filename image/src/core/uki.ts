/**
 * Unified kernel images: systemd's EFI stub with the kernel and its command line as further sections.
 *
 *     stub sections | .osrel | .cmdline | .uname | .linux
 *
 * https://uapi-group.org/specifications/specs/unified_kernel_image/. `.linux` is last: the stub may hand the memory
 * behind it to the kernel.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { addPeSections, parsePe, peSection } from './pe.ts';

/** Largest kernel command line on x86-64, in bytes with its end (COMMAND_LINE_SIZE). */
const COMMAND_LINE_BYTES_MAX = 2048;

/** Parts of a unified kernel image. */
export interface UkiParts {
  /** linuxx64.efi.stub */
  readonly stub: Uint8Array;
  /** bzImage with an EFI stub of its own. */
  readonly kernel: Uint8Array;
  readonly commandLine: string;
  /** Contents of os-release. */
  readonly osRelease: string;
  /** Kernel release, as `uname -r` prints it. */
  readonly kernelRelease: string;
}

/**
 * Bytes of a unified kernel image. Equal parts give equal bytes.
 *
 * @throws KeelError E_IMAGE_INVALID when stub or kernel is not an EFI program.
 * @throws RangeError when the command line is longer than the kernel takes.
 */
export function buildUki(parts: UkiParts): Buffer {
  if (Buffer.byteLength(parts.commandLine) >= COMMAND_LINE_BYTES_MAX) {
    throw new RangeError(`Cannot build kernel image: command line of ${parts.commandLine.length}`);
  }
  if (!/^[\x20-\x7e]+$/.test(parts.commandLine)) {
    throw new RangeError('Cannot build kernel image: the command line is not printable ASCII');
  }
  parsePe(parts.kernel);
  return addPeSections(parts.stub, [
    { name: '.osrel', data: Buffer.from(parts.osRelease) },
    { name: '.cmdline', data: Buffer.from(parts.commandLine) },
    { name: '.uname', data: Buffer.from(parts.kernelRelease) },
    { name: '.linux', data: parts.kernel },
  ]);
}

/** What a unified kernel image says about itself. */
export interface UkiFacts {
  readonly commandLine: string;
  readonly osRelease: string;
  readonly kernelRelease: string;
  readonly kernelBytes: number;
}

/**
 * Reads a unified kernel image.
 *
 * @throws KeelError E_IMAGE_INVALID when it is not one.
 */
export function readUki(bytes: Uint8Array): UkiFacts {
  const text = (name: string) => {
    const section = peSection(bytes, name);
    if (section === undefined) {
      throw new KeelError('E_IMAGE_INVALID', `Cannot read kernel image: no section ${name}`);
    }
    return section.toString('utf8');
  };
  const kernel = peSection(bytes, '.linux');
  if (kernel === undefined) {
    throw new KeelError('E_IMAGE_INVALID', 'Cannot read kernel image: no section .linux');
  }
  return {
    commandLine: text('.cmdline'),
    osRelease: text('.osrel'),
    kernelRelease: text('.uname'),
    kernelBytes: kernel.length,
  };
}

/**
 * `uname -r` of a bzImage, from its own header (Documentation/arch/x86/boot.rst, kernel_version).
 *
 * @throws KeelError E_IMAGE_INVALID when it is not a bzImage.
 */
export function kernelRelease(kernel: Uint8Array): string {
  const image = Buffer.from(kernel.buffer, kernel.byteOffset, kernel.byteLength);
  if (image.length < 0x250 || image.toString('latin1', 0x202, 0x206) !== 'HdrS') {
    throw new KeelError('E_IMAGE_INVALID', 'Cannot read kernel: not a bzImage');
  }
  const at = image.readUInt16LE(0x20e) + 0x200;
  const text = image.toString('latin1', at, at + 128);
  const release = /^[\x21-\x7e]+/.exec(text)?.[0];
  if (release === undefined) {
    throw new KeelError('E_IMAGE_INVALID', 'Cannot read kernel: it names no release');
  }
  return release;
}
