/**
 * The supervised services, dependencies first.
 */
import { AGENT_NAME } from '@keelos/proto/init-control.ts';
import type { SupervisedDefinition } from './supervisor.ts';

/** A service: what the supervisor knows, and how its process is made. */
export interface ServiceDefinition extends SupervisedDefinition {
  readonly executable: string;
  /** Name under which the program is started; one executable serves several names. */
  readonly argv0: string;
  readonly args: readonly string[];
  /** memory.max of its control group; absent: no limit. */
  readonly memoryMaxBytes?: number;
  /** pids.max of its control group. */
  readonly pidsMax: number;
  /** -1000 (never) to 1000 (first), see proc(5). */
  readonly oomScoreAdjust: number;
}

/**
 * The whole environment of every service. Nothing is inherited: the kernel hands PID 1 what stands on its command
 * line, and NODE_OPTIONS there must not reach anybody.
 */
export const SERVICE_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/bin:/usr/sbin:/bin:/sbin',
  HOME: '/',
  LANG: 'C.UTF-8',
  TZ: 'UTC',
  // One malloc arena, and freed memory goes back: about 6 MB less for each Node process (bench/memory.ts).
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: '65536',
};

/** The services. */
export const SERVICES: readonly ServiceDefinition[] = [
  {
    name: AGENT_NAME,
    executable: '/usr/bin/keel-agent',
    argv0: 'keel-agent',
    args: [],
    after: [],
    // The first restart is quick: the agent is the only way to the node.
    backoff: { firstMs: 500, maxMs: 30_000, stableMs: 60_000 },
    stopGraceMs: 5_000,
    // It says so every half minute (ts-agent/src/shell/keep-alive.ts). A busy machine may be late by minutes, so nobody
    // who is alive is killed; whoever hangs is gone before an operator has found the node silent.
    keepAlive: { firstMs: 300_000, nextMs: 180_000 },
    pidsMax: 256,
    // Killed only when nothing else is left.
    oomScoreAdjust: -900,
  },
];
