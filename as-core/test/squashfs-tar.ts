/** Tar archives as other people's SquashFS tools take and give them: ustar with pax headers (POSIX.1-2017, pax). */

/** One member. */
export interface TarEntry {
  /** Relative, without a slash at its end. */
  readonly path: string;
  readonly type: 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly content: Buffer;
  readonly target: string;
  readonly device: readonly [major: number, minor: number];
  /** Name with prefix to value. */
  readonly xattrs: Readonly<Record<string, Buffer>>;
}

const BLOCK = 512;
const TYPES = ['file', 'link', 'symlink', 'character', 'block', 'directory', 'fifo'] as const;

/** An archive with these members. */
export function writeTar(entries: readonly TarEntry[]): Buffer {
  return Buffer.concat([...entries.flatMap(member), Buffer.alloc(2 * BLOCK)]);
}

function member(entry: TarEntry): Buffer[] {
  const records = Buffer.concat([
    paxRecord('path', Buffer.from(entry.path)),
    ...(entry.target === '' ? [] : [paxRecord('linkpath', Buffer.from(entry.target))]),
    ...Object.entries(entry.xattrs).map(([name, value]) =>
      paxRecord(`SCHILY.xattr.${name}`, value),
    ),
  ]);
  const type = String(TYPES.indexOf(entry.type));
  const content = entry.content.length;
  return [
    header({ type: 'x', size: records.length, of: entry }),
    padded(records),
    header({ type, size: content, of: entry }),
    padded(entry.content),
  ];
}

function paxRecord(key: string, value: Buffer): Buffer {
  const rest = key.length + value.length + 3;
  let length = rest + String(rest).length;
  length = rest + String(length).length;
  return Buffer.concat([Buffer.from(`${length} ${key}=`), value, Buffer.from('\n')]);
}

function header(fields: {
  readonly type: string;
  readonly size: number;
  readonly of: TarEntry;
}): Buffer {
  const { mode, uid, gid, mtimeSeconds, device } = fields.of;
  const block = Buffer.alloc(BLOCK);
  const put = (value: number, at: number, length: number) => {
    const digits = value.toString(8);
    if (digits.length < length) block.write(digits.padStart(length - 1, '0'), at);
    else {
      // GNU: a set first bit, then the number in base 256.
      block[at] = 0x80;
      block.writeUInt32BE(value, at + length - 4);
    }
  };
  block.write('name', 0);
  put(mode, 100, 8);
  put(uid, 108, 8);
  put(gid, 116, 8);
  put(fields.size, 124, 12);
  put(mtimeSeconds, 136, 12);
  block.write(' '.repeat(8), 148);
  block.write(fields.type, 156);
  block.write('ustar\x0000', 257);
  put(device[0], 329, 8);
  put(device[1], 337, 8);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((BLOCK - (bytes.length % BLOCK)) % BLOCK)]);
}

/** Members of an archive. */
export function readTar(archive: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  let pax = new Map<string, Buffer>();
  for (let at = 0; at + BLOCK <= archive.length && archive[at] !== 0; ) {
    const block = archive.subarray(at, at + BLOCK);
    const type = block.toString('latin1', 156, 157);
    const size = number(block, 124, 12);
    const content = archive.subarray(at + BLOCK, at + BLOCK + size);
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
    if (type === 'x') pax = readPax(content);
    else if (type === 'L') pax.set('path', untilNul(content));
    else if (type === 'K') pax.set('linkpath', untilNul(content));
    else {
      entries.push(entryOf({ block, type, pax, content }));
      pax = new Map();
    }
  }
  return entries;
}

function entryOf(parts: {
  readonly block: Buffer;
  readonly type: string;
  readonly pax: ReadonlyMap<string, Buffer>;
  readonly content: Buffer;
}): TarEntry {
  const { block, pax } = parts;
  const numeric = (key: string, at: number, length: number) =>
    pax.has(key) ? Number(pax.get(key)) : number(block, at, length);
  const prefix = untilNul(block.subarray(345, 500)).toString();
  const short = untilNul(block.subarray(0, 100)).toString();
  const path = pax.get('path')?.toString() ?? (prefix === '' ? short : `${prefix}/${short}`);
  const names = [...pax].filter(([key]) => key.startsWith('SCHILY.xattr.'));
  return {
    path: path.replace(/\/$/, ''),
    type: TYPES[Number(parts.type)] ?? 'file',
    mode: number(block, 100, 8) & 0o7777,
    uid: numeric('uid', 108, 8),
    gid: numeric('gid', 116, 8),
    mtimeSeconds: numeric('mtime', 136, 12),
    content: parts.content,
    target: (pax.get('linkpath') ?? untilNul(block.subarray(157, 257))).toString(),
    device: [number(block, 329, 8), number(block, 337, 8)],
    xattrs: Object.fromEntries(names.map(([key, value]) => [key.slice(13), value])),
  };
}

function untilNul(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0);
  return end < 0 ? bytes : bytes.subarray(0, end);
}

/** Octal digits, or a number in base 256 (GNU tar). */
function number(block: Buffer, at: number, length: number): number {
  const isBinary = ((block[at] ?? 0) & 0x80) !== 0;
  if (isBinary) return block.readUIntBE(at + length - 6, 6);
  const digits = block.toString('latin1', at, at + length).replace(/[\0 ]+$/, '');
  return Number.parseInt(digits || '0', 8);
}

function readPax(bytes: Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(' ', at);
    const length = Number(bytes.toString('latin1', at, space));
    const equals = bytes.indexOf('=', space);
    found.set(
      bytes.toString('utf8', space + 1, equals),
      bytes.subarray(equals + 1, at + length - 1),
    );
    at += length;
  }
  return found;
}
