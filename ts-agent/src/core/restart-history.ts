/**
 * How often each service was restarted lately, from counts that PID 1 keeps since boot. Pure; times are monotonic
 * milliseconds since boot, when every count was 0.
 */
import type { ServiceStatus } from '@keelos/proto/init-control.ts';
import type { RecordKind } from '@keelos/proto/state-record.ts';

/** Restarts count as recent for this long. */
export const CRASH_WINDOW_MS = 600_000;
/** Record of the history, which outlives the agent and not the boot: the agent may be the one that crashes. */
export const RESTARTS_RECORD: RecordKind = { kind: 'restarts', version: 1 };
/** Samples that are kept of one service; of more the oldest within the window are enough. */
const SAMPLES_MAX = 16;

/** A count of restarts, and when it was first seen. */
export interface RestartSample {
  readonly name: string;
  readonly restarts: number;
  readonly atMs: number;
}

/** `samples` with the counts of `services`, seen at `nowMs`. The same object when nothing changed. */
export function withRestarts(
  samples: readonly RestartSample[],
  services: readonly ServiceStatus[],
  nowMs: number,
): readonly RestartSample[] {
  const isNews = services.some(
    ({ name, restarts }) => samples.findLast((one) => one.name === name)?.restarts !== restarts,
  );
  if (!isNews) return samples;
  return services.flatMap(({ name, restarts }) => {
    const own = samples.filter((one) => one.name === name);
    const base = own.findLastIndex(({ atMs }) => atMs <= nowMs - CRASH_WINDOW_MS);
    const kept = own.slice(Math.max(0, base)).slice(0, SAMPLES_MAX);
    return kept.at(-1)?.restarts === restarts ? kept : [...kept, { name, restarts, atMs: nowMs }];
  });
}

/** Restarts of a service within {@link CRASH_WINDOW_MS} before `nowMs`. */
export function recentRestarts(
  samples: readonly RestartSample[],
  service: Pick<ServiceStatus, 'name' | 'restarts'>,
  nowMs: number,
): number {
  const base = samples.findLast(
    ({ name, atMs }) => name === service.name && atMs <= nowMs - CRASH_WINDOW_MS,
  );
  return Math.max(0, service.restarts - (base?.restarts ?? 0));
}

/** Reads the payload of {@link RESTARTS_RECORD}; undefined when the shape is wrong. */
export function restartsFrom(payload: unknown): readonly RestartSample[] | undefined {
  return Array.isArray(payload) && payload.every(isSample) ? payload : undefined;
}

function isSample(value: unknown): value is RestartSample {
  if (typeof value !== 'object' || value === null) return false;
  const { name, restarts, atMs } = value as Partial<Record<keyof RestartSample, unknown>>;
  return typeof name === 'string' && Number.isSafeInteger(restarts) && Number.isFinite(atMs);
}
