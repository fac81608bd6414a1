/** Deltas, read and applied in the process that verifies: what it parses and patches is untrusted, and may end it. */
import type { Readable } from 'node:stream';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaApplication, OpenedDelta } from '@keelos/proto/verifier.ts';
import { VERIFIER_BYTES_FD } from '@keelos/proto/verifier.ts';
import {
  askVerifier,
  errorOf,
  lastAnswer,
  startVerifier,
  type VerifierOptions,
} from './verifier-process.ts';

/** A delta that was opened, with the end of the bundle that it makes. */
export interface ReadableDelta extends Omit<OpenedDelta, 'end'> {
  readonly end: Uint8Array;
}

/**
 * The port: looks whether the delta in a file can be applied on this machine.
 *
 * @throws KeelError any E_DELTA_ code, E_BUNDLE_… for the end of the bundle in it, E_VERIFY_ENDED
 */
export type OpenDelta = (path: string, signal: AbortSignal) => Promise<ReadableDelta>;

/**
 * The port: root and kernel image of the bundle that a delta makes, from `fromBytes` on. What is not read is not made.
 *
 * @throws KeelError any E_DELTA_ code, E_VERIFY_ENDED; an error with the code of the system
 */
export type ApplyDelta = (
  application: DeltaApplication,
  signal: AbortSignal,
) => AsyncIterable<Uint8Array>;

/** Time for a look: hashes of a file, and one block that is packed, on an emulated machine that is busy. */
const OPEN_MS_MAX = 10 * 60_000;
/** Time for an apply: a gigabyte that is packed again at the highest level on a slow machine. */
const APPLY_MS_MAX = 4 * 3_600_000;

/** Both ports, each call a child process. */
export function deltaReader(options: VerifierOptions): {
  readonly openDelta: OpenDelta;
  readonly applyDelta: ApplyDelta;
} {
  return {
    async openDelta(path, signal) {
      const answer = await askVerifier(
        { task: 'open-delta', path },
        {
          timeoutMs: OPEN_MS_MAX,
          ...options,
          signal,
          action: 'read delta',
          subject: 'reading of a delta',
        },
      );
      if (answer.kind !== 'delta') throw new Error(`The verification answered ${answer.kind}`);
      return { ...answer.delta, end: Buffer.from(answer.delta.end, 'base64') };
    },
    applyDelta: (application, signal) => appliedBytes(application, { ...options, signal }),
  };
}

async function* appliedBytes(
  application: DeltaApplication,
  of: VerifierOptions & { readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const { program, signal, log, timeoutMs = APPLY_MS_MAX } = of;
  const request = { task: 'apply-delta', ...application } as const;
  const started = startVerifier(request, { program, signal, timeoutMs, withBytes: true });
  try {
    const answered = lastAnswer(started.child, () => undefined);
    // Awaited below, when the last byte has come.
    answered.catch(() => undefined);
    yield* started.child.stdio[VERIFIER_BYTES_FD] as Readable;
    const outcome = await started.outcome(await answered);
    if (outcome.kind === 'ended') {
      log(`applying of a delta ended before its end: ${outcome.how}`);
      throw new KeelError(
        'E_VERIFY_ENDED',
        `Cannot apply delta: the process ended (${outcome.how})`,
      );
    }
    if (outcome.answer.kind === 'error') throw errorOf(outcome.answer);
    const { kind } = outcome.answer;
    if (kind !== 'applied') throw new Error(`The verification answered ${kind}`);
    const { keptBytes } = outcome.answer;
    log(`delta applied${keptBytes === 0 ? '' : `, ${keptBytes} bytes of it made earlier`}`);
  } finally {
    await started.end();
  }
}
