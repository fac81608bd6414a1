/** Every medium that a recorded course of events may leave when its power is cut, each once. */
import { Random } from '../fuzz/random.ts';
import type { Medium } from './medium.ts';
import { type CutMedium, mediumAfterCut, type StorageEvent } from './medium.ts';
import { SURVIVALS, type Survival } from './survival.ts';

/** One cut. */
export interface CutPoint extends CutMedium {
  /** Events that happened before it. */
  readonly count: number;
  readonly survival: Survival;
  /** Of several with the same count and survival. */
  readonly round: number;
}

/** What was recorded. */
export interface Recording {
  readonly base: Medium;
  readonly events: readonly StorageEvent[];
}

/** How often a cut that is drawn is drawn again at the same place. */
const ROUNDS: Readonly<Record<Survival, number>> = { none: 1, all: 1, newest: 1, torn: 2, some: 3 };
/** Of so many sectors every subset is tried. */
const EXHAUSTIVE_SECTORS_MAX = 4;

/** One medium of a recording: equal arguments, equal media. */
export function cutPoint(
  { base, events }: Recording,
  at: { readonly count: number; readonly survival: Survival; readonly round: number },
  seed: number,
): CutPoint {
  const { count, survival, round } = at;
  const index = (count * SURVIVALS.length + SURVIVALS.indexOf(survival)) * 64 + round;
  const random = new Random(seed, index);
  const draw = (below: number) => random.below(below);
  return { ...mediumAfterCut({ base, events, count }, survival, draw), count, survival, round };
}

/** Every subset of a few sectors: the tosses of coin are the digits of `round`. */
function subset({ base, events }: Recording, count: number, round: number): CutPoint {
  let tosses = 0;
  const draw = (below: number) => {
    if (below !== 2) return 0;
    tosses += 1;
    return (round >> (tosses - 1)) & 1;
  };
  const survival = 'some';
  return { ...mediumAfterCut({ base, events, count }, survival, draw), count, survival, round };
}

/** All media of a recording that differ, from the first event to the last. */
export function* cutPoints(recording: Recording, seed: number): Generator<CutPoint> {
  const seen = new Set<string>();
  for (let count = 0; count <= recording.events.length; count += 1) {
    // What changes nothing on any medium leads to no new one.
    if (recording.events[count - 1]?.kind === 'mark') continue;
    for (const point of pointsAfter(recording, count, seed)) {
      if (seen.has(point.key)) continue;
      seen.add(point.key);
      yield point;
    }
  }
}

function* pointsAfter(recording: Recording, count: number, seed: number): Generator<CutPoint> {
  let unflushed = 0;
  for (const survival of SURVIVALS) {
    for (let round = 0; round < ROUNDS[survival]; round += 1) {
      const point = cutPoint(recording, { count, survival, round }, seed);
      unflushed = point.unflushedSectors;
      yield point;
    }
  }
  if (unflushed < 2 || unflushed > EXHAUSTIVE_SECTORS_MAX) return;
  for (let round = 0; round < 2 ** unflushed; round += 1) yield subset(recording, count, round);
}

/** What the machine was at when the power failed. */
export function markBefore(events: readonly StorageEvent[], count: number): string {
  const mark = events.slice(0, count).findLast((event) => event.kind === 'mark');
  return mark?.kind === 'mark' ? mark.text : 'the beginning';
}

/** One event in words. */
export function eventText(event: StorageEvent | undefined): string {
  switch (event?.kind) {
    case undefined:
      return 'nothing';
    case 'write':
      return `write of ${event.bytes.length} bytes to ${event.device} (byte ${event.offsetBytes} of the disk)`;
    case 'flush':
      return `flush of ${event.device}`;
    case 'variable':
      return `${event.variable === undefined ? 'removal' : 'change'} of variable ${event.name}`;
    case 'mark':
      return event.text;
    case 'create':
      return `creation of ${event.path}`;
    case 'rename':
      return `rename of ${event.from} to ${event.to}`;
    case 'unlink':
      return `removal of ${event.path}`;
    case 'data':
      return `write of ${event.bytes.length} bytes to file ${event.file}`;
    case 'sync':
      return event.file === undefined ? 'sync of a folder' : `sync of file ${event.file}`;
  }
}
