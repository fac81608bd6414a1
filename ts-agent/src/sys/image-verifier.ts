/** Verification of an image in a process of its own: it may die of it, the agent lives on. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { KeelError } from '@keelos/proto/errors.ts';
import type {
  ImagePlace,
  VerifierAnswer,
  VerifierProgram,
  VerifierRequest,
} from '@keelos/proto/verifier.ts';
import { VERIFIER_LINE_BYTES_MAX } from '@keelos/proto/verifier.ts';
import type { ImageFindings } from '../core/slot-contents.ts';

/** How it is verified. */
export interface VerifyOptions {
  readonly signal: AbortSignal;
  /** Whether the file system is walked too. */
  readonly withFileSystem: boolean;
  /** Told the bytes that are done: those of the data and, after it, of the file system walked. Never less than before. */
  readonly onProgress: (doneBytes: number) => void;
}

/**
 * The port: reads the whole image from its device and checks it. Bad bytes are findings, not errors.
 *
 * @throws what the device answers, for example EIO
 * @throws KeelError E_VERIFY_ENDED when the verification ended before its verdict
 */
export type VerifyImage = (place: ImagePlace, options: VerifyOptions) => Promise<ImageFindings>;

/** How the process is started, and who is told when it is started again. */
export interface VerifierOptions {
  readonly program: VerifierProgram;
  readonly log: (line: string) => void;
  /** Time for one verification, {@link VERIFY_MS_MAX} unless told. */
  readonly timeoutMs?: number;
}

/** Time for one verification: a gigabyte of a slow disk on an emulated machine. */
export const VERIFY_MS_MAX = 30 * 60_000;

/** What became of a process. */
type Outcome =
  | { readonly kind: 'answer'; readonly answer: VerifierAnswer<ImageFindings> }
  | { readonly kind: 'ended'; readonly how: string; readonly isSignal: boolean };

/**
 * Verifies in a child process, which is there as long as it verifies. One that a signal ended that was not ours is started
 * a second time, not a third.
 */
export function imageVerifier(options: VerifierOptions): VerifyImage {
  return async (place, { signal, withFileSystem, onProgress }) => {
    const request = { task: 'verify-image', place, withFileSystem } as const;
    let doneMost = 0;
    const progress = (doneBytes: number) => {
      if (doneBytes > doneMost) onProgress(doneBytes);
      doneMost = Math.max(doneMost, doneBytes);
    };
    let outcome = await attempt(request, { ...options, signal, progress });
    if (outcome.kind === 'ended' && outcome.isSignal) {
      options.log(
        `verification of ${place.device} ended by ${outcome.how}: it is begun again, once`,
      );
      outcome = await attempt(request, { ...options, signal, progress });
    }
    if (outcome.kind === 'ended') {
      options.log(`verification of ${place.device} ended before its verdict: ${outcome.how}`);
      throw new KeelError(
        'E_VERIFY_ENDED',
        `Cannot verify ${place.device}: the verification ended before its verdict (${outcome.how})`,
      );
    }
    return findingsOf(outcome.answer);
  };
}

function findingsOf(answer: VerifierAnswer<ImageFindings>): ImageFindings {
  if (answer.kind === 'findings') return answer.findings;
  if (answer.kind !== 'error') throw new Error(`The verification answered ${answer.kind}`);
  const error = new Error(answer.message);
  throw answer.code === '' ? error : Object.assign(error, { code: answer.code });
}

interface Attempt extends VerifierOptions {
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number) => void;
}

/** One process, from its start to its end: when this settles it is gone. */
async function attempt(
  request: VerifierRequest,
  { program, signal, progress, timeoutMs = VERIFY_MS_MAX }: Attempt,
): Promise<Outcome> {
  signal.throwIfAborted();
  const child = spawn(program.executable, program.args, {
    argv0: program.argv0,
    cwd: '/',
    // Its complaints are the agent's.
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  const closed = once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>;
  // Whoever awaits it below is told; until then nobody is.
  closed.catch(() => undefined);
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  try {
    // It may end without reading: how it ended tells more.
    child.stdin.on('error', () => undefined);
    child.stdin.end(JSON.stringify(request));
    const answer = await lastAnswer(child, progress);
    const [code, by] = await closed;
    signal.throwIfAborted();
    if (answer !== undefined && code === 0) return { kind: 'answer', answer };
    const isLate = child.killed;
    const how = isLate ? `no verdict in ${timeoutMs / 1000} s` : (by ?? `exit ${code}`);
    return { kind: 'ended', how, isSignal: by !== null && !isLate };
  } finally {
    signal.removeEventListener('abort', stop);
    child.kill('SIGKILL');
    await closed.catch(() => undefined);
  }
}

/** Reads what it says until it says no more. @throws Error when it says what it should not */
async function lastAnswer(
  { stdout }: ChildProcess,
  progress: (doneBytes: number) => void,
): Promise<VerifierAnswer<ImageFindings> | undefined> {
  let last: VerifierAnswer<ImageFindings> | undefined;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  for await (const chunk of (stdout ?? []) as AsyncIterable<Buffer>) {
    let rest = chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = Buffer.concat([...pending, rest.subarray(0, end)]).toString('utf8');
      [pending, pendingBytes] = [[], 0];
      rest = rest.subarray(end + 1);
      const answer = JSON.parse(line) as VerifierAnswer<ImageFindings>;
      if (answer.kind === 'progress') progress(answer.doneBytes);
      else last = answer;
    }
    pending.push(rest);
    pendingBytes += rest.length;
    if (pendingBytes > VERIFIER_LINE_BYTES_MAX) throw new Error('The verification says too much');
  }
  return last;
}
