/**
 * Which time does a node believe? Reasons: docs/decisions/0003-time-a-node-believes.md.
 */
import { BELIEVED_MS, BELIEVED_YEARS } from '@keelos/proto/believed-time.ts';
import type { RecordKind } from '@keelos/proto/state-record.ts';

/** Record of the last known time; payload {@link ClockFloorPayload}. */
export const CLOCK_FLOOR: RecordKind = { kind: 'clock-floor', version: 1 };
/** Payload of {@link CLOCK_FLOOR}. */
export interface ClockFloorPayload {
  /** Unix milliseconds. */
  readonly timeMs: number;
}

/** An NTP answer this close to the clock confirms it, although it is not set back. */
const CONFIRMS_WITHIN_MS = 10_000;

/** Times that are believed, Unix milliseconds, both ends included. */
export interface ClockWindow {
  readonly floorMs: number;
  readonly ceilingMs: number;
}

/**
 * The window: from the later of the image's build and the last known time, to {@link BELIEVED_YEARS} after the build.
 *
 * A last known time beyond the ceiling is not believed: it came from a wild clock.
 */
export function clockWindow(known: {
  readonly buildMs: number;
  readonly lastKnownMs: number | undefined;
}): ClockWindow {
  const ceilingMs = known.buildMs + BELIEVED_MS;
  const last = known.lastKnownMs;
  const believed = last !== undefined && last <= ceilingMs ? last : known.buildMs;
  return { floorMs: Math.max(known.buildMs, believed), ceilingMs };
}

/** What to do with the clock at boot. */
export interface ClockDecision {
  readonly source: 'rtc' | 'floor';
  readonly trusted: boolean;
  /** Set the clock to this; absent: leave it. */
  readonly setMs?: number;
  /** Why it is not trusted; else empty. */
  readonly problem: string;
}

/** Judges what the real-time clock said. */
export function decideClock(rtcMs: number, window: ClockWindow): ClockDecision {
  if (rtcMs >= window.floorMs && rtcMs <= window.ceilingMs) {
    return { source: 'rtc', trusted: true, problem: '' };
  }
  const late = rtcMs > window.ceilingMs;
  const bound = isoTime(late ? window.ceilingMs : window.floorMs);
  return {
    source: 'floor',
    trusted: false,
    setMs: window.floorMs,
    problem:
      `The real-time clock says ${isoTime(rtcMs)}, which is ${late ? 'after' : 'before'} ${bound}: ` +
      `the last known time ${isoTime(window.floorMs)} is used`,
  };
}

/** Answer to a request to raise the clock. */
export type RaiseDecision =
  | { readonly action: 'set'; readonly timeMs: number }
  /** The clock is not behind; "confirmed" when the request shows that it is right. */
  | { readonly action: 'keep'; readonly confirmed: boolean }
  | { readonly action: 'refuse'; readonly reason: string };

/** May the clock be set to `requestedMs`? Only forward, only inside the window. */
export function decideRaise(
  request: { readonly requestedMs: number; readonly source: 'operator' | 'ntp' },
  state: { readonly nowMs: number; readonly window: ClockWindow },
): RaiseDecision {
  const { requestedMs, source } = request;
  if (!Number.isSafeInteger(requestedMs)) {
    return { action: 'refuse', reason: 'the time is not a whole number of milliseconds' };
  }
  if (requestedMs > state.window.ceilingMs) {
    return {
      action: 'refuse',
      reason: `${isoTime(requestedMs)} is later than ${isoTime(state.window.ceilingMs)}, ${BELIEVED_YEARS} years after the build of the image`,
    };
  }
  if (requestedMs > state.nowMs) return { action: 'set', timeMs: requestedMs };
  const near = state.nowMs - requestedMs <= CONFIRMS_WITHIN_MS;
  return { action: 'keep', confirmed: source === 'ntp' && near };
}

/** Time to remember as the last known, or undefined when the clock shows nothing worth it. */
export function floorToSave(nowMs: number, window: ClockWindow): number | undefined {
  return nowMs > window.floorMs && nowMs <= window.ceilingMs ? Math.floor(nowMs) : undefined;
}

/** Last known time in a decoded record's payload; undefined when the shape is wrong. */
export function parseClockFloor(payload: unknown): number | undefined {
  if (typeof payload !== 'object' || payload === null || !('timeMs' in payload)) return undefined;
  const { timeMs } = payload;
  return typeof timeMs === 'number' && Number.isSafeInteger(timeMs) && timeMs > 0
    ? timeMs
    : undefined;
}

/** Build time of the image in os-release text, Unix milliseconds; undefined when it has none. */
export function parseBuildEpoch(osRelease: string): number | undefined {
  const match = /^BUILD_EPOCH=["']?(\d{1,11})["']?$/m.exec(osRelease);
  return match === null ? undefined : Number(match[1]) * 1000;
}

function isoTime(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
