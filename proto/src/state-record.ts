/**
 * Records on the state partition: one header line, then the payload as JSON.
 *
 *     keel-record <kind> <version> <payload bytes> <SHA-256 of the payload>\n
 *     <payload>
 *
 * A reader of release N-1 must understand what release N writes, because a rollback makes it do so: a version is
 * raised only together with a reader that was shipped one release earlier.
 */
import { createHash } from 'node:crypto';
import { KeelError } from './errors.ts';

/** Largest payload, in bytes. */
export const RECORD_BYTES_MAX = 1_048_576;

const HEADER = /^keel-record ([a-z-]{1,32}) ([1-9]\d{0,5}) (\d{1,7}) ([0-9a-f]{64})$/;
const HEADER_BYTES_MAX = 160;

/** Which record is expected. */
export interface RecordKind {
  readonly kind: string;
  /** Newest version that this code can read and the one that it writes. */
  readonly version: number;
}

/**
 * Bytes of a record.
 *
 * @throws RangeError when the payload is larger than {@link RECORD_BYTES_MAX}.
 */
export function encodeRecord(of: RecordKind, payload: unknown): Buffer {
  const body = Buffer.from(JSON.stringify(payload), 'utf8');
  if (body.length > RECORD_BYTES_MAX) throw new RangeError(`record of ${body.length} bytes`);
  const digest = createHash('sha256').update(body).digest('hex');
  const header = `keel-record ${of.kind} ${of.version} ${body.length} ${digest}\n`;
  return Buffer.concat([Buffer.from(header, 'latin1'), body]);
}

/**
 * Payload of a record, as parsed JSON. The caller checks its shape.
 *
 * @throws KeelError E_RECORD_DAMAGED when the header, kind, version, length or checksum is wrong.
 */
export function decodeRecord(of: RecordKind, bytes: Uint8Array): unknown {
  const damaged = (reason: string) =>
    new KeelError('E_RECORD_DAMAGED', `Cannot read ${of.kind} record: ${reason}`);
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = data.subarray(0, HEADER_BYTES_MAX).indexOf('\n');
  const header = end < 0 ? null : HEADER.exec(data.toString('latin1', 0, end));
  if (header === null) throw damaged('no header');
  const [, kind, version, length, digest] = header;
  if (kind !== of.kind) throw damaged(`it is a ${kind} record`);
  if (Number(version) > of.version) {
    throw damaged(`version ${version}, newest known is ${of.version}`);
  }
  const body = data.subarray(end + 1);
  if (body.length !== Number(length)) throw damaged(`${body.length} bytes, expected ${length}`);
  if (createHash('sha256').update(body).digest('hex') !== digest) throw damaged('wrong checksum');
  try {
    return JSON.parse(body.toString('utf8'));
  } catch (cause) {
    throw new KeelError('E_RECORD_DAMAGED', `Cannot read ${of.kind} record: not JSON`, { cause });
  }
}
