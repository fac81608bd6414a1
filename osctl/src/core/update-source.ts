/** Where a bundle comes from: a URL that the node fetches, or a file of this machine that is pushed to it. */
import { KeelError } from '@keelos/proto/errors.ts';

/** The value of --source. */
export type UpdateSource =
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'file'; readonly path: string };

const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//;
const SHA256 = /^(?:sha256:)?([0-9a-f]{64})$/i;

/**
 * Reads "https://…", "http://…", or the path of a file.
 *
 * @throws KeelError E_USAGE when it is neither.
 */
export function parseSource(text: string): UpdateSource {
  const refuse = (reason: string) =>
    new KeelError('E_USAGE', `Cannot use source "${shownUrl(text)}": ${reason}`, {
      hint: 'Give an http:// or https:// URL that the node can reach, or the path of a bundle on this machine.',
    });
  const scheme = SCHEME.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    if (text === '') throw refuse('it is empty');
    if (text === '-') throw refuse('a bundle is not read in order, so it must be a file');
    return { kind: 'file', path: text };
  }
  if (scheme !== 'http' && scheme !== 'https') throw refuse(`the node does not speak ${scheme}`);
  if (!URL.canParse(text)) throw refuse('it is not a URL');
  return { kind: 'url', url: text };
}

/** `url` without what may be secret: user, password, and what stands behind a question mark. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return shownText(url);
  const { protocol, host, pathname, search } = new URL(url);
  return `${protocol}//${host}${pathname}${search === '' ? '' : '?…'}`;
}

/** The same of what is no URL. An "@" behind the cut may belong to a password: then only the scheme is shown. */
function shownText(text: string): string {
  const [head = ''] = text.split(/[?#]/, 1);
  const mark = text.charAt(head.length);
  if (text.includes('@', head.length)) return `${SCHEME.exec(text)?.[0] ?? ''}…`;
  return `${head.replace(/\/\/.*@/s, '//')}${mark === '' ? '' : `${mark}…`}`;
}

/**
 * The 64 lower-case digits of a SHA-256 as people copy it: in either case, with or without "sha256:".
 *
 * @throws KeelError E_USAGE when it is none.
 */
export function parseSha256(text: string): string {
  const digits = SHA256.exec(text.trim())?.[1];
  if (digits !== undefined) return digits.toLowerCase();
  throw new KeelError('E_USAGE', `Cannot use SHA-256 "${text}": it is not 64 hexadecimal digits`, {
    hint: 'Copy the first word of what sha256sum prints.',
  });
}
