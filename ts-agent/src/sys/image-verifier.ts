/** Verification of an image in a process of its own. */
import type { ImagePlace } from '@keelos/proto/verifier.ts';
import type { ImageFindings } from '../core/slot-contents.ts';
import { askVerifier, type VerifierOptions } from './verifier-process.ts';

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

/** Verifies in a child process: see askVerifier. */
export function imageVerifier(options: VerifierOptions): VerifyImage {
  return async (place, { signal, withFileSystem, onProgress }) => {
    const { device } = place;
    const answer = await askVerifier(
      { task: 'verify-image', place, withFileSystem },
      {
        ...options,
        signal,
        onProgress,
        action: `verify ${device}`,
        subject: `verification of ${device}`,
      },
    );
    if (answer.kind === 'findings') return answer.findings;
    throw new Error(`The verification answered ${answer.kind}`);
  };
}
