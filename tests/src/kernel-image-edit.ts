/** Changes kernel images of built releases, so that a test needs no build of its own for each variation. */
import { kernelCommandLine, type VerityFacts } from '@keelos/image/core/command-line.ts';
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
