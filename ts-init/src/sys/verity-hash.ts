/** Hashing of dm-verity blocks in WebAssembly, which PID 1 leaves to a process that may die of it. */
import type { VerifierAnswer, VerifierProgram, VerifierRequest } from '@keelos/proto/verifier.ts';
import type { Processes } from './processes.ts';

/** The port: digests of whole blocks of 4096 bytes, each hashed behind the salt. */
export type HashBlocks = (
  blocks: readonly Uint8Array[],
  salt: Uint8Array,
) => Promise<readonly Uint8Array[]>;

/** Time for the process. */
export const HASH_BLOCKS_MS = 20_000;
/** Bound on its answer, a few digests. */
const ANSWER_BYTES_MAX = 65_536;

/** What it is started with. */
export interface HasherOptions {
  readonly processes: Processes;
  readonly program: VerifierProgram;
  readonly environment: Readonly<Record<string, string>>;
}

/** Hashes in a process that is started for one call. One that a signal ended is started a second time, not a third. */
export function blockHasher(options: HasherOptions): HashBlocks {
  return async (blocks, salt) => {
    const request: VerifierRequest = {
      task: 'hash-blocks',
      salt: Buffer.from(salt).toString('hex'),
      blocks: blocks.map((block) => Buffer.from(block).toString('base64')),
    };
    let ended = await run(options, JSON.stringify(request));
    if (ended.exit.startsWith('signal ')) ended = await run(options, JSON.stringify(request));
    if (ended.exit !== 'exit 0') throw new Error(`blocks could not be hashed: ${ended.exit}`);
    const answer = JSON.parse(ended.output) as VerifierAnswer;
    if (answer.kind !== 'digests' || answer.digests.length !== blocks.length) {
      const problem = answer.kind === 'error' ? answer.message : answer.kind;
      throw new Error(`blocks could not be hashed: ${problem}`);
    }
    return answer.digests.map((digest) => Buffer.from(digest, 'hex'));
  };
}

function run(
  { processes, program, environment }: HasherOptions,
  input: string,
): Promise<{ exit: string; output: string }> {
  return new Promise((resolve, reject) => {
    let output = '';
    let exit = '';
    let isOpen = true;
    let isLate = false;
    const settle = () => {
      if (exit === '' || (isOpen && exit.startsWith('exit '))) return;
      clearTimeout(late);
      resolve({ exit: isLate ? `no answer in ${HASH_BLOCKS_MS / 1000} s` : exit, output });
    };
    const late = setTimeout(() => {
      isLate = true;
      if (pid !== 0) processes.signal(pid, 'SIGKILL');
    }, HASH_BLOCKS_MS);
    let pid = 0;
    try {
      pid = processes.spawn(
        { ...program, environment, input },
        {
          output(stream, chunk) {
            if (stream === 'stdout' && output.length < ANSWER_BYTES_MAX) {
              output += Buffer.from(chunk).toString('latin1');
            }
          },
          outputEnded(stream) {
            if (stream === 'stdout') isOpen = false;
            settle();
          },
          exited(how) {
            exit = how;
            settle();
          },
        },
      );
    } catch (error) {
      clearTimeout(late);
      reject(error);
    }
  });
}
