/** Rows of the error table (errors.ts) about release directories and channels. */
import type { ErrorRow } from './error-codes.ts';
import { GrpcStatus as S, ExitCode as X } from './error-codes.ts';

/** Code to row. */
export const CHANNEL_ERRORS = {
  E_CHANNEL_MALFORMED: {
    status: S.INVALID_ARGUMENT,
    exit: X.invalidInput,
    meaning: 'The metadata of a channel is not in its one form.',
    hint: 'The message names the place. Publish again with keel-image publish; look for a proxy that changes files.',
  },
  E_CHANNEL_REPLAYED: {
    status: S.FAILED_PRECONDITION,
    exit: X.untrusted,
    meaning:
      'The metadata of a channel is older than what was seen before, or another one of the same number.',
    hint: 'Somebody may be holding back releases. Look at the server, its mirrors and caches: they must give the newest file.',
  },
  E_CHANNEL_EXPIRED: {
    status: S.FAILED_PRECONDITION,
    exit: X.untrusted,
    meaning:
      'The metadata of a channel has expired, so that nobody can tell whether it is the newest.',
    hint: 'Renew it with keel-image publish without a bundle. Check the clock of the node with osctl status.',
  },
  E_OUTPUT_FULL: {
    status: S.RESOURCE_EXHAUSTED,
    exit: X.noSpace,
    meaning: 'What keel-image writes does not fit on the disk.',
    hint: 'Make room where the file is written, or write it elsewhere. What was there before is as it was.',
  },
  E_RELEASE_EXISTS: {
    status: S.ALREADY_EXISTS,
    exit: X.conflict,
    meaning: 'The directory has another bundle of that version and architecture.',
    hint: 'A release never changes once it is published. Build it under a new version.',
  },
  E_PUBLISH_RUNNING: {
    status: S.ABORTED,
    exit: X.conflict,
    meaning: 'Another process publishes into the same directory.',
    hint: 'Wait until it has ended, then publish again.',
  },
} as const satisfies Record<string, ErrorRow>;
