/**
 * What an HTTP answer means to a node that asked for a range of a bundle (RFC 9110). Pure.
 *
 * The first answer says what the bundle is: its size and its validators. Every later one must be about the same.
 */
import type { ErrorCode } from '@keelos/proto/errors.ts';

/** Status and headers, as node:http gives them. */
export interface AnswerHead {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** What is known of the bundle. Validators are empty when the server gives none. */
export interface Seen {
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModified: string;
}

/** What was asked for. */
export interface Asked {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** Undefined for the first question. */
  readonly seen: Seen | undefined;
}

/** What to do with an answer. */
export type AnswerVerdict =
  /** Its body has the bytes from the asked offset up to, not including, `endBytes`. */
  | { readonly kind: 'bytes'; readonly endBytes: number; readonly seen: Seen }
  | { readonly kind: 'redirect'; readonly location: string }
  | {
      readonly kind: 'refused';
      readonly code: ErrorCode;
      readonly reason: string;
      /** It may be otherwise in a while. */
      readonly isWorthRetry: boolean;
      /** The server is at work on it, and says when to ask again. */
      readonly isBusy: boolean;
    };

const REDIRECTS: readonly number[] = [301, 302, 303, 307, 308];
/** Statuses below 500 that pass by themselves: request timeout, too early, too many requests. */
const PASSING: readonly number[] = [408, 425, 429];
const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/i;

/** Headers of a question for a range. Compression would make other bytes of it. */
export function rangeHeaders({ offsetBytes, lengthBytes, seen }: Asked): Record<string, string> {
  const validator = seen === undefined ? '' : ifRange(seen);
  return {
    range: `bytes=${offsetBytes}-${offsetBytes + lengthBytes - 1}`,
    'accept-encoding': 'identity',
    ...(validator === '' ? {} : { 'if-range': validator }),
  };
}

/** A weak entity tag must not be sent, and only without any tag counts the date (RFC 9110 section 13.1.5). */
function ifRange({ etag, lastModified }: Seen): string {
  if (etag.startsWith('W/')) return '';
  return etag === '' ? lastModified : etag;
}

/** Judges the head of an answer. */
export function judgeAnswer(head: AnswerHead, asked: Asked): AnswerVerdict {
  const { status } = head;
  if (status === 206) return judgePart(head, asked);
  if (REDIRECTS.includes(status)) {
    const location = header(head, 'location');
    return location === ''
      ? refused('E_SOURCE_REDIRECT', `the answer ${status} names no address`)
      : { kind: 'redirect', location };
  }
  if (status === 200) return judgeWhole(asked);
  if (status === 412) return refused('E_SOURCE_CHANGED', 'the server says that it was changed');
  if (status === 416) return judgeUnsatisfied(asked);
  if (status === 404 || status === 410) {
    return refused('E_SOURCE_NOT_FOUND', `the server answers ${status}`);
  }
  if (status >= 500 || PASSING.includes(status)) {
    const fault = refused('E_SOURCE_FAULT', `the server answers ${status}`);
    return { ...fault, isWorthRetry: true, isBusy: /^\d{1,4}$/.test(header(head, 'retry-after')) };
  }
  return status >= 400
    ? refused('E_SOURCE_REFUSED', `the server answers ${status}`)
    : refused('E_SOURCE_ANSWER', `the server answers ${status}, expected 206`);
}

type Refusal = Extract<AnswerVerdict, { kind: 'refused' }>;

function refused(code: ErrorCode, reason: string): Refusal {
  return { kind: 'refused', code, reason, isWorthRetry: false, isBusy: false };
}

function header({ headers }: AnswerHead, name: string): string {
  const value = headers[name];
  return typeof value === 'string' ? value.trim() : (value?.[0]?.trim() ?? '');
}

/** The whole file instead of a range: with If-Range that means another file, without it a server that knows no ranges. */
function judgeWhole({ seen }: Asked): Refusal {
  return seen !== undefined && ifRange(seen) !== ''
    ? refused('E_SOURCE_CHANGED', 'the server has another file of that name now')
    : refused('E_SOURCE_WITHOUT_RANGES', 'the server answers with the whole file');
}

function judgeUnsatisfied({ seen, offsetBytes }: Asked): Refusal {
  return seen === undefined
    ? refused('E_BUNDLE_TRUNCATED', 'the file on the server is empty')
    : refused(
        'E_SOURCE_CHANGED',
        `the server has no byte ${offsetBytes} any more, of ${seen.sizeBytes}`,
      );
}

function judgePart(head: AnswerHead, asked: Asked): AnswerVerdict {
  const encoding = header(head, 'content-encoding').toLowerCase();
  if (encoding !== '' && encoding !== 'identity') {
    return refused('E_SOURCE_ANSWER', `the answer is encoded as ${quoted(encoding)}`);
  }
  const text = header(head, 'content-range');
  const found = CONTENT_RANGE.exec(text);
  if (found === null) {
    return refused('E_SOURCE_ANSWER', `the answer 206 has the Content-Range ${quoted(text)}`);
  }
  const [, first, last, size] = found;
  if (size === '*') {
    return refused('E_SOURCE_WITHOUT_RANGES', 'the server does not say how large the file is');
  }
  const range = { first: Number(first), endBytes: Number(last) + 1, sizeBytes: Number(size) };
  const seen: Seen = {
    sizeBytes: range.sizeBytes,
    etag: header(head, 'etag'),
    lastModified: header(head, 'last-modified'),
  };
  const change = asked.seen === undefined ? '' : changeOf(asked.seen, seen);
  if (change !== '') return refused('E_SOURCE_CHANGED', change);
  return judgeRange(head, { asked, range, seen });
}

function judgeRange(
  head: AnswerHead,
  facts: {
    readonly asked: Asked;
    readonly range: {
      readonly first: number;
      readonly endBytes: number;
      readonly sizeBytes: number;
    };
    readonly seen: Seen;
  },
): AnswerVerdict {
  const { asked, range, seen } = facts;
  const askedEnd = asked.offsetBytes + asked.lengthBytes;
  const isInside = range.first < range.endBytes && range.endBytes <= range.sizeBytes;
  if (!isInside || range.first !== asked.offsetBytes) {
    return refused(
      'E_SOURCE_ANSWER',
      `asked for bytes ${asked.offsetBytes} to ${askedEnd - 1}, the answer is ${quoted(header(head, 'content-range'))}`,
    );
  }
  const lengthText = header(head, 'content-length');
  const promised = lengthText === '' ? undefined : Number(lengthText);
  if (range.endBytes > askedEnd || (promised ?? 0) > range.endBytes - range.first) {
    return refused(
      'E_SOURCE_LONG',
      `asked for ${asked.lengthBytes} bytes, the server promises ${Math.max(promised ?? 0, range.endBytes - range.first)}`,
    );
  }
  if (promised !== undefined && promised !== range.endBytes - range.first) {
    return refused(
      'E_SOURCE_ANSWER',
      `the answer has ${quoted(lengthText)} bytes for ${quoted(header(head, 'content-range'))}`,
    );
  }
  return { kind: 'bytes', endBytes: range.endBytes, seen };
}

/** How `now` is another file than `before`; empty when it is the same as far as can be told. */
function changeOf(before: Seen, now: Seen): string {
  if (now.sizeBytes !== before.sizeBytes) {
    return `it had ${before.sizeBytes} bytes and has ${now.sizeBytes} now`;
  }
  if (now.etag !== before.etag) return 'its entity tag is another one';
  // An answer to a question with a date as its condition may leave the date out (RFC 9110 section 15.3.7).
  return before.etag === '' && !['', before.lastModified].includes(now.lastModified)
    ? 'its date is another one'
    : '';
}

const SHOWN_CHARS_MAX = 80;

/** What a server sent, fit for a message. */
function quoted(text: string): string {
  return JSON.stringify(text.slice(0, SHOWN_CHARS_MAX));
}
