/** What both slots are to the boot loader, for the API. Pure. */
import { isSpent } from '@keelos/proto/boot-entry.ts';
import {
  type BootPicture,
  nextEntry,
  type PictureEntry,
  type PictureSlot,
  type SlotName,
} from './boot-state.ts';

/** What a slot is to the loader. */
export type SlotState = 'empty' | 'partial' | 'armed' | 'trial' | 'committed' | 'failed';

/** Facts of one slot for the API. */
export interface SlotFacts {
  readonly slot: SlotName;
  readonly device: string;
  readonly sizeBytes: number;
  readonly isRunning: boolean;
  /** The loader will start it next. */
  readonly isNext: boolean;
  readonly state: SlotState;
  readonly version: string;
  readonly rootHash: string;
  /** File name of its entry; empty when it has none. */
  readonly entry: string;
  /** Absent: not counted, or no entry. */
  readonly triesLeft?: number;
}

/** What the node knows besides the picture. */
export interface SlotKnowledge {
  /** Root hash on trial (trial record); absent: none. */
  readonly trialRootHash?: string;
  /** Slot of an install that has begun and not ended (resume record); absent: none. */
  readonly partialSlot?: SlotName;
}

/** Both slots, A first. */
export function slotFacts(picture: BootPicture, knowledge: SlotKnowledge): SlotFacts[] {
  const facts = [picture.running, picture.other].map((slot) => factsOf(picture, slot, knowledge));
  return facts.toSorted((a, b) => (a.slot < b.slot ? -1 : 1));
}

function factsOf(picture: BootPicture, slot: PictureSlot, knowledge: SlotKnowledge): SlotFacts {
  const isRunning = slot.slot === picture.running.slot;
  const entry = isRunning
    ? picture.running.entry
    : picture.entries.find((one) => one.slot === slot.slot);
  const rootHash = isRunning ? picture.running.rootHash : (entry?.rootHash ?? '');
  return {
    slot: slot.slot,
    device: slot.device,
    sizeBytes: slot.sizeBytes,
    isRunning,
    isNext: entry !== undefined && nextEntry(picture)?.fileName === entry.fileName,
    state: stateOf({ isRunning, entry, rootHash, slot: slot.slot }, knowledge),
    version: isRunning ? picture.running.version : (entry?.version ?? ''),
    rootHash,
    entry: entry?.fileName ?? '',
    ...(entry?.name.counter === undefined ? {} : { triesLeft: entry.name.counter.left }),
  };
}

function stateOf(
  of: {
    readonly isRunning: boolean;
    readonly entry: PictureEntry | undefined;
    readonly rootHash: string;
    readonly slot: SlotName;
  },
  { trialRootHash, partialSlot }: SlotKnowledge,
): SlotState {
  const isOnTrial = trialRootHash !== undefined && trialRootHash === of.rootHash;
  if (of.isRunning) return isOnTrial ? 'trial' : 'committed';
  if (of.entry === undefined) return partialSlot === of.slot ? 'partial' : 'empty';
  if (isSpent(of.entry.name)) return 'failed';
  return isOnTrial ? 'armed' : 'committed';
}
