/** Images for the tests of the SquashFS reader, made and judged by other people's tools. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileSquashfs, type SquashfsEntry, SquashfsImage } from '../src/squashfs.ts';
import { readTar, type TarEntry, writeTar } from './squashfs-tar.ts';

const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 1024 * 1024 * 1024;
const modules = await compileSquashfs();

/** Runs a tool in UTC and returns what it printed. */
export function runTool(command: string, args: readonly string[], input?: Buffer): Buffer {
  const result = spawnSync(command, args, {
    input: input ?? Buffer.alloc(0),
    maxBuffer: OUTPUT_BYTES_MAX,
    timeout: TIMEOUT_MS,
    env: { ...process.env, TZ: 'UTC', LC_ALL: 'C.UTF-8', SOURCE_DATE_EPOCH: undefined },
  });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0)
    throw new Error(`${command} ended with ${result.status}: ${result.stderr}`);
  return result.stdout;
}

/** A folder with images that is removed by `close`. */
export class ImageFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'keel-squashfs-'));
  readonly #open: number[] = [];
  #count = 0;

  /** A path for a new file. */
  next(): string {
    this.#count++;
    return join(this.path, `${this.#count}.squashfs`);
  }

  /** An image made by sqfstar, which is mksquashfs reading a tar archive. */
  star(entries: readonly TarEntry[], options: readonly string[] = []): string {
    const path = this.next();
    const fixed = ['-comp', 'zstd', '-quiet', '-no-progress', '-mkfs-time', '1600000000'];
    runTool('sqfstar', [...fixed, ...options, path], writeTar(entries));
    return path;
  }

  /** An image made by tar2sqfs of squashfs-tools-ng. */
  ng(entries: readonly TarEntry[], options: readonly string[] = []): string {
    const path = this.next();
    runTool('tar2sqfs', ['-c', 'zstd', '-q', ...options, path], writeTar(entries));
    return path;
  }

  /** An image with these bytes. */
  file(bytes: Uint8Array): string {
    const path = this.next();
    writeFileSync(path, bytes);
    return path;
  }

  /** Opens an image with the reader. */
  open(path: string, options: { readonly workBytesMax?: number } = {}): SquashfsImage {
    const fd = openSync(path, 'r');
    this.#open.push(fd);
    return SquashfsImage.openWith(modules, { fd, sizeBytes: statSync(path).size, ...options });
  }

  close(): void {
    for (const fd of this.#open) closeSync(fd);
    rmSync(this.path, { recursive: true });
  }
}

/** Content of a file. */
export function contentOf(image: SquashfsImage, file: string | SquashfsEntry): Buffer {
  const pieces: Uint8Array[] = [];
  image.readFile(file, (piece) => pieces.push(piece));
  return Buffer.concat(pieces);
}

/** What an image holds, in a form that can be compared: path to a line. */
export type Listing = Readonly<Record<string, string>>;

const LETTERS = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  'block-device': 'b',
  'character-device': 'c',
  fifo: 'p',
  socket: 's',
} as const;

/** Mode as `ls -l` shows it. */
function modeText(type: SquashfsEntry['type'], mode: number): string {
  const triple = (bits: number, special: boolean, letter: string) => {
    const execute = special
      ? (bits & 1) === 1
        ? letter
        : letter.toUpperCase()
      : (bits & 1) === 1
        ? 'x'
        : '-';
    return `${(bits & 4) === 4 ? 'r' : '-'}${(bits & 2) === 2 ? 'w' : '-'}${execute}`;
  };
  return `${LETTERS[type]}${triple(mode >> 6, (mode & 0o4000) !== 0, 's')}${triple(mode >> 3, (mode & 0o2000) !== 0, 's')}${triple(mode, (mode & 0o1000) !== 0, 't')}`;
}

