/**
 * Performs the supervisor's effects: processes, control groups, captured output.
 */
import type { ServiceStatus } from '@keelos/proto/init-control.ts';
import { SERVICE_ENVIRONMENT, type ServiceDefinition } from '../core/services.data.ts';
import {
  allStopped,
  initialSupervisor,
  nextWakeMs,
  type SupervisorEffect,
  type SupervisorEvent,
  type SupervisorState,
  step,
} from '../core/supervisor.ts';
import { createLogDisk, type LogDisk } from './log-disk.ts';
import { codeOf, type Machine, monotonicMs, reasonOf } from './machine.ts';
import { createServiceLog, type ServiceLog } from './service-log.ts';

/** The supervised services. */
export interface ServiceRunner {
  start(): void;
  /** Stops all, dependents first; settles when none runs. */
  stop(): Promise<void>;
  list(): ServiceStatus[];
  /** Ends a service a moment later; the supervisor starts it again. False when there is no such service. */
  restart(name: string, kill: boolean): boolean;
  /** A service has shown that it does not hang. False when there is no such service. */
  keepAlive(name: string): boolean;
  /** Output of a service; undefined when there is no such service. */
  log(name: string): ServiceLog | undefined;
  /** Begins to write the services' output below a folder. */
  openLogs(directory: string): void;
  closeLogs(): Promise<void>;
}

const GROUP_ROOT = '/sys/fs/cgroup';
const GROUP_MODE = 0o755;
/** The agent's answer to the caller must be out before the agent itself is ended. */
const RESTART_DELAY_MS = 250;

interface Runtime {
  readonly definition: ServiceDefinition;
  readonly disk: LogDisk;
  readonly log: ServiceLog;
}

/** A runner for these services; none is started yet. */
export function createServiceRunner(
  machine: Machine,
  definitions: readonly ServiceDefinition[],
): ServiceRunner {
  let state: SupervisorState = initialSupervisor(definitions, monotonicMs(machine));
  let cancelWake = () => {};
  let stopped = () => {};
  const events: SupervisorEvent[] = [];
  let dispatching = false;
  const runtimes = new Map(definitions.map((one) => [one.name, createRuntime(machine, one)]));

  /** Events that effects bring about wait for their turn, so that state changes never nest. */
  const dispatch = (event: SupervisorEvent) => {
    events.push(event);
    if (dispatching) return;
    dispatching = true;
    try {
      for (let next = events.shift(); next !== undefined; next = events.shift()) take(next);
    } finally {
      dispatching = false;
    }
    cancelWake();
    const wakeMs = nextWakeMs(state);
    if (wakeMs !== undefined) {
      cancelWake = machine.clock.after(Math.ceil(wakeMs - monotonicMs(machine)), () =>
        dispatch({ type: 'tick' }),
      );
    }
    if (allStopped(state)) stopped();
  };
  const take = (event: SupervisorEvent) => {
    const result = step(state, event, monotonicMs(machine));
    state = result.state;
    if (event.type === 'exited') {
      const level = state.stopping ? 'debug' : 'error';
      machine.log[level](
        `service ${event.name}: ${event.exit}${waitText(state, event.name, machine)}`,
      );
    }
    for (const effect of result.effects) perform(effect);
  };
  const perform = (effect: SupervisorEffect) => {
    const runtime = runtimes.get(effect.name);
    if (runtime === undefined) return;
    switch (effect.type) {
      case 'spawn':
        return spawnService(machine, runtime, dispatch);
      case 'terminate':
        return machine.processes.signal(effect.pid, 'SIGTERM');
      case 'kill-group':
        return killGroup(machine, effect.name, pidOf(state, effect.name));
      case 'kill-silent':
        machine.log.error(`service ${effect.name}: it hangs, and is killed`);
        return killGroup(machine, effect.name, pidOf(state, effect.name));
    }
  };
  return {
    start: () => dispatch({ type: 'start' }),
    stop() {
      return new Promise((resolve) => {
        stopped = resolve;
        dispatch({ type: 'stop' });
      });
    },
    list: () => statusList(state, machine),
    restart(name, kill) {
      if (!runtimes.has(name)) return false;
      machine.log.info(`service ${name}: ${kill ? 'kill' : 'restart'} on request`);
      machine.clock.after(RESTART_DELAY_MS, () => dispatch({ type: 'restart', name, kill }));
      return true;
    },
    keepAlive(name) {
      if (!runtimes.has(name)) return false;
      dispatch({ type: 'alive', name });
      return true;
    },
    log: (name) => runtimes.get(name)?.log,
    openLogs(directory) {
      for (const [name, { disk }] of runtimes) disk.start(`${directory}/${name}.log`);
    },
    async closeLogs() {
      await Promise.all([...runtimes.values()].map(({ disk }) => disk.close()));
    },
  };
}

