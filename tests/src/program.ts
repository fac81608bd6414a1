/** Runs programs whose exit status is what a test looks at. */
import { spawn } from 'node:child_process';

const PROGRAM_TIMEOUT_MS = 200_000;

/** How a program ended. */
export interface Ended {
  /** -1 when a signal ended it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What may be set for {@link runProgram}. */
export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** SIGKILL after this. */
  readonly timeoutMs?: number;
}

/** Runs a program to its end, whatever its exit status. Rejects only when it cannot be started. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Ended> {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      env: { ...process.env, ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? PROGRAM_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const texts = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      texts.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      texts.stderr += text;
    });
    child.once('error', fail);
    child.once('close', (code) => done({ exitCode: code ?? -1, ...texts }));
  });
}