/** The reader's listing, as `unsquashfs -lln` would say it. */
export function readerListing(image: SquashfsImage): Listing {
  const lines: Record<string, string> = {};
  for (const entry of image.entries()) {
    const { device } = entry;
    const size = device === undefined ? entry.sizeBytes : `${device.major},${device.minor}`;
    const time = new Date(entry.mtimeSeconds * 1000).toISOString().slice(0, 16).replace('T', ' ');
    const target = entry.target === undefined ? '' : ` -> ${entry.target}`;
    const path = entry.path === '/' ? '' : entry.path;
    lines[path] =
      `${modeText(entry.type, entry.mode)} ${entry.uid}/${entry.gid} ${size} ${time}${target}`;
  }
  return lines;
}

const LS_LINE = /^(\S{10}) (\d+\/\d+)\s+(\d+(?:, *\d+)?) (\S+ \S+) (|\/.*?)(?: -> (.*))?$/;

/** The listing of unsquashfs. A directory's size there is that of its listing, here 0. */
export function unsquashfsListing(path: string): Listing {
  const output = runTool('unsquashfs', ['-lln', '-dest', '', path]).toString();
  const lines: Record<string, string> = {};
  for (const line of output.split('\n').filter((each) => /^[-dlcbps]/.test(each))) {
    const match = LS_LINE.exec(line);
    if (match === null) throw new Error(`unexpected line of unsquashfs: ${line}`);
    const [, mode = '', owner = '', size = '', time = '', name = '', target] = match;
    const shown = /^[bc]/.test(mode) ? deviceText(size) : /^[-l]/.test(mode) ? size : '0';
    lines[name] = `${mode} ${owner} ${shown} ${time}${target === undefined ? '' : ` -> ${target}`}`;
  }
  return lines;
}

/** unsquashfs takes what is above the lowest 8 bits for the major number; the kernel has minor bits there too. */
function deviceText(shown: string): string {
  const [high = 0, low = 0] = shown.split(',').map(Number);
  return `${high & 0xfff},${low | ((high >>> 12) << 8)}`;
}

function attributesText(xattrs: Iterable<readonly [string, Uint8Array]>): string {
  return [...xattrs]
    .map(([name, value]) => `${name}=${Buffer.from(value).toString('hex')}`)
    .sort()
    .join(' ');
}

function contentText(bytes: Uint8Array): string {
  return `${bytes.length}:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Times in seconds, content, attributes and hard links, as the reader sees them. */
export function readerDetails(image: SquashfsImage): Listing {
  const lines: Record<string, string> = {};
  const first = new Map<number, string>();
  for (const entry of image.entries()) {
    if (entry.path === '/' || entry.type === 'socket') continue;
    const known = entry.type === 'directory' ? undefined : first.get(entry.inode);
    if (known === undefined) first.set(entry.inode, entry.path);
    const xattrs = attributesText(entry.xattrs.map(({ name, value }) => [name, value]));
    const { device } = entry;
    const content =
      entry.type === 'file'
        ? contentText(contentOf(image, entry))
        : device === undefined
          ? ''
          : `${device.major},${device.minor}`;
    lines[entry.path] =
      known === undefined ? `${entry.mtimeSeconds} ${content} ${xattrs}` : `= ${known}`;
  }
  return lines;
}

/** The same as sqfs2tar sees them. */
export function sqfs2tarDetails(path: string): Listing {
  const lines: Record<string, string> = {};
  const archive = join(path.replace(/[^/]*$/, ''), 'oracle.tar');
  runTool('sh', ['-c', 'sqfs2tar "$1" > "$2"', 'sh', path, archive]);
  for (const entry of readTar(readFileSync(archive))) {
    const isDevice = entry.type === 'block' || entry.type === 'character';
    const content =
      entry.type === 'file' ? contentText(entry.content) : isDevice ? entry.device.join(',') : '';
    const xattrs = attributesText(Object.entries(entry.xattrs));
    lines[`/${entry.path}`] =
      entry.type === 'link'
        ? `= /${entry.target.replace(/^\//, '')}`
        : `${entry.mtimeSeconds} ${content} ${xattrs}`;
  }
  return lines;
}