function createRuntime(machine: Machine, definition: ServiceDefinition): Runtime {
  const disk = createLogDisk(machine.logFiles, (reason) => {
    machine.log.error(`log of ${definition.name}: ${reasonOf(reason)}`);
  });
  return { definition, disk, log: createServiceLog(disk) };
}

function spawnService(
  machine: Machine,
  runtime: Runtime,
  dispatch: (event: SupervisorEvent) => void,
): void {
  const { definition, log } = runtime;
  const { name, executable, argv0, args } = definition;
  quietly(machine, `control group of ${name}`, () => prepareGroup(machine, definition));
  const exited = (exit: string) => dispatch({ type: 'exited', name, exit });
  let pid = 0;
  try {
    pid = machine.processes.spawn(
      { executable, argv0, args, environment: SERVICE_ENVIRONMENT },
      {
        output: (stream, chunk) => log.capture(stream, chunk, machine.clock.wallMs()),
        outputEnded: (stream) => log.end(stream, machine.clock.wallMs()),
        exited,
      },
    );
  } catch (error) {
    // A machine without memory, a disk that does not read: it may work later, so the back-off decides.
    exited(`cannot start: ${codeOf(error) || reasonOf(error)}`);
  }
  if (pid === 0) return;
  dispatch({ type: 'spawned', name, pid });
  quietly(machine, `control group of ${name}`, () => {
    machine.files.writeKernelFile(`${groupPath(name)}/cgroup.procs`, String(pid));
  });
  quietly(machine, `memory priority of ${name}`, () => {
    const value = String(definition.oomScoreAdjust);
    machine.files.writeKernelFile(`/proc/${pid}/oom_score_adj`, value);
  });
}

function prepareGroup(machine: Machine, definition: ServiceDefinition): void {
  const path = groupPath(definition.name);
  machine.files.makeDirectory(path, GROUP_MODE);
  machine.files.writeKernelFile(`${path}/pids.max`, String(definition.pidsMax));
  if (definition.memoryMaxBytes !== undefined) {
    machine.files.writeKernelFile(`${path}/memory.max`, String(definition.memoryMaxBytes));
  }
}

/** Kills everything in a group; the main process alone where there are no control groups. */
function killGroup(machine: Machine, name: string, pid: number): void {
  try {
    machine.files.writeKernelFile(`${groupPath(name)}/cgroup.kill`, '1');
  } catch (error) {
    machine.log.error(`kill group of ${name}: ${reasonOf(error)}`);
    if (pid !== 0) machine.processes.signal(pid, 'SIGKILL');
  }
}

function groupPath(name: string): string {
  return `${GROUP_ROOT}/keel/${name}`;
}

function pidOf(state: SupervisorState, name: string): number {
  return state.services.find((one) => one.definition.name === name)?.pid ?? 0;
}

/** ", again in 500 ms" for a service that waits for its back-off. */
function waitText(state: SupervisorState, name: string, machine: Machine): string {
  const service = state.services.find((one) => one.definition.name === name);
  if (service?.state !== 'backoff') return '';
  return `, again in ${Math.max(0, Math.round(service.dueMs - monotonicMs(machine)))} ms`;
}

function statusList(state: SupervisorState, machine: Machine): ServiceStatus[] {
  const offsetMs = machine.clock.wallMs() - monotonicMs(machine);
  return state.services.map((service) => ({
    name: service.definition.name,
    state: service.state,
    pid: service.pid,
    sinceMs: Math.round(offsetMs + service.sinceMs),
    restarts: service.restarts,
    lastExit: service.lastExit,
    cgroup: `/keel/${service.definition.name}`,
  }));
}

/** A service runs without its limits rather than not at all. ESRCH: it has ended already. */
function quietly(machine: Machine, what: string, work: () => void): void {
  try {
    work();
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') machine.log.error(`${what}: ${reasonOf(error)}`);
  }
}
