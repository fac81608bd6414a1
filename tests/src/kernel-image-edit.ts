/** Changes kernel images of built releases, so that a test needs no build of its own for each variation. */
import { zstdDecompressSync } from 'node:zlib';
import { packKernel } from '@keelos/as-core/kernel-packing.ts';
import { kernelCommandLine, type VerityFacts } from '@keelos/image/core/command-line.ts';
import { kernelPayload } from '@keelos/image/core/kernel-payload.ts';
import { parsePe, peSection } from '@keelos/image/core/pe.ts';
import { buildUki, readUki } from '@keelos/image/core/uki.ts';

/** What `buildUki` adds to the stub, in this order (image/src/core/uki.ts). */
const ADDED = ['.osrel', '.cmdline', '.uname', '.linux'] as const;
const SECTION_COUNT_AT = 2;
const MACHINE_AT = 0;
const MACHINE_AARCH64 = 0xaa64;

/** systemd's stub alone: a kernel image without what was added to it. */
function stubOf(uki: Uint8Array): Buffer {
  const { sections, coffOffset } = parsePe(uki);
  const added = sections.slice(-ADDED.length);
  const first = added[0];
  if (first === undefined || added.some(({ name }, at) => name !== ADDED[at])) {
    throw new RangeError(`not a kernel image of ours: ${sections.map(({ name }) => name).join()}`);
  }
  const stub = Buffer.from(uki.subarray(0, first.rawOffset));
  stub.writeUInt16LE(sections.length - ADDED.length, coffOffset + SECTION_COUNT_AT);
  return stub;
}

/** The same kernel with another command line. */
export function withCommandLine(uki: Uint8Array, change: (commandLine: string) => string): Buffer {
  const { commandLine, osRelease, kernelRelease } = readUki(uki);
  const kernel = peSection(uki, '.linux');
  if (kernel === undefined) throw new RangeError('a kernel image without a kernel');
  return buildUki({
    stub: stubOf(uki),
    kernel,
    commandLine: change(commandLine),
    osRelease,
    kernelRelease,
  });
}

/** A message of a driver that no test machine has. */
const MESSAGE = 'WARNING: Intel (R) Network Connections are quality tested';

/** Another kernel that starts like this one: a message of it is blank. Its frame is shorter, what is left of it stays. */
export async function withOtherKernel(uki: Uint8Array): Promise<Buffer> {
  const payload = kernelPayload(uki);
  if (payload === undefined) throw new RangeError('a kernel image whose kernel cannot be unpacked');
  const { offset, packedBytes } = payload;
  const kernel = zstdDecompressSync(uki.subarray(offset, offset + packedBytes));
  const at = kernel.indexOf(MESSAGE);
  const end = kernel.indexOf(0, at);
  if (at < 0 || end < 0) throw new RangeError(`a kernel without "${MESSAGE}"`);
  kernel.fill(' ', at, end);
  const parts: Uint8Array[] = [];
  for await (const part of packKernel([kernel], kernel.length)) parts.push(part);
  const frame = Buffer.concat(parts);
  if (frame.length > packedBytes) throw new RangeError(`${frame.length} bytes of ${packedBytes}`);
  const copy = Buffer.from(uki);
  copy.fill(0, offset, offset + packedBytes);
  frame.copy(copy, offset);
  return copy;
}

/** The same kernel for another root. Options that a release has beyond the usual ones are lost. */
export function forRoot(uki: Uint8Array, verity: VerityFacts): Buffer {
  return withCommandLine(uki, () => kernelCommandLine(verity));
}

/** The same bytes under the name of another processor: firmware does not load it, everything else about it is right. */
export function forOtherProcessor(uki: Uint8Array): Buffer {
  const copy = Buffer.from(uki);
  copy.writeUInt16LE(MACHINE_AARCH64, parsePe(uki).coffOffset + MACHINE_AT);
  return copy;
}
