/** Rows of the error table (errors.ts) about bundles, where they come from, and what an update does with slots. */
import type { ErrorRow } from './error-codes.ts';
import { GrpcStatus as S, ExitCode as X } from './error-codes.ts';

/** Code to row. */
export const UPDATE_ERRORS = {
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
    meaning:
      'The security epoch of the bundle, or of the release to go back to, is below that of the node.',
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
  E_SLOT_READ: {
    status: S.DATA_LOSS,
    exit: X.damaged,
    meaning: 'The other slot could not be read, or the process that verifies it could not run.',
    hint: 'Look at osctl dmesg, and try it again. When it comes back, replace the disk. The running slot is not touched.',
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
    meaning: 'A release is armed or on trial, or the disk has not taken how its trial ended.',
    hint: 'Wait until it is committed or the node is back: osctl slots. An armed release that was not booted yet is given up with osctl update --cancel.',
  },
  E_UPDATE_ROLLED_BACK: {
    status: S.FAILED_PRECONDITION,
    exit: X.rolledBack,
    meaning: 'The new release did not prove itself; the node runs the old one again.',
    hint: 'osctl rollback history tells the cause.',
  },
  E_UPDATE_CUT_OFF: {
    status: S.ABORTED,
    exit: X.failed,
    meaning: 'The update was cut off, or its release was never started; the node runs the old one.',
    hint: 'osctl rollback history tells where it ended. Start the update again.',
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
    hint: 'Try again when the server has its final file. Servers that share an address must give a file the same entity tag (ETag).',
  },
  E_SOURCE_WITHOUT_RANGES: {
    status: S.FAILED_PRECONDITION,
    exit: X.sourceWithoutRanges,
    meaning: 'The server does not answer range requests, or gives no size.',
    hint: 'Serve the bundle with a server that does (nginx, Caddy, object stores), or push it with osctl update --source FILE.',
  },
} as const satisfies Record<string, ErrorRow>;
