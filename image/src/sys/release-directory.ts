/**
 * A release directory on disk. Bundles and deltas appear whole and never change; the file of a channel, which alone says
 * what counts, is replaced in one step.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReleaseFile } from '@keelos/proto/channel.ts';
import { CHANNEL_BYTES_MAX, channelPath, isChannelName } from '@keelos/proto/channel.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { finishedName } from '../../../scripts/lib/whole-file.mjs';
import { eachPiece, hashPart } from './bundle-file.ts';
import { writeAll, writeSynced } from './synced-file.ts';

/** Names of channels in a directory, sorted; none when it is no release directory yet. */
export async function channelNames(dir: string): Promise<string[]> {
  const names = await readdir(join(dir, 'channels')).catch(absent<string[]>([]));
  return names
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length))
    .filter(isChannelName)
    .sort();
}

/** The file of a channel; undefined when there is none. @throws KeelError E_CHANNEL_MALFORMED when it is none, or too large */
export async function readChannelBytes(dir: string, channel: string): Promise<Buffer | undefined> {
  const path = join(dir, channelPath(channel));
  const facts = await stat(path).catch(absent(undefined));
  if (facts === undefined) return undefined;
  if (facts.isFile() && facts.size <= CHANNEL_BYTES_MAX) return readFile(path);
  const reason = facts.isFile() ? `${facts.size} bytes, at most ${CHANNEL_BYTES_MAX}` : 'no file';
  throw new KeelError(
    'E_CHANNEL_MALFORMED',
    `Cannot read metadata of a channel: ${path}: ${reason}`,
  );
}

/** Puts the file of a channel in the place of the old one: the moment at which a publication counts. */
export async function replaceChannel(dir: string, channel: string, bytes: Buffer): Promise<void> {
  await writeSynced(join(dir, channelPath(channel)), async (file) => {
    await file.writeFile(bytes);
  });
}

/** Size and SHA-256 of a file; undefined when there is none. */
export async function fileFacts(path: string): Promise<ReleaseFile | undefined> {
  const file = await open(path, 'r').catch(absent(undefined));
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    return { sha256: await hashPart(file, { offset: 0, size }), size };
  } finally {
    await file.close();
  }
}

/**
 * Copies a file into the directory, unless it is there already.
 *
 * @param of.path where, relative to `dir`
 * @throws KeelError E_RELEASE_EXISTS when another one is there; E_IMAGE_INVALID when `from` changed meanwhile
 */
export async function placeFile(
  dir: string,
  of: { readonly path: string; readonly from: string; readonly expected: ReleaseFile },
): Promise<void> {
  const { from, expected } = of;
  const path = join(dir, of.path);
  const there = await fileFacts(path);
  if (there?.sha256 === expected.sha256) return;
  if (there !== undefined) {
    const reason = `another file of that name is there, SHA-256 ${there.sha256}`;
    throw new KeelError('E_RELEASE_EXISTS', `Cannot publish ${path}: ${reason}`);
  }
  const source = await open(from, 'r');
  try {
    await writeSynced(path, async (file) => {
      const hash = createHash('sha256');
      let at = 0;
      await eachPiece(source, { offset: 0, size: expected.size }, async (piece) => {
        hash.update(piece);
        await writeAll(file, piece, at);
        at += piece.length;
      });
      if (hash.digest('hex') === expected.sha256) return;
      throw new KeelError('E_IMAGE_INVALID', `Cannot copy ${from}: it changed while it was read`);
    });
  } finally {
    await source.close();
  }
}

/** Makes the folders of a release directory that are not there. */
export async function makeDirectory(dir: string): Promise<void> {
  await mkdir(join(dir, 'channels'), { recursive: true });
  await mkdir(join(dir, 'releases'), { recursive: true });
}

/** Removes what publications left behind that were interrupted. Only for who holds the lock. */
export async function sweepDirectory(dir: string): Promise<void> {
  const versions = await readdir(join(dir, 'releases'));
  for (const folder of ['channels', ...versions.map((version) => `releases/${version}`)]) {
    for (const name of await readdir(join(dir, folder)).catch(absent<string[]>([]))) {
      if (finishedName(name) !== name) await rm(join(dir, folder, name), { force: true });
    }
  }
}

/** For `catch`: `value` when a file, or a folder on the way to it, is not there. @throws every other error */
export function absent<T>(value: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return value;
    throw error;
  };
}
