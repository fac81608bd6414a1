/**
 * Which service is started, stopped or killed when? A pure machine: (state, event, now) -> (state, effects).
 * `now` is monotonic milliseconds, so a jump of the clock changes nothing.
 */
import type { ServiceState } from '@keelos/proto/init-control.ts';

/** How a service is restarted. */
export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
  /** After running this long without a failure the next restart is quick again. */
  readonly stableMs: number;
}

/** How a service shows that it does not hang. */
export interface KeepAlivePolicy {
  /** Its first word comes within this time of its start. */
  readonly firstMs: number;
  /** Between two words. */
  readonly nextMs: number;
}

/** What the supervisor has to know of a service. */
export interface SupervisedDefinition {
  readonly name: string;
  /** Services that must run before this one is started, and that are stopped after it. */
  readonly after: readonly string[];
  readonly backoff: BackoffPolicy;
  /** Between SIGTERM and the killing of the whole control group. */
  readonly stopGraceMs: number;
  /** Absent: nobody asks whether it hangs. */
  readonly keepAlive?: KeepAlivePolicy;
}

/** One service. */
export interface SupervisedService {
  readonly definition: SupervisedDefinition;
  readonly state: ServiceState;
  /** 0 when no process runs. */
  readonly pid: number;
  /** Start of the present state. */
  readonly sinceMs: number;
  readonly restarts: number;
  readonly lastExit: string;
  /** Failures in a row. */
  readonly failures: number;
  /** When to act next: start (backoff), kill (stopping, or silent for too long), give up waiting (killed). */
  readonly dueMs: number;
  /** It has not kept itself alive, and is given a last moment. */
  readonly isLate: boolean;
  /** A spawn was asked for and has not been answered. */
  readonly spawning: boolean;
  /** Its control group was killed while stopping. */
  readonly killed: boolean;
  /** It was asked to end in order to be started again: its next end is no failure. */
  readonly restarting: boolean;
}

/** All services, in the order of their definition. */
export interface SupervisorState {
  readonly services: readonly SupervisedService[];
  readonly stopping: boolean;
}

/** What happened. */
export type SupervisorEvent =
  | { readonly type: 'start' | 'tick' | 'stop' }
  | { readonly type: 'spawned'; readonly name: string; readonly pid: number }
  /** `exit`: "exit 1", "signal SIGKILL", or why it could not be started. */
  | { readonly type: 'exited'; readonly name: string; readonly exit: string }
  /** It has kept itself alive. */
  | { readonly type: 'alive'; readonly name: string }
  /** Somebody wants it started anew. With `kill` it is not asked to end, and its end counts as a failure. */
  | { readonly type: 'restart'; readonly name: string; readonly kill: boolean };

/** What is to be done. */
export type SupervisorEffect =
  | { readonly type: 'spawn'; readonly name: string }
  | { readonly type: 'terminate'; readonly name: string; readonly pid: number }
  | { readonly type: 'kill-group'; readonly name: string }
  /** It hangs: everything in its group is to be killed, and its end counts as a failure. */
  | { readonly type: 'kill-silent'; readonly name: string };

/** Result of {@link step}. */
export interface SupervisorStep {
  readonly state: SupervisorState;
  readonly effects: readonly SupervisorEffect[];
}

/** How long after the killing of its group a service that is still there is waited for. */
const KILL_WAIT_MS = 2_000;
/**
 * Its word may be waiting in the socket when PID 1 itself was held up, for example with the whole machine: it is read
 * within this time.
 */
const LATE_MS = 10_000;

/**
 * State before the first event.
 *
 * @throws RangeError when a dependency is missing or a service depends on itself, directly or not.
 */
