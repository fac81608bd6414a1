/**
 * The part of DER (ITU-T X.690) that X.509 certificates need: definite lengths, tags below 31.
 *
 *     | tag (1) | length: short (1), or 0x81 n, 0x82 n n | content |
 */

/** Tags in use. */
export const DerTag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One element. `bytes` is tag, length and content; all are views of the input. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Input that is not the DER that was expected. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

const LENGTH_BYTES_MAX = 3;
const ELEMENTS_MAX = 256;

/** Reads the element at `offset`. Never looks outside `bytes`. @throws DerError */
export function readElement(bytes: Uint8Array, offset = 0): DerElement {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw new DerError('element cut short');
  if ((tag & 0x1f) === 0x1f) throw new DerError('long tag');
  let lengthBytes = 0;
  let length = first;
  if (first >= 0x80) {
    lengthBytes = first & 0x7f;
    if (lengthBytes === 0 || lengthBytes > LENGTH_BYTES_MAX) throw new DerError('unusable length');
    length = 0;
    for (let index = 0; index < lengthBytes; index += 1) {
      const byte = bytes[offset + 2 + index];
      if (byte === undefined) throw new DerError('length cut short');
      length = length * 256 + byte;
    }
    const shortest = length < 0x80 ? 0 : length < 0x100 ? 1 : length < 0x10000 ? 2 : 3;
    if (shortest !== lengthBytes) throw new DerError('length not in shortest form');
  }
  const start = offset + 2 + lengthBytes;
  if (length > bytes.length - start) throw new DerError('element longer than its container');
  return {
    tag,
    content: bytes.subarray(start, start + length),
    bytes: bytes.subarray(offset, start + length),
  };
}

/** Reads all elements of a content, at most {@link ELEMENTS_MAX}. @throws DerError */
export function readElements(content: Uint8Array): DerElement[] {
  const elements: DerElement[] = [];
  let offset = 0;
  while (offset < content.length) {
    if (elements.length === ELEMENTS_MAX) throw new DerError('too many elements');
    const element = readElement(content, offset);
    elements.push(element);
    offset += element.bytes.length;
  }
  return elements;
}

/** Content of `element`, which must have `tag`. @throws DerError */
export function contentOf(element: DerElement | undefined, tag: number): Uint8Array {
  if (element?.tag !== tag) {
    throw new DerError(`tag ${element?.tag ?? 'absent'} where ${tag} was expected`);
  }
  return element.content;
}

/** Dotted form of an object identifier's content. @throws DerError */
export function oidText(content: Uint8Array): string {
  const arcs: number[] = [];
  let arc = 0;
  for (const byte of content) {
    arc = arc * 128 + (byte & 0x7f);
    if (arc > 0xffff_ffff) throw new DerError('object identifier too large');
    if (byte < 0x80) {
      if (arcs.length === 0) {
        const root = Math.min(2, Math.floor(arc / 40));
        arcs.push(root, arc - root * 40);
      } else {
        arcs.push(arc);
      }
      arc = 0;
    }
  }
  return arcs.join('.');
}

/** Bytes of one element. */
export function derElement(tag: number, ...contents: readonly Uint8Array[]): Uint8Array {
  const length = contents.reduce((sum, content) => sum + content.length, 0);
  const header =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  if (length > 0xffff) throw new RangeError(`DER element of ${length} bytes`);
  return Buffer.concat([Uint8Array.from(header), ...contents]);
}

/** Bytes of an object identifier. */
export function derOid(dotted: string): Uint8Array {
  const [root = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes: number[] = [];
  for (const arc of [root * 40 + second, ...rest]) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80);
    }
    bytes.push(...groups);
  }
  return derElement(DerTag.oid, Uint8Array.from(bytes));
}

/** Bytes of a non-negative integer given as big-endian magnitude. */
export function derInteger(magnitude: Uint8Array): Uint8Array {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start += 1;
  const trimmed = magnitude.subarray(start);
  const padded =
    (trimmed[0] ?? 0) >= 0x80 || trimmed.length === 0
      ? Buffer.concat([Buffer.of(0), trimmed])
      : trimmed;
  return derElement(DerTag.integer, padded);
}
