/**
 * What a request for a file is answered with: all of it, a range, or that it has not changed (RFC 9110 sections 13 and
 * 14). Pure. A file has a strong entity tag and no date, so conditions on dates are not met by anything.
 */

/** Headers of a request, as node:http gives them. */
export type RequestHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** What is asked for. */
export interface Entity {
  readonly sizeBytes: number;
  /** With its quotation marks. */
  readonly etag: string;
}

/** The answer. A range has the bytes from `first` to `last`, both included. */
export type Decision =
  | { readonly status: 200 }
  | { readonly status: 206; readonly first: number; readonly last: number }
  | { readonly status: 304 | 412 | 416 };

/** Decides, in the order of RFC 9110 section 13.2.2. */
export function decide(method: 'GET' | 'HEAD', headers: RequestHeaders, entity: Entity): Decision {
  const ifMatch = header(headers, 'if-match');
  if (ifMatch !== undefined && !names(ifMatch, entity, 'strong')) return { status: 412 };
  const ifNoneMatch = header(headers, 'if-none-match');
  if (ifNoneMatch !== undefined && names(ifNoneMatch, entity, 'weak')) return { status: 304 };
  const range = header(headers, 'range');
  const ifRange = header(headers, 'if-range');
  if (method !== 'GET' || range === undefined) return { status: 200 };
  if (ifRange !== undefined && ifRange.trim() !== entity.etag) return { status: 200 };
  return rangeOf(range, entity.sizeBytes);
}

function header(headers: RequestHeaders, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' ? value : value?.join(', ');
}

/** Whether a list of entity tags has the one of the entity (section 8.8.3.2). */
function names(text: string, { etag }: Entity, comparison: 'strong' | 'weak'): boolean {
  if (text.trim() === '*') return true;
  return [...text.matchAll(/(W\/)?("[!#-~\x80-\xff]*")/g)].some(
    ([, weak, tag]) => tag === etag && (comparison === 'weak' || weak === undefined),
  );
}

/** One range. Several in one request are answered with the whole, as section 14.2 allows; and so is what is no range. */
function rangeOf(text: string, sizeBytes: number): Decision {
  const [, first = '', last = ''] = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(text) ?? [];
  if (first === '' && last === '') return { status: 200 };
  if (first === '') {
    const count = Math.min(Number(last), sizeBytes);
    return count === 0
      ? { status: 416 }
      : { status: 206, first: sizeBytes - count, last: sizeBytes - 1 };
  }
  const [from, to] = [Number(first), last === '' ? sizeBytes - 1 : Number(last)];
  if (last !== '' && to < from) return { status: 200 };
  if (from >= sizeBytes) return { status: 416 };
  return { status: 206, first: from, last: Math.min(to, sizeBytes - 1) };
}

/** Whether a client takes gzip (section 12.5.3). */
export function takesGzip(headers: RequestHeaders): boolean {
  const text = header(headers, 'accept-encoding') ?? '';
  const weights = new Map<string, number>();
  for (const part of text.split(',')) {
    const [coding = '', ...parameters] = part.split(';').map((each) => each.trim().toLowerCase());
    const weight = parameters.find((each) => each.startsWith('q='))?.slice(2);
    weights.set(coding, weight === undefined ? 1 : Number(weight));
  }
  return (weights.get('gzip') ?? weights.get('*') ?? 0) > 0;
}

/** Path of a request target, decoded; undefined when it has none. A query is no part of it. */
export function pathOf(target: string): string | undefined {
  const path = target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/[?#].*$/s, '');
  if (!path.startsWith('/')) return undefined;
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}