export function initialSupervisor(
  definitions: readonly SupervisedDefinition[],
  nowMs: number,
): SupervisorState {
  const known = new Set<string>();
  for (const definition of definitions) {
    for (const other of definition.after) {
      if (!known.has(other)) {
        throw new RangeError(`service ${definition.name}: ${other} is not defined before it`);
      }
    }
    known.add(definition.name);
  }
  const services = definitions.map(
    (definition): SupervisedService => ({
      definition,
      state: 'waiting',
      pid: 0,
      sinceMs: nowMs,
      restarts: 0,
      lastExit: '',
      failures: 0,
      dueMs: Number.POSITIVE_INFINITY,
      isLate: false,
      spawning: false,
      killed: false,
      restarting: false,
    }),
  );
  return { services, stopping: false };
}

/** Takes one event. */
export function step(
  state: SupervisorState,
  event: SupervisorEvent,
  nowMs: number,
): SupervisorStep {
  const effects: SupervisorEffect[] = [];
  const stopping = state.stopping || event.type === 'stop';
  const touched = state.services.map((service) =>
    'name' in event && event.name === service.definition.name
      ? { service: happened(service, event, { nowMs, stopping }), exited: event.type === 'exited' }
      : { service, exited: false },
  );
  if (event.type === 'restart' && !stopping) {
    effects.push(...restartEffects(state.services, event));
  }
  for (const { service, exited } of touched) {
    // What a dead service left in its group must not meet its successor.
    if (exited) effects.push({ type: 'kill-group', name: service.definition.name });
  }
  let services = touched.map(({ service }) => service);
  services = stopping ? stopNext(services, effects, nowMs) : startNext(services, effects, nowMs);
  return { state: { services, stopping }, effects };
}

/** When a `tick` is needed next, or undefined. */
export function nextWakeMs(state: SupervisorState): number | undefined {
  const due = Math.min(...state.services.map((service) => service.dueMs));
  return Number.isFinite(due) ? due : undefined;
}

/** True when no service runs and none will be started. */
export function allStopped(state: SupervisorState): boolean {
  return state.stopping && state.services.every((service) => service.state === 'stopped');
}

/** Delay before restart number `failures` in a row: doubles from `firstMs` up to `maxMs`. */
export function backoffMs(policy: BackoffPolicy, failures: number): number {
  return Math.min(policy.maxMs, policy.firstMs * 2 ** Math.max(0, failures - 1));
}

/** Ends a running service: asks it to, or kills everything in its group. */
function restartEffects(
  services: readonly SupervisedService[],
  event: Extract<SupervisorEvent, { type: 'restart' }>,
): SupervisorEffect[] {
  const { name, kill } = event;
  const service = services.find((one) => one.definition.name === name);
  if (service?.state !== 'running') return [];
  return [kill ? { type: 'kill-group', name } : { type: 'terminate', name, pid: service.pid }];
}

/** The service after a `restart` event: one that waits for its back-off is due now, a running one gets its grace. */
function askedToRestart(
  service: SupervisedService,
  kill: boolean,
  at: { readonly nowMs: number; readonly stopping: boolean },
): SupervisedService {
  if (at.stopping) return service;
  if (service.state === 'backoff' && !service.spawning) return { ...service, dueMs: at.nowMs };
  if (service.state !== 'running' || kill) return service;
  return { ...service, restarting: true, dueMs: at.nowMs + service.definition.stopGraceMs };
}

/** A service that runs has time until its next word. One that is being ended has none. */
function keptAlive(service: SupervisedService, nowMs: number): SupervisedService {
  const { keepAlive } = service.definition;
  if (keepAlive === undefined || service.state !== 'running' || service.restarting) return service;
  return { ...service, isLate: false, dueMs: nowMs + keepAlive.nextMs };
}

