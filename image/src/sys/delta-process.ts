/** Makes deltas in a process of their own: a generator computes for long, and a fault in it must end nothing else. */
import { spawn } from 'node:child_process';
import { getPriority, setPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type ErrorCode, isErrorCode, KeelError } from '@keelos/proto/errors.ts';
import type { DeltaReport, DeltaRequest, MakeDelta } from '../core/delta-report.ts';

const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));
const OUTPUT_CHARS_MAX = 65_536;
const MESSAGE_CHARS_MAX = 300;
/** Whoever is served must not wait for it. */
const PRIORITY = 10;
/** A generator that takes longer is stuck. */
const TIMEOUT_MS = 60 * 60_000;

/** Runs `keel-image delta`. Its `onProgress` is not called. */
export const makeDeltaInProcess: MakeDelta = async (request) => {
  const { oldPath, newPath, out, keys = [], maxMemoryBytes, signal } = request;
  const memory = maxMemoryBytes === undefined ? [] : ['--max-memory', String(maxMemoryBytes)];
  const args = ['delta', oldPath, newPath, out, '--json', ...memory];
  for (const key of keys) args.push('--key', key);
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const stop = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
  const { status, stdout, stderr } = await run([MAIN, ...args], stop);
  if (status !== 0) throw failed(request, stderr, stop);
  const report: DeltaReport = JSON.parse(stdout);
  return report;
};

function failed(request: DeltaRequest, stderr: string, stop: AbortSignal): KeelError {
  const lines = stderr.trim().split('\n');
  const said = lines.find((line) => line.startsWith('keel-image: ')) ?? lines[0] ?? '';
  const reason = said.replace(/^keel-image: /, '').slice(0, MESSAGE_CHARS_MAX);
  const code: ErrorCode = stop.aborted ? 'E_CANCELLED' : codeIn(said);
  return new KeelError(code, `Cannot make delta ${request.out}: ${reason || 'it ended'}`);
}

function codeIn(text: string): ErrorCode {
  const found = /\bE_[A-Z_]+\b/.exec(text)?.[0] ?? '';
  return isErrorCode(found) ? found : 'E_IMAGE_INVALID';
}

interface Ended {
  /** Null: a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Who has a lower priority already must not ask for a higher one, and may not. */
function lowerPriority(pid: number): void {
  try {
    setPriority(pid, Math.max(PRIORITY, getPriority()));
  } catch {
    // It has ended, or may not be touched: it goes on as it is.
  }
}

function run(args: readonly string[], signal: AbortSignal): Promise<Ended> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    // Without descriptors there are no pipes, only the error.
    child.once('error', fail);
    const text = { stdout: '', stderr: '' };
    const stop = (): void => void child.kill('SIGKILL');
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]?.setEncoding('utf8').on('data', (piece: string) => {
        text[name] = (text[name] + piece).slice(-OUTPUT_CHARS_MAX);
      });
    }
    child.once('spawn', () => {
      if (child.pid !== undefined) lowerPriority(child.pid);
    });
    child.once('close', (status) => {
      signal.removeEventListener('abort', stop);
      done({ status, ...text });
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}
