/** Runs programs whose exit status is what a test looks at. */
import { type Ended, type ExecOptions, exec } from '../../scripts/lib/exec.mjs';

const PROGRAM_TIMEOUT_MS = 200_000;

export type { Ended };

/**
 * Runs a program to its end, whatever its exit status. Rejects when it cannot be started, and when it has not ended
 * in time (`timeoutMs`, 200 s when absent).
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: Pick<ExecOptions, 'env' | 'cwd' | 'timeoutMs'> = {},
): Promise<Ended> {
  return exec(program, args, { timeoutMs: PROGRAM_TIMEOUT_MS, ...options, anyExit: true });
}
