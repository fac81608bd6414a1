/** Kernel images that start nothing, and have their kernel where a real one has it: for the tests of deltas. */
import { packKernel } from '@keelos/as-core/kernel-packing.ts';
import { addPeSections } from '@keelos/image/core/pe.ts';
import {
  bundleOf,
  newEntries,
  noise,
  oldEntries,
  program,
  type Sample,
  sampleOf,
} from './delta-samples.ts';

const HEADERS_BYTES = 1024;
const ALIGNMENT = 512;
const COFF_AT = 0x84;
const OPTIONAL_AT = COFF_AT + 20;
const OPTIONAL_BYTES = 112;

/** An EFI program with one section, which does nothing. */
function emptyProgram(): Buffer {
  const program = Buffer.alloc(HEADERS_BYTES + ALIGNMENT);
  program.writeUInt16LE(1, COFF_AT + 2);
  const sectionAt = OPTIONAL_AT + OPTIONAL_BYTES;
  program.write('.text', sectionAt, 'latin1');
  for (const at of [8, 16]) program.writeUInt32LE(ALIGNMENT, sectionAt + at);
  for (const at of [12, 20]) program.writeUInt32LE(HEADERS_BYTES, sectionAt + at);
  program.write('MZ', 0, 'latin1');
  program.writeUInt32LE(COFF_AT - 4, 0x3c);
  program.write('PE\0\0', COFF_AT - 4, 'latin1');
  program.writeUInt16LE(0x8664, COFF_AT);
  program.writeUInt16LE(OPTIONAL_BYTES, COFF_AT + 16);
  program.writeUInt16LE(0x20b, OPTIONAL_AT);
  program.writeUInt32LE(ALIGNMENT, OPTIONAL_AT + 32);
  program.writeUInt32LE(ALIGNMENT, OPTIONAL_AT + 36);
  program.writeUInt32LE(HEADERS_BYTES, OPTIONAL_AT + 56);
  program.writeUInt32LE(HEADERS_BYTES, OPTIONAL_AT + 60);
  return program;
}

const SETUP_SECTORS = 3;
const PAYLOAD_OFFSET = 300;
const SIZE_BYTES = 4;

/** A bzImage around a packed kernel: header, what unpacks it, the frame and its size, and what lies behind. */
export function bzImage(frame: Uint8Array, unpackedBytes: number): Buffer {
  const head = noise((SETUP_SECTORS + 1) * 512 + PAYLOAD_OFFSET, 77);
  head[0x1f1] = SETUP_SECTORS;
  head.write('HdrS', 0x202, 'latin1');
  head.writeUInt16LE(0x20f, 0x206);
  head.writeUInt32LE(PAYLOAD_OFFSET, 0x248);
  head.writeUInt32LE(frame.length + SIZE_BYTES, 0x24c);
  const size = Buffer.alloc(SIZE_BYTES);
  size.writeUInt32LE(unpackedBytes);
  return Buffer.concat([head, frame, size, noise(9000, 78)]);
}

/** The frame of a kernel. */
export async function kernelFrame(content: Uint8Array): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of packKernel([content], content.length)) parts.push(part);
  return Buffer.concat(parts);
}

/** A kernel image with this kernel. */
export function kernelImage(of: {
  readonly frame: Uint8Array;
  readonly unpackedBytes: number;
  readonly commandLine: string;
}): Buffer {
  return addPeSections(emptyProgram(), [
    { name: '.cmdline', data: Buffer.from(of.commandLine) },
    { name: '.linux', data: bzImage(of.frame, of.unpackedBytes) },
  ]);
}

/** {@link kernelImage} of a kernel that is packed as the build packs it. */
export async function packedKernelImage(content: Buffer, commandLine: string): Promise<Buffer> {
  const frame = await kernelFrame(content);
  return kernelImage({ frame, unpackedBytes: content.length, commandLine });
}

/** A kernel. */
export const KERNEL = program(700_000, 11);

/** The same, of which some instructions changed, and into which some came. */
export function newKernel(): Buffer {
  const kernel = Buffer.concat([
    KERNEL.subarray(0, 300_000),
    Buffer.from('a fix'),
    KERNEL.subarray(300_000),
  ]);
  for (let at = 500_000; at < 500_400; at += 40) kernel[at] = (kernel[at] ?? 0) ^ 0xff;
  return kernel;
}

/** Two releases with these kernel images. */
export async function bundles(oldUki: Buffer, newUki: Buffer): Promise<[Buffer, Buffer]> {
  return [
    await bundleOf({ version: '1.0.0', entries: oldEntries(), uki: oldUki }),
    await bundleOf({ version: '1.0.1', entries: newEntries(), uki: newUki }),
  ];
}

/** Two releases with another kernel, and the delta between them. */
export async function kernelSample(kernel = KERNEL, fresh = newKernel()): Promise<Sample> {
  const uki = await packedKernelImage(kernel, 'root=old');
  const newUki = await packedKernelImage(fresh, 'root=new');
  return sampleOf(...(await bundles(uki, newUki)));
}
