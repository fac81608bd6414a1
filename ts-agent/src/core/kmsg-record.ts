/**
 * One record of /dev/kmsg (Documentation/ABI/testing/dev-kmsg):
 *
 *     <facility and priority>,<sequence>,<microseconds>,<flags>[,...];<text>\n[ KEY=value\n]...
 */

/** A record, without its dictionary. */
export interface KmsgRecord {
  readonly sequence: bigint;
  readonly monotonicUs: bigint;
  readonly priority: number;
  readonly facility: number;
  readonly message: string;
}

const PREFIX = /^(\d{1,10}),(\d{1,20}),(\d{1,20}),[^;]{0,256};/;

/** Reads what one read(2) returned; undefined when it is no record. */
export function parseKmsgRecord(bytes: Uint8Array): KmsgRecord | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const match = PREFIX.exec(buffer.toString('latin1', 0, 320));
  if (match === null) return undefined;
  const [prefix, level = '', sequence = '', monotonicUs = ''] = match;
  const end = buffer.indexOf('\n', prefix.length);
  const text = buffer.toString('utf8', prefix.length, end < 0 ? buffer.length : end);
  return {
    sequence: BigInt(sequence),
    monotonicUs: BigInt(monotonicUs),
    priority: Number(level) & 7,
    facility: Number(level) >> 3,
    message: unescaped(text),
  };
}

/** The kernel writes bytes that do not print as \xNN. A run of them is one UTF-8 text. */
function unescaped(text: string): string {
  return text.replace(/(?:\\x[0-9a-f]{2})+/g, (run) =>
    Buffer.from(run.replaceAll('\\x', ''), 'hex').toString('utf8'),
  );
}
