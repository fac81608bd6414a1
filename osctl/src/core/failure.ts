/** From what went wrong to what the operator reads: one message, one hint, one exit code. */
import {
  type ErrorCode,
  ExitCode,
  type ExitCodeNumber,
  GrpcStatus,
  isErrorCode,
  KeelError,
} from '@keelos/proto/errors.ts';
import { type OutputFormat, printable } from './render.ts';

/** A command line that cannot be meant. */
export function usage(message: string, hint: string): KeelError {
  return new KeelError('E_USAGE', message, { hint });
}

/** A failed call, as the gRPC library reports it. */
export interface CallFailure {
  /** gRPC status code. */
  readonly status: number;
  readonly message: string;
  /** ErrorDetail from the trailing metadata; absent when the failure did not come from a KeelOS node. */
  readonly detail?: {
    readonly code: string;
    readonly hint: string;
    readonly details: Readonly<Record<string, string>>;
  };
}

const CODE_OF_STATUS: Readonly<Record<number, ErrorCode>> = {
  [GrpcStatus.CANCELLED]: 'E_CANCELLED',
  [GrpcStatus.INVALID_ARGUMENT]: 'E_INVALID_ARGUMENT',
  [GrpcStatus.DEADLINE_EXCEEDED]: 'E_TIMEOUT',
  [GrpcStatus.NOT_FOUND]: 'E_NOT_FOUND',
  [GrpcStatus.PERMISSION_DENIED]: 'E_NOT_ENROLLED',
  [GrpcStatus.RESOURCE_EXHAUSTED]: 'E_LIMIT_EXCEEDED',
  [GrpcStatus.FAILED_PRECONDITION]: 'E_UNHEALTHY',
  [GrpcStatus.ABORTED]: 'E_CONFIG_CONFLICT',
  [GrpcStatus.UNIMPLEMENTED]: 'E_UNIMPLEMENTED',
  [GrpcStatus.UNAVAILABLE]: 'E_UNREACHABLE',
  [GrpcStatus.UNAUTHENTICATED]: 'E_NOT_ENROLLED',
};

/**
 * The error of a failed call. What the node says (code, hint, details) wins; without it the gRPC status decides. A
 * code that this release does not know keeps its message and hint and counts as the status says.
 */
export function errorOfCall(failure: CallFailure, method: string): KeelError {
  const fallback = CODE_OF_STATUS[failure.status] ?? 'E_INTERNAL';
  const { detail } = failure;
  if (detail !== undefined) {
    const details = isErrorCode(detail.code)
      ? detail.details
      : { ...detail.details, nodeCode: detail.code };
    return new KeelError(isErrorCode(detail.code) ? detail.code : fallback, failure.message, {
      details,
      ...(detail.hint === '' ? {} : { hint: detail.hint }),
    });
  }
  return new KeelError(fallback, `Cannot call ${method}: ${failure.message}`, {
    details: { grpcStatus: String(failure.status) },
  });
}

/** What is printed about an error, and the exit code. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly details: Readonly<Record<string, string>>;
  readonly exitCode: ExitCodeNumber;
}

/** `error` as a {@link Failure}. Anything but a KeelError is a fault of osctl itself. */
export function failureOf(error: unknown): Failure {
  if (error instanceof KeelError) {
    const { code, message, hint, details, exitCode } = error;
    return { code, message, hint, details, exitCode };
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    code: 'E_INTERNAL',
    message: `Cannot go on: ${text}`,
    hint: 'This is a fault in osctl. Please report it with the command line and the output of osctl version.',
    details: {},
    exitCode: ExitCode.failed,
  };
}

function multiline(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** What goes to stderr: two lines for people, one JSON object a line when the output format is JSON. */
export function failureText(failure: Failure, format: OutputFormat): string {
  if (format === 'json') {
    const { code, message, hint, details } = failure;
    return `${JSON.stringify({ error: { code, message, hint, details } })}\n`;
  }
  const hint = failure.hint === '' ? '' : `hint: ${multiline(failure.hint)}\n`;
  return `osctl: ${multiline(failure.message)}\n${hint}`;
}

/** What goes to stderr for a warning: a line for people, a JSON object when the output format is JSON. */
export function warningText(message: string, format: OutputFormat): string {
  if (format === 'json') return `${JSON.stringify({ warning: { message } })}\n`;
  return `warning: ${multiline(message)}\n`;
}
