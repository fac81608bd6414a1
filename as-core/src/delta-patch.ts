/**
 * Codes new bytes as a patch of old ones (docs/reference/delta-coder.md): copy list, address tables, and what is left when
 * addresses have been predicted. `PatchDecoder` makes the new bytes again.
 */
import { crc32 } from 'node:zlib';
import {
  type AddressBase,
  type AddressRegion,
  type AddressTables,
  BASES_MAX,
  NO_ADDRESSES,
  REGIONS_MAX,
} from './delta-addresses.ts';
import { type Copy, checkCopies } from './delta-copy.ts';
import { PatchInstance, SIDE_BYTES_MAX, Wants } from './delta-patch-instance.ts';
import { expectOk } from './status.ts';

const ACTION = 'encode a patch';

/** Most copies of a patch: when there are more, the shortest are left out. */
export const COPIES_MAX = 2 ** 18;
/** Most spans of a patch. */
export const SPANS_MAX = 2 ** 17;

/** Bytes that a patch makes for one piece, and how far an encoder looks beyond it. */
const PIECE_BYTES = 65_536;
const BEYOND_BYTES = 2048;

const COPY_BYTES = 12;
const SPAN_BYTES = 8;
const REGION_BYTES = 32;
const BASE_BYTES = 32;

/** A range of the new bytes. */
export interface Span {
  readonly offset: number;
  readonly length: number;
}

/** What a patch is made of. */
export interface PatchInput {
  readonly old: Uint8Array;
  readonly new: Uint8Array;
  readonly copies: readonly Copy[];
  /**
   * The new bytes that the patch makes, sorted, without overlap; all of them when left out. Copies of other bytes only say
   * where things went.
   */
  readonly spans?: readonly Span[];
  /** Makes the patch smaller when there is machine code in it. */
  readonly addresses?: AddressTables;
  /** Called after each piece with the new bytes that are done. */
  readonly onProgress?: (bytesDone: number) => void;
}

/**
 * The patch.
 *
 * @param module of `compileModule('delta-coder')`
 * @throws RangeError when the copy list, the spans or the address tables are out of order, or a side is 4 GiB or more
 */
export function encodePatch(module: WebAssembly.Module, input: PatchInput): Uint8Array {
  const { old, new: fresh, addresses = NO_ADDRESSES } = input;
  if (old.length > SIDE_BYTES_MAX || fresh.length > SIDE_BYTES_MAX) {
    throw new RangeError(`Cannot ${ACTION}: sides of ${old.length} and ${fresh.length} bytes`);
  }
  checkCopies(addresses.copies ?? input.copies, old.length, fresh.length);
  const spans = (input.spans ?? [{ offset: 0, length: fresh.length }]).filter(
    ({ length }) => length > 0,
  );
  checkSpans(spans, fresh.length);
  checkRegions(addresses.oldRegions, old.length);
  checkRegions(addresses.newRegions, fresh.length);
  if (addresses.bases.length > BASES_MAX) throw new RangeError(`Cannot ${ACTION}: too many bases`);
  const instance = new PatchInstance(module, (offset, target) =>
    target.set(old.subarray(offset, offset + target.length)),
  );
  const copies = longest(addresses.copies ?? input.copies);
  writeRecords(instance, { copies, spans, addresses });
  const status = instance.exports.beginEncoder(
    old.length,
    fresh.length,
    addresses.oldRegions.length,
    addresses.newRegions.length,
    addresses.bases.length,
    copies.length,
    spans.length,
    spans.reduce(
      (crc, { offset, length }) => crc32(fresh.subarray(offset, offset + length), crc),
      0,
    ),
  );
  expectOk(status, ACTION);
  return encodePieces(instance, new SpanReader(fresh, spans), input.onProgress);
}

