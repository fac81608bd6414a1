/**
 * The matcher of deltas in WebAssembly: for each part of the new bytes, where the old bytes are that resemble it most.
 */
/// <reference path="./web-assembly.d.ts" />
import { exactCopies, type Stretch } from './delta-borders.ts';
import type { Copy } from './delta-copy.ts';
import { compileModule } from './load.ts';
import { expectOk } from './status.ts';

interface Exports {
  place(oldBytes: number, newBytes: number, tableLog: number): bigint;
  oldPointer(): number;
  newPointer(): number;
  nodesPointer(): number;
  match(sampleLog: number): number;
  lastNode(): number;
}

/** Limits of a match. */
export interface MatchOptions {
  /** Most bytes that the matcher takes for itself, its copies of both sides included. */
  readonly memoryBytesMax?: number | undefined;
}

/** The larger side that can be matched: differences of offsets have 32 bits. */
export const MATCH_BYTES_MAX = 0x7fff_fff0;

const PAGE_BYTES = 65_536;
/** A larger table takes longer to fill than what it finds is worth. */
const TABLE_LOG_MAX = 26;
const TABLE_LOG_MIN = 12;
const ENTRY_BYTES = 4;
/** A table is to be four fifths full at most. */
const ROOM_PER_ENTRY = 1.25;
const SAMPLE_LOG_MAX = 8;
const BLOCK_BYTES = 16;
const NODE_BYTES = 12;
const NO_NODE = 0xffff_ffff;
const NO_SHIFT = 0x7fff_ffff;

/** Of how many windows one is in a table of which size. */
interface Table {
  readonly tableLog: number;
  readonly sampleLog: number;
}

/** Matches pairs of any size, one after the other; holds nothing between. */
export class DeltaMatcher {
  readonly #module: WebAssembly.Module;

  /** For a module of `compileModule('delta-match')`. */
  constructor(module: WebAssembly.Module) {
    this.#module = module;
  }

  /**
   * The copy list that makes `fresh` out of `old` with the fewest bytes to add.
   *
   * @throws RangeError when a side is too large, or the memory too small
   */
  match(old: Uint8Array, fresh: Uint8Array, options: MatchOptions = {}): Copy[] {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 2 ** 16 });
    const { exports } = new WebAssembly.Instance(this.#module, { env: { memory } });
    const own = exports as unknown as Exports;
    const table = fittingTable(own, { old, fresh, ...options });
    const bytes = Number(own.place(old.length, fresh.length, table.tableLog));
    memory.grow(Math.ceil(bytes / PAGE_BYTES) - 1);
    const view = new Uint8Array(memory.buffer);
    view.set(old, own.oldPointer() >>> 0);
    view.set(fresh, own.newPointer() >>> 0);
    expectOk(own.match(table.sampleLog), 'match bytes');
    const nodes = new DataView(memory.buffer, own.nodesPointer() >>> 0);
    const stretches = stretchesOf(nodes, { last: own.lastNode() >>> 0, old, fresh });
    return exactCopies(stretches, old, fresh);
  }
}

/** A matcher with a module of its own. */
export async function createDeltaMatcher(): Promise<DeltaMatcher> {
  return new DeltaMatcher(await compileModule('delta-match'));
}

/** The table that has the most windows and still fits. */
function fittingTable(
  own: Exports,
  of: MatchOptions & { readonly old: Uint8Array; readonly fresh: Uint8Array },
): Table {
  const { old, fresh, memoryBytesMax = Number.POSITIVE_INFINITY } = of;
  if (Math.max(old.length, fresh.length) > MATCH_BYTES_MAX) {
    throw new RangeError(`Cannot match more than ${MATCH_BYTES_MAX} bytes`);
  }
  let leastBytes = 0;
  for (let sampleLog = 0; sampleLog <= SAMPLE_LOG_MAX; sampleLog++) {
    const entries = Math.ceil(old.length / 2 ** sampleLog);
    const wanted = Math.ceil(Math.log2(Math.max(1, entries * ENTRY_BYTES * ROOM_PER_ENTRY)));
    const tableLog = Math.max(TABLE_LOG_MIN, wanted);
    if (tableLog > TABLE_LOG_MAX) continue;
    leastBytes = Number(own.place(old.length, fresh.length, tableLog));
    if (leastBytes > 0 && leastBytes <= memoryBytesMax) return { tableLog, sampleLog };
  }
  throw new RangeError(`Cannot match ${old.length} with ${fresh.length} bytes: too little memory`);
}

/** Walks a path back to its first node. */
function stretchesOf(
  nodes: DataView,
  of: { readonly last: number; readonly old: Uint8Array; readonly fresh: Uint8Array },
): Stretch[] {
  const stretches: Stretch[] = [];
  let endBlock = Math.floor(of.fresh.length / BLOCK_BYTES);
  for (let node = of.last; node !== NO_NODE; node = nodes.getUint32(node * NODE_BYTES + 8, true)) {
    const firstBlock = nodes.getUint32(node * NODE_BYTES, true);
    const shift = nodes.getInt32(node * NODE_BYTES + 4, true);
    const start = Math.max(firstBlock * BLOCK_BYTES, -shift);
    const end = Math.min(endBlock * BLOCK_BYTES, of.old.length - shift);
    if (shift !== NO_SHIFT && end > start) stretches.push({ start, end, shift });
    endBlock = firstBlock;
  }
  return stretches.reverse();
}
