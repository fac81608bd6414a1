/**
 * Every error that KeelOS reports on purpose, in one table.
 *
 * A row gives the gRPC status that the agent answers with, the exit code of a command that ends with it, and what the
 * operator can do. `docs/reference/errors.md` is generated from it.
 */

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

const S = GrpcStatus;
const X = ExitCode;

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
  E_BUNDLE_MALFORMED: {
    status: S.INVALID_ARGUMENT,
    exit: X.bundleMalformed,
    meaning:
      'The file is not a bundle, or its manifest, signatures or footer are not in their one form.',
    hint: 'Make the bundle again with keel-image bundle, and check it with keel-image verify.',
  },
  E_BUNDLE_TRUNCATED: {
    status: S.INVALID_ARGUMENT,
    exit: X.bundleTruncated,
    meaning: 'The bundle ends before its parts do.',
    hint: 'Copy or download it again, and compare its SHA-256.',
  },
  E_BUNDLE_OVERSIZE: {
    status: S.INVALID_ARGUMENT,
    exit: X.bundleOversize,
    meaning: 'The bundle has bytes that belong to no part, or a part is larger than any may be.',
    hint: 'Make the bundle again with keel-image bundle.',
  },
  E_BUNDLE_DAMAGED: {
    status: S.DATA_LOSS,
    exit: X.bundleDamaged,
    meaning: 'A part of the bundle does not have the hash that its manifest gives.',
    hint: 'Copy or download it again, and compare its SHA-256.',
  },
  E_SIGNATURE_WRONG: {
    status: S.FAILED_PRECONDITION,
    exit: X.signatureWrong,
    meaning: 'No signature of the bundle is one of a key that the node trusts.',
    hint: "Sign the bundle with a key of the running release's trust file: keel-image sign. keel-image inspect shows who has signed.",
  },
  E_SIGNATURES_TOO_FEW: {
    status: S.FAILED_PRECONDITION,
    exit: X.signaturesTooFew,
    meaning: 'Fewer trusted keys have signed the bundle than the node demands.',
    hint: 'Let another key holder add a signature with keel-image sign.',
  },
  E_KEY_EXPIRED: {
    status: S.FAILED_PRECONDITION,
    exit: X.keyExpired,
    meaning: 'Enough keys have signed, but some of them no longer count.',
    hint: 'Sign with keys that have not expired. Check the clock of the node with osctl status.',
  },
  E_EPOCH_TOO_LOW: {
    status: S.FAILED_PRECONDITION,
    exit: X.epochTooLow,
    meaning: 'The security epoch of the bundle is below that of the node.',
    hint: 'Older releases with known weaknesses are refused on purpose. Take a release of the present epoch.',
  },
  E_ARCH_MISMATCH: {
    status: S.FAILED_PRECONDITION,
    exit: X.archMismatch,
    meaning: 'The bundle is for machines of another architecture.',
    hint: 'Take the bundle for the architecture that osctl version shows.',
  },
  E_SLOT_TOO_SMALL: {
    status: S.FAILED_PRECONDITION,
    exit: X.slotTooSmall,
    meaning: 'The root of the bundle is larger than the slot.',
    hint: 'A slot cannot grow: write the disk image of the new release.',
  },
  E_NO_TRUST: {
    status: S.FAILED_PRECONDITION,
    exit: X.noTrust,
    meaning: 'The running image trusts no key, so it takes no update.',
    hint: 'Build the image with keel-image build --trust, and write it to the disk once.',
  },
  E_RELEASE_FAILED_BEFORE: {
    status: S.FAILED_PRECONDITION,
    exit: X.failedBefore,
    meaning: 'The trial of this release has failed on this node before.',
    hint: 'Look at osctl rollback history. To try it again all the same, use --retry-failed.',
  },
  E_RELEASE_RUNNING: {
    status: S.ALREADY_EXISTS,
    exit: X.conflict,
    meaning: 'The bundle holds the very release that the node runs.',
    hint: 'Nothing to do. osctl version shows what runs.',
  },
  E_BOOT_COUNTING: {
    status: S.FAILED_PRECONDITION,
    exit: X.bootCounting,
    meaning:
      'The boot loader has not been seen to count tries, so a failed update might not be undone.',
    hint: 'Look at osctl slots and osctl health. Reboot once: the check is made at every boot. The EFI system partition must be writable for the firmware.',
  },
  E_ESP_FULL: {
    status: S.RESOURCE_EXHAUSTED,
    exit: X.noSpace,
    meaning: 'The EFI system partition has no room for another kernel image.',
    hint: 'Look at what else is on it. KeelOS removes its own leftovers before it counts.',
  },
  E_ESP_DAMAGED: {
    status: S.DATA_LOSS,
    exit: X.damaged,
    meaning: 'The EFI system partition cannot be read or written.',
    hint: 'Look at osctl health and osctl dmesg. The node runs on; it may not boot again.',
  },
  E_SLOT_WRITE: {
    status: S.DATA_LOSS,
    exit: X.damaged,
    meaning: 'What was written to the slot could not be written, or reads back different.',
    hint: 'Look at osctl dmesg. When it comes back, replace the disk. The running slot is not touched.',
  },
  E_SLOT_EMPTY: {
    status: S.FAILED_PRECONDITION,
    exit: X.notFound,
    meaning: 'The other slot holds no release that could be started.',
    hint: 'Look at osctl slots. Install a release with osctl update.',
  },
  E_UPDATE_RUNNING: {
    status: S.ABORTED,
    exit: X.conflict,
    meaning: 'Another install is running.',
    hint: 'Wait for it with osctl update --watch, or end it with osctl update --cancel.',
  },
  E_UPDATE_UNSETTLED: {
    status: S.FAILED_PRECONDITION,
    exit: X.conflict,
    meaning: 'A release is armed or on trial.',
    hint: 'Wait until it is committed or the node is back: osctl slots. An armed release that was not booted yet is given up with osctl update --cancel.',
  },
  E_UPDATE_ROLLED_BACK: {
    status: S.FAILED_PRECONDITION,
    exit: X.rolledBack,
    meaning: 'The new release did not prove itself; the node runs the old one again.',
    hint: 'osctl rollback history tells the cause.',
  },
  E_SOURCE_UNREACHABLE: {
    status: S.UNAVAILABLE,
    exit: X.sourceUnreachable,
    meaning:
      'The server with the bundle cannot be reached, or the connection broke again and again.',
    hint: 'Check the URL, the proxy and the network of the node; the install goes on where it ended.',
  },
  E_SOURCE_TIMEOUT: {
    status: S.UNAVAILABLE,
    exit: X.sourceUnreachable,
    meaning:
      'The server with the bundle did not answer in time, or sent next to nothing for too long.',
    hint: 'Look at the server, the proxy and the line between; the install goes on where it ended.',
  },
  E_SOURCE_SHORT: {
    status: S.UNAVAILABLE,
    exit: X.sourceUnreachable,
    meaning:
      'The answers of the server with the bundle end before the bytes that they promise, again and again.',
    hint: 'Look at the server and at proxies on the way; the install goes on where it ended.',
  },
  E_SOURCE_FAULT: {
    status: S.UNAVAILABLE,
    exit: X.sourceUnreachable,
    meaning:
      'The server with the bundle reports a fault of its own (a status of 500 and above), or is overloaded.',
    hint: 'The message has the status of the answer. Look at the log of the server.',
  },
  E_SOURCE_ANSWER: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceAnswer,
    meaning:
      'The server with the bundle answers something else than was asked for, or breaks the rules of HTTP or TLS.',
    hint: 'The message names what was expected and found. Check that the URL leads to the file itself, and look for a proxy that changes answers.',
  },
  E_SOURCE_LONG: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceAnswer,
    meaning: 'The server with the bundle sends more bytes than were asked for.',
    hint: 'Look at the server and at proxies on the way: one of them answers range requests wrongly.',
  },
  E_SOURCE_REDIRECT: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceRefused,
    meaning:
      'The server with the bundle sends the node from address to address, or to one that is not safe to follow.',
    hint: 'Give the URL at which the bundle really is. A redirect from https to http is never followed.',
  },
  E_SOURCE_NOT_FOUND: {
    status: S.NOT_FOUND,
    exit: X.sourceRefused,
    meaning: 'There is no bundle at this URL.',
    hint: 'Check the URL.',
  },
  E_SOURCE_UNTRUSTED: {
    status: S.FAILED_PRECONDITION,
    exit: X.untrusted,
    meaning: 'The certificate of the server with the bundle is not accepted.',
    hint: 'Give the certificate authority with --source-ca, and check the clock of the node.',
  },
  E_SOURCE_REFUSED: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceRefused,
    meaning: 'The server does not give the bundle.',
    hint: 'The message has the status of the answer. Check the URL.',
  },
  E_SOURCE_CHANGED: {
    status: S.ABORTED,
    exit: X.sourceChanged,
    meaning: 'The bundle on the server was changed while it was read.',
    hint: 'Try again when the server has its final file.',
  },
  E_SOURCE_WITHOUT_RANGES: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceWithoutRanges,
    meaning: 'The server does not answer range requests, or gives no size.',
    hint: 'Serve the bundle with a server that does (nginx, Caddy, object stores), or push it with osctl update --source FILE.',
  },
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
