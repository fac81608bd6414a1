// Runs a program whose output is wanted apart from its exit status. For build steps, which must succeed, see exec.mjs.

import { spawn } from 'node:child_process';

const TIMEOUT_MS = 60_000;

/**
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{ timeoutMs?: number, anyExit?: boolean }} [options] `anyExit`: any exit status is an answer
 * @returns {Promise<{ exitCode: number, stdout: string, stderr: string }>}
 */
export function run(program, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: options.timeoutMs ?? TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    const texts = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      texts.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      texts.stderr += text;
    });
    child.once('error', (cause) =>
      fail(new Error(`Cannot run ${program}: ${cause.message}`, { cause })),
    );
    child.once('close', (code) => {
      if (code === 0 || options.anyExit === true) done({ exitCode: code ?? -1, ...texts });
      else fail(new Error(`${program} ${args.join(' ')}: exit status ${code}\n${texts.stderr}`));
    });
  });
}
