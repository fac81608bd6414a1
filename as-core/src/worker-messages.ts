/** What goes between {@link CoreWorkers} and the threads: requests one way, progress and one answer the other. */
import type { JobName } from './jobs.ts';
import { CoreError } from './status.ts';

/** One job. The next one is sent after the answer. */
export interface JobRequest {
  readonly name: JobName;
  readonly input: unknown;
  /** One 32-bit number: not 0 once the caller has given up. */
  readonly stop: SharedArrayBuffer;
}

/** An error as it crosses threads: a structured clone would lose its class and its own fields. */
export interface SentError {
  readonly kind: 'core' | 'range' | 'other';
  readonly message: string;
  readonly stack: string;
  readonly status: number;
  readonly code: string;
}

/** Any number of numbers, then one answer. */
export type JobAnswer =
  | { readonly kind: 'progress'; readonly value: number }
  | { readonly kind: 'result'; readonly result: unknown }
  | { readonly kind: 'error'; readonly error: SentError };

/** An error, ready to be sent. */
export function sentError(error: unknown): SentError {
  const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
  const code = codeOf(error);
  if (error instanceof CoreError) {
    return { kind: 'core', message, stack, status: error.status, code };
  }
  return { kind: error instanceof RangeError ? 'range' : 'other', message, stack, status: 0, code };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : '';
  return typeof code === 'string' ? code : '';
}

/** The error as the caller would have got it without a thread between; its stack is the one of the thread. */
export function receivedError(sent: SentError): Error {
  const error = errorOf(sent);
  error.stack = sent.stack;
  return error;
}

function errorOf({ kind, message, status, code }: SentError): Error {
  if (kind === 'core') return new CoreError(status, message);
  if (kind === 'range') return new RangeError(message);
  return code === '' ? new Error(message) : Object.assign(new Error(message), { code });
}
