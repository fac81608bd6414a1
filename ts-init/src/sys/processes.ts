/**
 * Processes: starting services, signalling them, and knowing which children are ours.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** What is started. */
export interface SpawnRequest {
  readonly executable: string;
  readonly argv0: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** What its standard input holds; nothing unless told. */
  readonly input?: string;
}

/** What is told about a started process. */
export interface ProcessEvents {
  output(stream: 'stdout' | 'stderr', chunk: Uint8Array): void;
  /** A stream has ended; this may come after `exited` when a descendant held it open. */
  outputEnded(stream: 'stdout' | 'stderr'): void;
  /** Exactly once: "exit 1", "signal SIGKILL", or "cannot start: ENOENT". */
  exited(exit: string): void;
}

/** Starts and signals processes. */
export interface Processes {
  /**
   * Returns the process id, or 0 when it could not be started: `exited` tells why, later.
   *
   * @throws Node's error with `code` for the failures that Node does not tell later: ENOMEM, EIO, ENOEXEC, EPERM, ...
   */
  spawn(request: SpawnRequest, events: ProcessEvents): number;
  /** Sends a signal; nothing happens when the process is gone. */
  signal(pid: number, signal: 'SIGTERM' | 'SIGKILL'): void;
  /** Processes started here that have not been collected. */
  ownPids(): ReadonlySet<number>;
}

/** Processes of the running system. */
export function createLinuxProcesses(): Processes {
  const own = new Set<number>();
  return {
    spawn(request, events) {
      const child = spawn(request.executable, request.args, {
        argv0: request.argv0,
        cwd: '/',
        env: { ...request.environment },
        stdio: [request.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
        // A session of its own: no terminal, no signals meant for somebody else.
        detached: true,
      });
      // It may end without reading: how it ended tells that.
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(request.input);
      const { pid } = child;
      if (pid !== undefined) own.add(pid);
      report(child, events, () => pid !== undefined && own.delete(pid));
      return pid ?? 0;
    },
    signal(pid, signal) {
      try {
        process.kill(pid, signal);
      } catch {
        // ESRCH: it is gone, which is what the signal was for.
      }
    },
    ownPids: () => own,
  };
}

function report(child: ChildProcess, events: ProcessEvents, collected: () => void): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream]?.on('data', (chunk: Uint8Array) => events.output(stream, chunk));
    child[stream]?.on('end', () => events.outputEnded(stream));
    child[stream]?.on('error', () => {
      // The reading side of a pipe: an error ends it, and "end" or the exit tell the rest.
    });
  }
  let told = false;
  const tell = (exit: string) => {
    collected();
    if (!told) events.exited(exit);
    told = true;
  };
  child.on('error', (error: NodeJS.ErrnoException) => {
    if (child.pid === undefined) tell(`cannot start: ${error.code ?? error.message}`);
  });
  child.on('exit', (code, signal) => tell(signal === null ? `exit ${code}` : `signal ${signal}`));
}
