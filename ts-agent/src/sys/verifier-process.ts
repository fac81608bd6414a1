/** Starts the process that verifies, asks it one thing, and waits until it is gone: it may die of it, the agent lives on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { isErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { VerifierAnswer, VerifierProgram, VerifierRequest } from '@keelos/proto/verifier.ts';
import { VERIFIER_LINE_BYTES_MAX } from '@keelos/proto/verifier.ts';
import type { ImageFindings } from '../core/slot-contents.ts';

/** How the process is started, and who is told when it is started again. */
export interface VerifierOptions {
  readonly program: VerifierProgram;
  readonly log: (line: string) => void;
  /** Time for one verification, {@link VERIFY_MS_MAX} unless told. */
  readonly timeoutMs?: number;
}

/** Time for one verification: a gigabyte of a slow disk on an emulated machine. */
export const VERIFY_MS_MAX = 30 * 60_000;

/** What it is asked for. */
export interface Asking extends VerifierOptions {
  /** For messages: "verify /dev/vda2". */
  readonly action: string;
  /** For the log: "verification of /dev/vda2". */
  readonly subject: string;
  readonly signal: AbortSignal;
  readonly onProgress?: (doneBytes: number) => void;
}

/** What it says, with the agent's findings. */
export type Answer = VerifierAnswer<ImageFindings>;

/** What became of a process. */
export type Outcome =
  | { readonly kind: 'answer'; readonly answer: Answer }
  | { readonly kind: 'ended'; readonly how: string; readonly isSignal: boolean };

/**
 * The answer of a child process, which is there as long as it works. One that a signal ended that was not ours is started
 * a second time, not a third.
 *
 * @throws KeelError E_VERIFY_ENDED when it ended without an answer
 * @throws KeelError, or an error with the code of the system, when its answer is an error
 */
export async function askVerifier(request: VerifierRequest, asking: Asking): Promise<Answer> {
  const { action, subject, log, onProgress } = asking;
  let doneMost = 0;
  const progress = (doneBytes: number) => {
    if (doneBytes > doneMost) onProgress?.(doneBytes);
    doneMost = Math.max(doneMost, doneBytes);
  };
  let outcome = await attempt(request, { ...asking, progress });
  if (outcome.kind === 'ended' && outcome.isSignal) {
    log(`${subject} ended by ${outcome.how}: it is begun again, once`);
    outcome = await attempt(request, { ...asking, progress });
  }
  if (outcome.kind === 'ended') {
    log(`${subject} ended before its verdict: ${outcome.how}`);
    throw new KeelError(
      'E_VERIFY_ENDED',
      `Cannot ${action}: the verification ended before its verdict (${outcome.how})`,
    );
  }
  if (outcome.answer.kind === 'error') throw errorOf(outcome.answer);
  return outcome.answer;
}

/** The error that an answer tells of. */
export function errorOf({ code, message }: Extract<Answer, { kind: 'error' }>): Error {
  if (isErrorCode(code)) return new KeelError(code, message);
  const error = new Error(message);
  return code === '' ? error : Object.assign(error, { code });
}

interface Attempt extends VerifierOptions {
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number) => void;
}

/** A process that was started, and got its request. */
export interface StartedVerifier {
  readonly child: ChildProcess;
  /** Once it is gone: its last answer, or how it ended without one. @throws the signal's reason when it is aborted */
  outcome(answer: Answer | undefined): Promise<Outcome>;
  /** Ends it if need be, and waits until it is gone. */
  end(): Promise<void>;
}

/**
 * Starts a process. When `signal` is aborted it is ended.
 *
 * @param of.withBytes it has descriptor VERIFIER_BYTES_FD, which somebody must read
 */
export function startVerifier(
  request: VerifierRequest,
  of: {
    readonly program: VerifierProgram;
    readonly signal: AbortSignal;
    readonly timeoutMs: number;
    readonly withBytes: boolean;
  },
): StartedVerifier {
  const { program, signal, timeoutMs, withBytes } = of;
  signal.throwIfAborted();
  const child = spawn(program.executable, program.args, {
    argv0: program.argv0,
    cwd: '/',
    // Its complaints are the agent's.
    stdio: ['pipe', 'pipe', 'inherit', ...(withBytes ? (['pipe'] as const) : [])],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // Whoever awaits it is told; until then nobody is.
  closed.catch(() => undefined);
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  // It may end without reading: how it ended tells more.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(JSON.stringify(request));
  return {
    child,
    async outcome(answer) {
      const [code, by] = await closed.catch((cause: unknown) => {
        // It was never started: no memory, no process identifier, no descriptor is left.
        throw new KeelError('E_VERIFY_ENDED', `Cannot start ${program.argv0}: ${String(cause)}`, {
          cause,
        });
      });
      signal.throwIfAborted();
      if (answer !== undefined && code === 0) return { kind: 'answer', answer };
      const isLate = child.killed;
      const how = isLate ? `no verdict in ${timeoutMs / 1000} s` : (by ?? `exit ${code}`);
      return { kind: 'ended', how, isSignal: by !== null && !isLate };
    },
    async end() {
      signal.removeEventListener('abort', stop);
      child.kill('SIGKILL');
      await closed.catch(() => undefined);
    },
  };
}

/** One process, from its start to its end: when this settles it is gone. */
async function attempt(
  request: VerifierRequest,
  { program, signal, progress, timeoutMs = VERIFY_MS_MAX }: Attempt,
): Promise<Outcome> {
  const started = startVerifier(request, { program, signal, timeoutMs, withBytes: false });
  try {
    return await started.outcome(await lastAnswer(started.child, progress));
  } finally {
    await started.end();
  }
}

/** Reads what it says until it says no more. @throws Error when it says what it should not */
export async function lastAnswer(
  { stdout }: ChildProcess,
  progress: (doneBytes: number) => void,
): Promise<Answer | undefined> {
  let last: Answer | undefined;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const chunk of (stdout ?? []) as AsyncIterable<Buffer>) {
    let rest = chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = Buffer.concat([...pending, rest.subarray(0, end)]).toString('utf8');
      [pending, pendingBytes] = [[], 0];
      rest = rest.subarray(end + 1);
      const answer = JSON.parse(line) as Answer;
      if (answer.kind === 'progress') progress(answer.doneBytes);
      else last = answer;
    }
    pending.push(rest);
    pendingBytes += rest.length;
    if (pendingBytes > VERIFIER_LINE_BYTES_MAX) throw new Error('The verification says too much');
  }
  return last;
}
