/**
 * Processes that do what a test says.
 */
import type { ProcessEvents, Processes, SpawnRequest } from './processes.ts';

/** A started fake process. */
export interface FakeProcess {
  readonly pid: number;
  readonly request: SpawnRequest;
  readonly events: ProcessEvents;
  /** The process ends. */
  exit(exit: string): void;
}

/** A fake that shows what was started and signalled. */
export interface FakeProcesses extends Processes {
  readonly started: FakeProcess[];
  /** "SIGTERM 100" and so on. */
  readonly signals: string[];
  /** Called for each signal; by default SIGTERM ends the process. */
  onSignal: (process: FakeProcess, signal: string) => void;
  /** When set, the next spawn throws an error with this code. */
  refusal: string | undefined;
}

/** No processes yet; the first has pid 100. */
export function createFakeProcesses(): FakeProcesses {
  const own = new Set<number>();
  const started: FakeProcess[] = [];
  const fake: FakeProcesses = {
    started,
    signals: [],
    onSignal: (process, signal) => process.exit(`signal ${signal}`),
    refusal: undefined,
    spawn(request, events) {
      const code = fake.refusal;
      if (code !== undefined) {
        fake.refusal = undefined;
        throw Object.assign(new Error(`spawn ${request.executable} ${code}`), { code });
      }
      const pid = 100 + started.length;
      own.add(pid);
      started.push({
        pid,
        request,
        events,
        exit(exit) {
          if (own.delete(pid)) events.exited(exit);
        },
      });
      return pid;
    },
    signal(pid, signal) {
      fake.signals.push(`${signal} ${pid}`);
      const process = started.find((one) => one.pid === pid);
      if (process !== undefined && own.has(pid)) fake.onSignal(process, signal);
    },
    ownPids: () => own,
  };
  return fake;
}
