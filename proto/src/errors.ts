/**
 * Every error that KeelOS reports on purpose, in one table.
 *
 * A row gives the gRPC status that the agent answers with, the exit code of a command that ends with it, and what the
 * operator can do. `docs/reference/errors.md` is generated from it.
 */

import { CHANNEL_ERRORS } from './channel-errors.ts';
import { DELTA_ERRORS } from './delta-errors.ts';
import type { ErrorRow, ExitCodeNumber, GrpcStatusCode } from './error-codes.ts';
import { GrpcStatus as S, ExitCode as X } from './error-codes.ts';
import { UPDATE_ERRORS } from './update-errors.ts';

export type { ErrorRow, ExitCodeNumber, GrpcStatusCode } from './error-codes.ts';
export { ExitCode, GrpcStatus } from './error-codes.ts';

/** The table: code to row. Codes are never reused for another meaning. */
export const ERRORS = {
  E_CANCELLED: {
    status: S.CANCELLED,
    exit: X.cancelled,
    meaning: 'The caller gave up.',
    hint: 'Nothing to do.',
  },
  E_TIMEOUT: {
    status: S.DEADLINE_EXCEEDED,
    exit: X.timeout,
    meaning: 'The answer did not come in time.',
    hint: 'Try again with a longer --timeout, or look at the console of the node.',
  },
  E_UNREACHABLE: {
    status: S.UNAVAILABLE,
    exit: X.unreachable,
    meaning: 'No connection to the node could be made.',
    hint: 'Check the endpoint, the network between here and the node, and whether the node is up (its console shows its addresses).',
  },
  E_TLS_REFUSED: {
    status: S.UNAVAILABLE,
    exit: X.untrusted,
    meaning: 'The TLS handshake with the node failed.',
    hint: 'KeelOS speaks TLS 1.3 only. Check that the endpoint is a KeelOS node and that nothing in between ends the TLS session.',
  },
  E_FINGERPRINT_MISMATCH: {
    status: S.UNAVAILABLE,
    exit: X.untrusted,
    meaning: "The node's certificate is not the one that was expected.",
    hint: 'Compare with the fingerprint on the console of the node. If the state partition was lost, the node has a new key: enrol again with osctl init bootstrap.',
  },
  E_NO_CLIENT_CERTIFICATE: {
    status: S.UNAUTHENTICATED,
    exit: X.untrusted,
    meaning: 'The caller showed no client certificate.',
    hint: 'Use a context made by osctl init bootstrap, or give the client certificate and key to your gRPC tool.',
  },
  E_NOT_ENROLLED: {
    status: S.UNAUTHENTICATED,
    exit: X.untrusted,
    meaning: "The caller's certificate is not enrolled on this node.",
    hint: 'Enrol with osctl init bootstrap and the one-time token from the console. Reboot the node to get a new token.',
  },
  E_CERTIFICATE_EXPIRED: {
    status: S.UNAUTHENTICATED,
    exit: X.untrusted,
    meaning: "The caller's certificate has expired.",
    hint: 'Reboot the node, read the new token on its console, and run osctl init bootstrap again.',
  },
  E_CERTIFICATE_UNACCEPTABLE: {
    status: S.UNAUTHENTICATED,
    exit: X.untrusted,
    meaning: "The caller's certificate has a form that is not accepted.",
    hint: 'Let osctl init bootstrap make the certificate: ECDSA P-256, self-signed, client authentication, at most 24 hours.',
  },
  E_TOKEN_WRONG: {
    status: S.PERMISSION_DENIED,
    exit: X.untrusted,
    meaning: 'The enrolment token is not the one on the console.',
    hint: 'Read the token on the console of this node again.',
  },
  E_TOKEN_USED: {
    status: S.PERMISSION_DENIED,
    exit: X.untrusted,
    meaning: 'The enrolment token has been used already.',
    hint: 'A token works once. Reboot the node to get a new one on its console. If you did not use it yourself, somebody else was enrolled: look at the console and wipe the node.',
  },
  E_TOKEN_EXPIRED: {
    status: S.PERMISSION_DENIED,
    exit: X.untrusted,
    meaning: 'The enrolment token has expired.',
    hint: 'Reboot the node to get a new token on its console.',
  },
  E_RATE_LIMITED: {
    status: S.RESOURCE_EXHAUSTED,
    exit: X.failed,
    meaning: 'Too many calls in too short a time.',
    hint: 'Wait a minute and try again.',
  },
  E_LIMIT_EXCEEDED: {
    status: S.RESOURCE_EXHAUSTED,
    exit: X.invalidInput,
    meaning: 'Something is larger or more than the limit.',
    hint: 'The message names the limit.',
  },
  E_INVALID_ARGUMENT: {
    status: S.INVALID_ARGUMENT,
    exit: X.invalidInput,
    meaning: 'A value in the request is not acceptable.',
    hint: 'The message names the value and what was expected.',
  },
  E_CONFIG_INVALID: {
    status: S.INVALID_ARGUMENT,
    exit: X.invalidInput,
    meaning: 'The configuration does not fit its schema.',
    hint: 'Run osctl validate -f FILE to see every problem with line and column.',
  },
  E_CONFIG_CONFLICT: {
    status: S.ABORTED,
    exit: X.conflict,
    meaning: 'The configuration was changed by somebody else in between.',
    hint: 'Look at osctl diff -f FILE and apply again.',
  },
  E_NOT_FOUND: {
    status: S.NOT_FOUND,
    exit: X.notFound,
    meaning: 'There is nothing of that name.',
    hint: 'The message names what exists.',
  },
  E_UNHEALTHY: {
    status: S.FAILED_PRECONDITION,
    exit: X.unhealthy,
    meaning: 'The node answers and is not healthy.',
    hint: 'Look at osctl health: each failing check says what to do.',
  },
  E_SLOT_DAMAGED: {
    status: S.DATA_LOSS,
    exit: X.damaged,
    meaning: 'A slot holds bytes that are not those that were built.',
    hint: 'Do not boot this slot. Write the image again; when it comes back, replace the disk.',
  },
  E_SLOT_UNKNOWN: {
    status: S.FAILED_PRECONDITION,
    exit: X.failed,
    meaning: 'It cannot be told which slot is meant, or what a slot must hold.',
    hint: 'Look at osctl get security and osctl dmesg. On a disk that KeelOS did not make there are no slots.',
  },
  E_VERIFY_RUNNING: {
    status: S.ABORTED,
    exit: X.conflict,
    meaning: 'Another verification of a slot is running.',
    hint: 'Wait until it has ended, then try again.',
  },
  E_VERIFY_ENDED: {
    status: S.INTERNAL,
    exit: X.failed,
    meaning:
      'The process that verifies ended before its verdict. Nothing is known of the slot by it.',
    hint: 'Try again. If it happens more than once, look at osctl logs agent and osctl dmesg, and at the memory of the node.',
  },
  ...UPDATE_ERRORS,
  ...DELTA_ERRORS,
  ...CHANNEL_ERRORS,
  E_STATE_UNAVAILABLE: {
    status: S.FAILED_PRECONDITION,
    exit: X.failed,
    meaning: 'The state partition cannot be used.',
    hint: 'Look at osctl health and osctl dmesg. The node runs on memory only until the disk is repaired or replaced.',
  },
  E_STATE_FULL: {
    status: S.RESOURCE_EXHAUSTED,
    exit: X.noSpace,
    meaning: 'The state partition has no room.',
    hint: 'Look at osctl status for the room left.',
  },
  E_DISK_LAYOUT: {
    status: S.FAILED_PRECONDITION,
    exit: X.failed,
    meaning: 'The partition table is damaged, or is not the one of a KeelOS disk.',
    hint: 'The message names what is wrong. Write the disk image again if the table cannot be repaired.',
  },
  E_IMAGE_INVALID: {
    status: S.INVALID_ARGUMENT,
    exit: X.invalidInput,
    meaning:
      'A file is not the part of an image that it should be, or would make an image that breaks a rule.',
    hint: 'The message names the file and what was expected.',
  },
  E_RECORD_DAMAGED: {
    status: S.DATA_LOSS,
    exit: X.failed,
    meaning: 'A record on disk is damaged: its checksum or version is wrong.',
    hint: 'The message names the file. The node goes on with its default.',
  },
  E_INIT_UNREACHABLE: {
    status: S.UNAVAILABLE,
    exit: X.failed,
    meaning: 'The agent cannot talk to PID 1.',
    hint: 'Look at the console of the node.',
  },
  E_UNIMPLEMENTED: {
    status: S.UNIMPLEMENTED,
    exit: X.failed,
    meaning: 'The node does not know this call.',
    hint: 'Compare the versions with osctl version.',
  },
  E_INTERNAL: {
    status: S.INTERNAL,
    exit: X.failed,
    meaning: 'A fault in KeelOS itself.',
    hint: 'Please report it with the output of osctl logs agent and osctl dmesg.',
  },
  E_USAGE: {
    status: S.INVALID_ARGUMENT,
    exit: X.usage,
    meaning: 'The command line is not right.',
    hint: 'See --help.',
  },
  E_CONTEXT_MISSING: {
    status: S.FAILED_PRECONDITION,
    exit: X.usage,
    meaning: 'No context of that name is configured.',
    hint: 'List contexts with osctl config list, or make one with osctl init bootstrap.',
  },
  E_CONTEXT_EXISTS: {
    status: S.ALREADY_EXISTS,
    exit: X.conflict,
    meaning: 'There is a context of that name for another node.',
    hint: 'Choose another name with --context, or replace it with --force.',
  },
  E_CONTEXT_FILE: {
    status: S.FAILED_PRECONDITION,
    exit: X.invalidInput,
    meaning: 'The contexts file cannot be used.',
    hint: 'Check the file that the message names; its mode must be 0600.',
  },
} as const satisfies Record<string, ErrorRow>;

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;

/** True when `code` is in the table. */
export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}

/** What may be added to a {@link KeelError}. */
export interface KeelErrorOptions {
  readonly cause?: unknown;
  /** Facts for programs; never a secret. */
  readonly details?: Readonly<Record<string, string>>;
  /** Replaces the table's hint when the place knows better. */
  readonly hint?: string;
}

/** An error of the outside world: has a code of the table, a message "Cannot <verb> <object>: <reason>", and a hint. */
export class KeelError extends Error {
  override readonly name = 'KeelError';
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, string>>;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: KeelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
    this.hint = options.hint ?? ERRORS[code].hint;
  }

  /** gRPC status of this error. */
  get status(): GrpcStatusCode {
    return ERRORS[this.code].status;
  }

  /** Exit code of a command that ends with this error. */
  get exitCode(): ExitCodeNumber {
    return ERRORS[this.code].exit;
  }
}