function encodePieces(
  instance: PatchInstance,
  reader: SpanReader,
  onProgress: ((bytesDone: number) => void) | undefined,
): Uint8Array {
  const { exports } = instance;
  const piece = instance.view(exports.piecePointer(), PIECE_BYTES + BEYOND_BYTES);
  const parts: Uint8Array[] = [];
  reader.read(0, piece);
  for (let done = 0, wanted: number = Wants.piece; wanted !== Wants.nothing; ) {
    wanted = instance.run(ACTION);
    parts.push(instance.view(exports.streamPointer(), exports.streamBytes()).slice());
    exports.streamTaken();
    if (wanted !== Wants.piece) continue;
    done += PIECE_BYTES;
    expectOk(exports.pieceTaken(), ACTION);
    reader.read(done, piece);
    onProgress?.(done);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** The bytes of the spans as if they were one string. Places that are asked for only grow. */
class SpanReader {
  readonly #bytes: Uint8Array;
  readonly #spans: readonly Span[];
  #index = 0;
  /** Where the span begins in the string. */
  #start = 0;

  constructor(bytes: Uint8Array, spans: readonly Span[]) {
    this.#bytes = bytes;
    this.#spans = spans;
  }

  /** Fills `target` from `place` on, as far as there are bytes. */
  read(place: number, target: Uint8Array): void {
    let span = this.#spans[this.#index];
    while (span !== undefined && this.#start + span.length <= place) {
      this.#start += span.length;
      this.#index += 1;
      span = this.#spans[this.#index];
    }
    let [index, start] = [this.#index, this.#start];
    for (let done = 0; done < target.length && span !== undefined; ) {
      const skipped = place + done - start;
      const count = Math.min(span.length - skipped, target.length - done);
      const from = span.offset + skipped;
      target.set(this.#bytes.subarray(from, from + count), done);
      done += count;
      start += span.length;
      index += 1;
      span = this.#spans[index];
    }
  }
}

function longest(copies: readonly Copy[]): readonly Copy[] {
  if (copies.length <= COPIES_MAX) return copies;
  const lengths = copies.map(({ length }) => length).sort((a, b) => b - a);
  const shortest = lengths[COPIES_MAX] ?? 0;
  return copies.filter(({ length }) => length > shortest);
}

function checkSpans(spans: readonly Span[], newBytes: number): void {
  if (spans.length > SPANS_MAX) throw new RangeError(`Cannot ${ACTION}: ${spans.length} spans`);
  let end = 0;
  for (const { offset, length } of spans) {
    if (offset < end || offset + length > newBytes) {
      throw new RangeError(`Cannot ${ACTION}: a span at ${offset} of ${length} bytes`);
    }
    end = offset + length;
  }
}

function checkRegions(regions: readonly AddressRegion[], sideBytes: number): void {
  let end = 0;
  for (const { offset, bytes } of regions) {
    if (offset < end || offset + bytes > sideBytes) {
      throw new RangeError(`Cannot ${ACTION}: a region at ${offset} of ${bytes} bytes`);
    }
    end = offset + bytes;
  }
  if (regions.length > REGIONS_MAX) throw new RangeError(`Cannot ${ACTION}: too many regions`);
}

function writeRecords(
  { exports, memory }: PatchInstance,
  records: {
    readonly copies: readonly Copy[];
    readonly spans: readonly Span[];
    readonly addresses: AddressTables;
  },
): void {
  const view = new DataView(memory.buffer);
  for (const [index, { newOffset, length, oldOffset }] of records.copies.entries()) {
    const at = exports.copiesPointer() + index * COPY_BYTES;
    view.setUint32(at, newOffset, true);
    view.setUint32(at + 4, length, true);
    view.setUint32(at + 8, oldOffset, true);
  }
  for (const [index, { offset, length }] of records.spans.entries()) {
    const at = exports.spansPointer() + index * SPAN_BYTES;
    view.setUint32(at, offset, true);
    view.setUint32(at + 4, length, true);
  }
  const { oldRegions, newRegions, bases } = records.addresses;
  writeRegions(view, exports.oldRegionsPointer(), oldRegions);
  writeRegions(view, exports.newRegionsPointer(), newRegions);
  writeBases(view, exports.basesPointer(), bases);
}

function writeRegions(view: DataView, pointer: number, regions: readonly AddressRegion[]): void {
  for (const [index, { address, memoryBytes, offset, bytes, file }] of regions.entries()) {
    const at = pointer + index * REGION_BYTES;
    view.setBigUint64(at, address, true);
    view.setBigUint64(at + 8, memoryBytes, true);
    view.setUint32(at + 16, offset, true);
    view.setUint32(at + 20, bytes, true);
    view.setUint32(at + 24, file, true);
  }
}

function writeBases(view: DataView, pointer: number, bases: readonly AddressBase[]): void {
  for (const [
    index,
    { oldAddress, newAddress, oldFile, newFile, kind, extra },
  ] of bases.entries()) {
    const at = pointer + index * BASE_BYTES;
    view.setBigUint64(at, oldAddress, true);
    view.setBigUint64(at + 8, newAddress, true);
    view.setUint32(at + 16, oldFile, true);
    view.setUint32(at + 20, newFile, true);
    view.setUint32(at + 24, kind, true);
    view.setUint32(at + 28, extra, true);
  }
}
