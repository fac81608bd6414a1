/** What squashfs-tools, squashfs-tools-ng and the kernel read in an image, in one form that tests can compare. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ZstdEncoder } from '@keelos/as-core/zstd.ts';
import type { InodeEntry, SquashfsEntry } from '@keelos/image/core/squashfs-tree.ts';
import type { SquashfsOptions } from '@keelos/image/core/squashfs-writer.ts';
import { layoutSquashfs, planSquashfs } from '@keelos/image/core/squashfs-writer.ts';

const OUTPUT_BYTES_MAX = 512 * 1024 ** 2;
const TAR_BLOCK_BYTES = 512;
const encoder = await ZstdEncoder.create();

/** What most tests use: fast. */
export const OPTIONS: SquashfsOptions = {
  blockBytes: 131_072,
  level: 1,
  fragments: 'small-files',
  epochSeconds: 1_793_491_200,
};

/** An image, compressed in this thread. */
export function image(
  entries: readonly SquashfsEntry[],
  options: Partial<SquashfsOptions> = {},
): Buffer {
  const all = { ...OPTIONS, ...options };
  const plan = planSquashfs(entries, all);
  const compress = (bytes: Uint8Array) => encoder.encode(bytes, all.level);
  return layoutSquashfs(plan, { packed: plan.data.pieces.map(compress), compress });
}

/** Runs `use` with the image in a file. */
export function withFile<T>(bytes: Uint8Array, use: (file: string, folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'keel-squashfs-'));
  try {
    writeFileSync(join(folder, 'image'), bytes);
    return use(join(folder, 'image'), folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Standard output of a tool; throws what it said when it fails. */
export function run(command: string, ...args: readonly string[]): Buffer {
  return execFileSync(command, args, {
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8' },
    maxBuffer: OUTPUT_BYTES_MAX,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** One thing in an image as a reader sees it. */
export interface Seen {
  readonly type: InodeEntry['type'] | 'hard-link';
  readonly mode: number;
  readonly owner: string;
  readonly mtimeSeconds: number;
  /** Of a link. */
  readonly target: string;
  /** Major and minor number. */
  readonly device: string;
  readonly contents: Buffer;
  /** Name to value, hex. */
  readonly xattrs: Readonly<Record<string, string>>;
}

const TAR_TYPES: Readonly<Record<string, Seen['type']>> = {
  '0': 'file',
  '1': 'hard-link',
  '2': 'symlink',
  '3': 'character-device',
  '4': 'block-device',
  '5': 'directory',
  '6': 'fifo',
};

function tarNumber(field: Buffer): number {
  if (((field[0] ?? 0) & 0x80) !== 0) return Number(`0x${field.subarray(1).toString('hex')}`);
  return Number.parseInt(field.toString('latin1').replace(/\0.*/s, '').trim() || '0', 8);
}

function tarText(field: Buffer): string {
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? field.length : end);
}

/** "length key=value\n", any number of times. */
function paxRecords(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(' ', at);
    const end = at + Number(bytes.toString('latin1', at, space));
    const equals = bytes.indexOf('=', space);
    records.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, end - 1));
    at = end;
  }
  return records;
}

function tarPath(name: string): string {
  const path = name.replace(/^\.?\/?/, '').replace(/\/$/, '');
  return `/${path}`;
}

/** Path to what is there, by sqfs2tar. A socket is not: tar has none. */
export function readBySqfs2tar(file: string): Map<string, Seen> {
  const tar = run('sqfs2tar', '--root-becomes', '.', file);
  const seen = new Map<string, Seen>();
  let pax = new Map<string, Buffer>();
  const long: { L?: string; K?: string } = {};
  for (let at = 0; at < tar.length && tar[at] !== 0; ) {
    const header = tar.subarray(at, at + TAR_BLOCK_BYTES);
    const field = (start: number, length: number) => header.subarray(start, start + length);
    const size = tarNumber(pax.get('size') ?? field(124, 12));
    const body = tar.subarray(at + TAR_BLOCK_BYTES, at + TAR_BLOCK_BYTES + size);
    at += TAR_BLOCK_BYTES * (1 + Math.ceil(size / TAR_BLOCK_BYTES));
    const kind = tarText(field(156, 1)) || '0';
    if (kind === 'x') pax = paxRecords(body);
    else if (kind === 'L' || kind === 'K') long[kind] = tarText(body);
    else {
      const prefix = tarText(field(345, 155));
      const short = `${prefix === '' ? '' : `${prefix}/`}${tarText(field(0, 100))}`;
      const name = pax.get('path')?.toString() ?? long.L ?? short;
      const link = pax.get('linkpath')?.toString() ?? long.K ?? tarText(field(157, 100));
      const type = TAR_TYPES[kind] ?? 'socket';
      const isDevice = type === 'block-device' || type === 'character-device';
      const xattrs = [...pax].filter(([key]) => key.startsWith('SCHILY.xattr.'));
      seen.set(tarPath(name), {
        type,
        mode: tarNumber(field(100, 8)) & 0o7777,
        contents: Buffer.from(body),
        owner: `${tarNumber(field(108, 8))}:${tarNumber(field(116, 8))}`,
        mtimeSeconds: tarNumber(field(136, 12)),
        target: type === 'hard-link' ? tarPath(link) : link,
        device: isDevice ? `${tarNumber(field(329, 8))}:${tarNumber(field(337, 8))}` : '',
        xattrs: Object.fromEntries(
          xattrs.map(([key, value]) => [key.slice('SCHILY.xattr.'.length), value.toString('hex')]),
        ),
      });
      pax = new Map();
      delete long.L;
      delete long.K;
    }
  }
  return seen;
}

/** What a reader ought to see. */
export function expected(entry: InodeEntry): Seen {
  const { type, mode, uid = 0, gid = 0, mtimeSeconds = OPTIONS.epochSeconds, xattrs = [] } = entry;
  const isDevice = type === 'block-device' || type === 'character-device';
  return {
    type,
    mode,
    mtimeSeconds,
    owner: `${uid}:${gid}`,
    target: type === 'symlink' ? entry.target : '',
    device: isDevice ? `${entry.major}:${entry.minor}` : '',
    contents: type === 'file' ? Buffer.from(entry.contents) : Buffer.alloc(0),
    xattrs: Object.fromEntries(
      xattrs.map(({ name, value }) => [name, Buffer.from(value).toString('hex')]),
    ),
  };
}

/** One line of `unsquashfs -lln`. */
export interface Listed {
  readonly mode: string;
  readonly owner: string;
  /** Size in bytes, or "major,minor"; unsquashfs shows 8 bits of a minor number. */
  readonly size: string;
  readonly time: string;
  readonly target: string;
}

const LISTED = /^(\S{10}) (\d+\/\d+)\s+(\d+|-?\d+, *\d+) (\S+ \S+) (|\/.*?)(?: -> (.*))?$/;

/** Path to what is there, by `unsquashfs -lln`. Names with line breaks or arrows are not for it. */
export function listByUnsquashfs(file: string): Map<string, Listed> {
  const lines = run('unsquashfs', '-lln', '-d', '', file).toString().split('\n');
  const listed = new Map<string, Listed>();
  for (const line of lines.filter((text) => /^[-dlcbps]/.test(text))) {
    const match = LISTED.exec(line);
    if (match === null) throw new Error(`unexpected line of unsquashfs: ${line}`);
    const [, mode = '', owner = '', size = '', time = '', path = '', target = ''] = match;
    listed.set(path === '' ? '/' : path, {
      mode,
      owner,
      time,
      target,
      size: size.replaceAll(' ', ''),
    });
  }
  return listed;
}
