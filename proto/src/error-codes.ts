/** What an error is to a gRPC caller and to a script: statuses, exit codes, and the shape of a row of the table in errors.ts. */

/** gRPC status codes in use here (google.rpc.Code). */
export const GrpcStatus = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** A value of {@link GrpcStatus}. */
export type GrpcStatusCode = (typeof GrpcStatus)[keyof typeof GrpcStatus];

/**
 * Exit codes of every KeelOS command. 0 is success; each other number has one meaning everywhere.
 */
export const ExitCode = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  untrusted: 4,
  invalidInput: 5,
  notFound: 6,
  unhealthy: 7,
  timeout: 8,
  conflict: 9,
  noSpace: 10,
  damaged: 11,
  bundleMalformed: 20,
  bundleTruncated: 21,
  bundleOversize: 22,
  bundleDamaged: 23,
  signatureWrong: 24,
  signaturesTooFew: 25,
  keyExpired: 26,
  epochTooLow: 27,
  archMismatch: 28,
  slotTooSmall: 29,
  noTrust: 30,
  failedBefore: 31,
  bootCounting: 32,
  sourceUnreachable: 33,
  sourceRefused: 34,
  sourceChanged: 35,
  sourceWithoutRanges: 36,
  rolledBack: 37,
  sourceAnswer: 38,
  deltaUnfit: 40,
  cancelled: 130,
} as const;

/** A value of {@link ExitCode}. */
export type ExitCodeNumber = (typeof ExitCode)[keyof typeof ExitCode];

/** One row of the error table. */
export interface ErrorRow {
  readonly status: GrpcStatusCode;
  readonly exit: ExitCodeNumber;
  /** What went wrong, in general: the docs' wording. */
  readonly meaning: string;
  /** What to do about it. */
  readonly hint: string;
}
