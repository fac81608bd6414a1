/**
 * The one mapper from an error to what goes over the wire.
 */
import type { ErrorCode } from '@keelos/proto/errors.ts';
import { KeelError } from '@keelos/proto/errors.ts';

/** A failed call, before it is put into gRPC's shapes. */
export interface FailedCall {
  /** gRPC status. */
  readonly status: number;
  readonly message: string;
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: Readonly<Record<string, string>>;
  /** What the agent's own log gets; undefined for errors that are no fault of ours. */
  readonly logged: string | undefined;
}

/** Longest message on the wire: it travels in an HTTP/2 header. */
const MESSAGE_CHARS_MAX = 2_048;

/**
 * Maps `error`. An unknown error becomes E_INTERNAL without any of its inner details; they are in `logged`, found again
 * by `correlationId`.
 */
export function failedCall(error: unknown, correlationId: string): FailedCall {
  if (error instanceof KeelError) {
    return {
      status: error.status,
      message: error.message.slice(0, MESSAGE_CHARS_MAX),
      code: error.code,
      hint: error.hint,
      details: error.details,
      logged: undefined,
    };
  }
  if (nameOf(error) === 'TimeoutError') {
    return failedCall(new KeelError('E_TIMEOUT', 'Cannot finish the call: no time left'), '');
  }
  if (nameOf(error) === 'AbortError') {
    return failedCall(new KeelError('E_CANCELLED', 'Cannot finish the call: it was cancelled'), '');
  }
  const fault = new KeelError(
    'E_INTERNAL',
    `Cannot finish the call: internal error ${correlationId}`,
    { details: { correlation_id: correlationId } },
  );
  const inner = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    ...failedCall(fault, correlationId),
    logged: `internal error ${correlationId}: ${inner}`,
  };
}

/** Node's waits throw an AbortError whose cause is the signal's reason: what counts is the reason. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const isWrapped = error.name === 'AbortError' && error.cause instanceof Error;
  return isWrapped ? nameOf(error.cause) : error.name;
}
