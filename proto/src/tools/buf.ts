/** Runs buf, the compiler and checker of .proto files. On a build machine only. */
import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import type { FileDescriptorSet } from '../pages/descriptors.ts';

const run = promisify(execFile);

/** Top folder of the checkout. */
export const CHECKOUT = resolve(import.meta.dirname, '../../..');

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const TIMEOUT_MS = 60_000;

/** What a finished command said. */
export interface BufResult {
  readonly ok: boolean;
  readonly stdout: string;
  /** Findings of lint and breaking come on stdout, faults of the run itself on stderr. */
  readonly stderr: string;
}

/** Runs buf with `args` in `folder`, which holds a buf.yaml. Resolves for any exit code; rejects when it cannot run. */
export async function buf(args: readonly string[], folder: string): Promise<BufResult> {
  const program = resolve(CHECKOUT, 'node_modules/.bin/buf');
  try {
    const { stdout, stderr } = await run(program, args, {
      cwd: folder,
      maxBuffer: OUTPUT_BYTES_MAX,
      timeout: TIMEOUT_MS,
    });
    return { ok: true, stdout, stderr };
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'number')
      throw error;
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    return { ok: false, stdout, stderr };
  }
}

/**
 * Descriptors of the API in `folder`, with comments unless `withComments` is false.
 *
 * @throws Error with buf's own words when the files do not compile
 */
export async function buildApi({
  folder = resolve(CHECKOUT, 'proto'),
  withComments = true,
} = {}): Promise<FileDescriptorSet> {
  const args = ['build', '-o', '-#format=json'];
  const result = await buf(withComments ? args : [...args, '--exclude-source-info'], folder);
  if (!result.ok) throw new Error(`Cannot build the API: ${result.stderr}${result.stdout}`);
  return JSON.parse(result.stdout);
}