function happened(
  service: SupervisedService,
  event: Extract<SupervisorEvent, { name: string }>,
  at: { readonly nowMs: number; readonly stopping: boolean },
): SupervisedService {
  const never = Number.POSITIVE_INFINITY;
  if (event.type === 'restart') return askedToRestart(service, event.kill, at);
  if (event.type === 'alive') return keptAlive(service, at.nowMs);
  if (event.type === 'spawned') {
    const { pid } = event;
    return {
      ...service,
      state: 'running',
      pid,
      sinceMs: at.nowMs,
      spawning: false,
      isLate: false,
      dueMs: at.nowMs + (service.definition.keepAlive?.firstMs ?? never),
    };
  }
  const gone = {
    ...service,
    pid: 0,
    sinceMs: at.nowMs,
    lastExit: event.exit,
    spawning: false,
    restarting: false,
  };
  if (at.stopping || service.state === 'stopping') {
    return { ...gone, state: 'stopped', dueMs: never };
  }
  if (service.restarting) return { ...gone, state: 'backoff', failures: 0, dueMs: at.nowMs };
  const stable =
    service.state === 'running' &&
    at.nowMs - service.sinceMs >= service.definition.backoff.stableMs;
  const failures = stable ? 1 : service.failures + 1;
  return {
    ...gone,
    state: 'backoff',
    failures,
    dueMs: at.nowMs + backoffMs(service.definition.backoff, failures),
  };
}

function startNext(
  services: readonly SupervisedService[],
  effects: SupervisorEffect[],
  nowMs: number,
): SupervisedService[] {
  const running = new Set(
    services.filter((one) => one.state === 'running').map((one) => one.definition.name),
  );
  return services.map((service) => {
    if (service.restarting && service.dueMs <= nowMs) {
      // It was asked to end and is still there.
      effects.push({ type: 'kill-group', name: service.definition.name });
      return { ...service, dueMs: Number.POSITIVE_INFINITY };
    }
    if (service.state === 'running' && service.dueMs <= nowMs) {
      if (!service.isLate) return { ...service, isLate: true, dueMs: nowMs + LATE_MS };
      effects.push({ type: 'kill-silent', name: service.definition.name });
      return { ...service, dueMs: Number.POSITIVE_INFINITY };
    }
    const due =
      service.state === 'waiting' || (service.state === 'backoff' && service.dueMs <= nowMs);
    if (!due || service.spawning) return service;
    if (!service.definition.after.every((name) => running.has(name))) {
      // Its time has come and a dependency is down: from here on it waits for that alone.
      return { ...service, dueMs: Number.POSITIVE_INFINITY, state: 'waiting' };
    }
    effects.push({ type: 'spawn', name: service.definition.name });
    const restarts = service.failures > 0 ? service.restarts + 1 : service.restarts;
    return { ...service, spawning: true, restarts, dueMs: Number.POSITIVE_INFINITY };
  });
}

/** Dependents come after what they need, so going backwards sees a dependent's end before its dependency. */
function stopNext(
  services: readonly SupervisedService[],
  effects: SupervisorEffect[],
  nowMs: number,
): SupervisedService[] {
  const needed = new Set<string>();
  const backwards = services.toReversed().map((service) => {
    const next = stopOne(service, needed.has(service.definition.name), { effects, nowMs });
    if (next.state !== 'stopped') {
      for (const name of next.definition.after) needed.add(name);
    }
    return next;
  });
  return backwards.reverse();
}

function stopOne(
  service: SupervisedService,
  isNeeded: boolean,
  to: { readonly effects: SupervisorEffect[]; readonly nowMs: number },
): SupervisedService {
  const { effects, nowMs } = to;
  const { name, stopGraceMs } = service.definition;
  const stopped = {
    ...service,
    state: 'stopped',
    spawning: false,
    dueMs: Number.POSITIVE_INFINITY,
  } as const;
  switch (service.state) {
    case 'waiting':
    case 'backoff':
      return { ...stopped, sinceMs: nowMs };
    case 'running':
      if (isNeeded) return service;
      effects.push({ type: 'terminate', name, pid: service.pid });
      return { ...service, state: 'stopping', sinceMs: nowMs, dueMs: nowMs + stopGraceMs };
    case 'stopping':
      if (service.dueMs > nowMs) return service;
      if (service.killed) return stopped;
      effects.push({ type: 'kill-group', name });
      return { ...service, killed: true, dueMs: nowMs + KILL_WAIT_MS };
    case 'stopped':
      return service;
  }
}
