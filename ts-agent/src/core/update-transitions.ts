/**
 * The course of an update as a table: in which state, upon which event, into which state, and what is done on the way.
 * Nothing here touches anything; shell/installer.ts has one function for each effect.
 *
 *     idle ─ start ▶ checking ─ done ▶ disarming ─ done ▶ writing ─ done ▶ verifying ─ done ▶ placing ─ done ▶ arming ─ done ▶ armed
 *     idle ─ go-back ▶ inspecting ─ done ▶ proving ─ done ▶ arming …
 *
 * Effects of a row are done in its order, each durable before the next begins (docs/decisions/0010-updates.md). "done"
 * comes when all of them are; "fail" when one throws, "cancel" when somebody asks for it. In a state that has ended, an
 * effect that fails is logged and the next one done. An entry that stands keeps its trial record and its open history.
 */

/** Where an update stands. */
export type UpdateState =
  | 'idle'
  | 'checking'
  | 'reading'
  | 'disarming'
  | 'writing'
  | 'verifying'
  | 'placing'
  | 'inspecting'
  | 'proving'
  | 'arming'
  | 'armed'
  /** A cancel takes the armed entry away. */
  | 'unarming'
  /** The arming has failed: what stands of the entry is taken away. */
  | 'undoing'
  | 'rebooting'
  | 'checked'
  | 'failed'
  | 'cancelled';

/** What happens to it. */
export type UpdateEvent =
  /** An operator, or a schedule, wants a bundle installed. */
  | 'start'
  /** The same, without writing anything. */
  | 'start-dry'
  /** An operator wants the release in the other slot. */
  | 'go-back'
  | 'done'
  | 'fail'
  | 'cancel'
  /** The armed release is to be tried now. */
  | 'reboot';

/** What is done. */
export type UpdateEffect =
  /** Footer, manifest and signatures are read and judged, and whether all of it fits. Nothing is written. */
  | 'check-bundle'
  /** Every byte of the bundle is read and hashed. Nothing is written. */
  | 'read-through'
  | 'open-history'
  /** The other slot's entry, its kernel image and leftovers go. */
  | 'disarm'
  | 'write-root'
  /** The slot is read back past the page cache. */
  | 'verify-root'
  /** The slot's partition gets the GUID of its root. */
  | 'name-slot'
  | 'place-kernel-image'
  /** The release in the other slot can be started, and may be. Nothing is written. */
  | 'check-other-slot'
  | 'record-trial'
  | 'arm'
  /** The armed entry goes; what is in the slot stays. */
  | 'unarm'
  | 'forget-resume'
  | 'run-hooks'
  | 'ask-reboot'
  /** The history tells how it ended. */
  | 'close-history'
  | 'forget-trial';

/** One row. */
export interface UpdateTransition {
  readonly from: UpdateState;
  readonly event: UpdateEvent;
  readonly to: UpdateState;
  readonly effects: readonly UpdateEffect[];
}

type Row = readonly [UpdateState, UpdateEvent, UpdateState, ...UpdateEffect[]];

/** What is left to do once nothing is armed any more. Whoever finds the record after a power cut sees that it has no entry. */
const FORGET: readonly UpdateEffect[] = ['close-history', 'forget-trial'];

const ROWS: readonly Row[] = [
  ['idle', 'start', 'checking', 'check-bundle'],
  ['idle', 'start-dry', 'reading', 'check-bundle', 'read-through'],
  ['idle', 'go-back', 'inspecting', 'check-other-slot'],

  ['reading', 'done', 'checked'],
  ['checking', 'done', 'disarming', 'open-history', 'disarm'],
  ['disarming', 'done', 'writing', 'write-root'],
  ['writing', 'done', 'verifying', 'verify-root', 'name-slot'],
  ['verifying', 'done', 'placing', 'place-kernel-image'],
  ['placing', 'done', 'arming', 'record-trial', 'arm'],
  ['inspecting', 'done', 'proving', 'open-history', 'verify-root', 'name-slot'],
  ['proving', 'done', 'arming', 'record-trial', 'arm'],
  ['arming', 'done', 'armed', 'forget-resume'],
  ['armed', 'reboot', 'rebooting', 'run-hooks', 'ask-reboot'],

  ['reading', 'fail', 'failed'],
  // A signed release that is refused is in the history, too.
  ['checking', 'fail', 'failed', 'close-history'],
  ['inspecting', 'fail', 'failed'],
  ['disarming', 'fail', 'failed', 'close-history'],
  ['writing', 'fail', 'failed', 'close-history'],
  ['verifying', 'fail', 'failed', 'close-history'],
  ['placing', 'fail', 'failed', 'close-history'],
  ['proving', 'fail', 'failed', 'close-history'],
  ['arming', 'fail', 'undoing', 'unarm'],
  ['undoing', 'done', 'failed', ...FORGET],
  // The entry may stand, so the release may be tried at the next start of the machine.
  ['undoing', 'fail', 'armed'],
  // The entry stands, so the release is tried at the next start of the machine, whoever asks for it.
  ['rebooting', 'fail', 'armed'],

  ['reading', 'cancel', 'cancelled'],
  ['checking', 'cancel', 'cancelled'],
  ['inspecting', 'cancel', 'cancelled'],
  ['disarming', 'cancel', 'cancelled', 'close-history'],
  ['writing', 'cancel', 'cancelled', 'close-history'],
  ['verifying', 'cancel', 'cancelled', 'close-history'],
  ['placing', 'cancel', 'cancelled', 'close-history'],
  ['proving', 'cancel', 'cancelled', 'close-history'],
  ['armed', 'cancel', 'unarming', 'unarm'],
  ['unarming', 'done', 'cancelled', ...FORGET],
  // It is as armed as before.
  ['unarming', 'fail', 'armed'],
];

/** The table. */
export const UPDATE_TRANSITIONS: readonly UpdateTransition[] = ROWS.map(
  ([from, event, to, ...effects]) => ({ from, event, to, effects }),
);

/** The row for an event; undefined when it means nothing in that state. */
export function updateTransition(
  from: UpdateState,
  event: UpdateEvent,
): UpdateTransition | undefined {
  return UPDATE_TRANSITIONS.find((row) => row.from === from && row.event === event);
}

/** States in which nothing runs and another update may begin. */
export function isEnded(state: UpdateState): boolean {
  return ['idle', 'checked', 'failed', 'cancelled'].includes(state);
}

/** True until the trial may have been armed: a cancel ends what runs at once. Later it waits for the arming to end. */
export function isInterruptible(state: UpdateState): boolean {
  return updateTransition(state, 'cancel') !== undefined;
}
