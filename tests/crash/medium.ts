/**
 * What outlives a power cut, and what a cut leaves of it.
 *
 * A machine notes everything that it does to its storage as events, in order. {@link mediumAfterCut} takes a number of
 * them and a choice, and gives a medium that such a machine may leave when its power fails there: what was flushed is on
 * it, and of the rest whatever the choice says, sector by sector.
 */
import { type FileEvent, type FileNames, type PendingFiles, pendingFiles } from './file-names.ts';
import { SECTOR_BYTES, type Sectors } from './sectors.ts';
import { type Draw, type Survival, survivors } from './survival.ts';

/** A firmware variable. */
export interface StoredVariable {
  readonly attributes: number;
  readonly data: Uint8Array;
}

/** What outlives a power cut. */
export interface Medium {
  readonly disk: Sectors;
  /** The state partition. It is modelled as names and contents, not as sectors. */
  readonly files: FileNames;
  /** Variables of the firmware, by name with their GUID. */
  readonly variables: ReadonlyMap<string, StoredVariable>;
}

/** One thing that was done to storage. */
export type StorageEvent =
  /** Whole sectors, to the page cache of a device. `bytes` is what reaches the medium, `offsetBytes` counts from the start of the disk. */
  | {
      readonly kind: 'write';
      readonly device: string;
      readonly offsetBytes: number;
      readonly bytes: Uint8Array;
    }
  /** Everything that was written through this device is on the medium. */
  | { readonly kind: 'flush'; readonly device: string }
  /** Firmware keeps each variable whole, and has it when it answers. Undefined: removed. */
  | {
      readonly kind: 'variable';
      readonly name: string;
      readonly variable: StoredVariable | undefined;
    }
  /** Nothing is done to storage: says in a report what the machine was at. */
  | { readonly kind: 'mark'; readonly text: string }
  | FileEvent;

/** A medium, and what tells it from every other that the same events could leave. */
export interface CutMedium {
  readonly medium: Medium;
  /** Equal keys, equal media. */
  readonly key: string;
  /** Sectors of disk that were written and not flushed. */
  readonly unflushedSectors: number;
}

/** The first `count` of a machine's events on a medium. */
export interface Cut {
  readonly base: Medium;
  readonly events: readonly StorageEvent[];
  /** How many of them happened before the power failed, whether they were durable or not. */
  readonly count: number;
}

type WriteEvent = Extract<StorageEvent, { kind: 'write' }>;

/** What the events left in caches. */
interface Pending {
  /** In the order in which they were written, each with its place in the list of events. */
  readonly writes: readonly { readonly event: WriteEvent; readonly index: number }[];
  readonly files: PendingFiles;
  /** Place of the last event that brought something to the medium. */
  readonly lastDurable: number;
}

/** Applies what is durable; returns what is not. */
function replay(
  cut: Cut,
  medium: { readonly disk: Sectors; readonly variables: Map<string, StoredVariable> },
): Pending {
  let writes: { event: WriteEvent; index: number }[] = [];
  const files = pendingFiles(cut.base.files);
  let lastDurable = -1;
  for (let index = 0; index < cut.count; index += 1) {
    const event = cut.events[index];
    if (event === undefined) break;
    if (event.kind === 'write') {
      writes.push({ event, index });
    } else if (event.kind === 'flush') {
      const flushed = writes.filter(({ event: { device } }) => device === event.device);
      for (const { event: write } of flushed) medium.disk.write(write.offsetBytes, write.bytes);
      writes = writes.filter(({ event: { device } }) => device !== event.device);
      if (flushed.length > 0) lastDurable = index;
    } else if (event.kind === 'variable') {
      if (event.variable === undefined) medium.variables.delete(event.name);
      else medium.variables.set(event.name, event.variable);
      lastDurable = index;
    } else if (event.kind !== 'mark' && files.add(event, index)) {
      lastDurable = index;
    }
  }
  return { writes, files, lastDurable };
}

/** What is left when the power fails. Of a draw, equal numbers give equal media. */
export function mediumAfterCut(cut: Cut, survival: Survival, draw: Draw): CutMedium {
  const disk = cut.base.disk.copy();
  const variables = new Map(cut.base.variables);
  const { writes, files, lastDurable } = replay(cut, { disk, variables });
  const kept: string[] = [];
  for (const [position, { event, index }] of writes.entries()) {
    const sectors = survivors({
      survival,
      draw,
      count: event.bytes.length / SECTOR_BYTES,
      isLast: position === writes.length - 1,
    });
    for (const sector of sectors) {
      const from = sector * SECTOR_BYTES;
      disk.write(event.offsetBytes + from, event.bytes.subarray(from, from + SECTOR_BYTES));
    }
    if (sectors.length > 0) kept.push(`${index}:${sectors.join(',')}`);
  }
  const left = files.afterCut(survival, draw);
  const medium = { disk, files: left.files, variables };
  const unflushedSectors =
    writes.reduce((sum, { event }) => sum + event.bytes.length, 0) / SECTOR_BYTES;
  return { medium, unflushedSectors, key: `${lastDurable}|${kept.join(' ')}|${left.key}` };
}

/** Everything that the events wrote, as after an orderly end. */
export function mediumAfterSync(cut: Cut): Medium {
  return mediumAfterCut(cut, 'all', () => 0).medium;
}
