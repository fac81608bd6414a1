/**
 * What a release directory holds now, for who serves it. Files of channels are looked at again at most once a second; one
 * that cannot be read leaves what was known before, and is told by {@link ReleaseCatalog.problems}.
 */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Channel, Release } from '@keelos/proto/channel.ts';
import {
  bundlePath,
  channelPath,
  deltaPath,
  newestRelease,
  parseReleasePath,
} from '@keelos/proto/channel.ts';
import { parseChannelFile } from '@keelos/proto/channel-text.ts';
import type { BlockFile } from '../sys/file-blocks.ts';
import { channelNames, fileFacts, readChannelBytes } from '../sys/release-directory.ts';

/** A file that never changes. */
export interface ServedFile extends BlockFile {
  readonly sha256: string;
}

/** A channel as it is now. */
export interface ServedChannel {
  readonly channel: Channel;
  readonly bytes: Buffer;
}

/** Two releases between which there may be a delta. */
export interface ReleasePair {
  readonly from: Release;
  readonly to: Release;
}

/** Files that are in no channel any more and whose hashes are remembered. */
const OLD_FILES_MAX = 256;
const LOOK_MS = 1_000;

/** The catalog. */
export class ReleaseCatalog {
  readonly #dir: string;
  readonly #nowMs: () => number;
  #channels = new Map<string, ServedChannel>();
  #files = new Map<string, ServedFile>();
  /** Identity of a file on disk to what is known of it. */
  readonly #old = new Map<string, Promise<ServedFile | undefined>>();
  /** Files that were seen to be there, with their size, since the last look. */
  readonly #sound = new Set<ServedFile>();
  #state: string | undefined;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> | undefined;
  #problems: readonly string[] = [];

  /** @param nowMs of a clock that is never set */
  constructor(dir: string, nowMs: () => number) {
    this.#dir = dir;
    this.#nowMs = nowMs;
  }

  /** Channels by name, in order. */
  get channels(): readonly ServedChannel[] {
    return [...this.#channels.values()];
  }

  /** What is wrong with the directory; none: nothing. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Looks at the directory again when that is due. Never throws. */
  async refresh(): Promise<void> {
    if (this.#nowMs() - this.#lookedAtMs < LOOK_MS) return;
    this.#looking ??= this.#look().finally(() => {
      this.#looking = undefined;
      this.#lookedAtMs = this.#nowMs();
    });
    await this.#looking;
  }

  async #look(): Promise<void> {
    this.#sound.clear();
    const problems: string[] = [];
    try {
      const names = await channelNames(this.#dir);
      const state = await this.#stateOf(names);
      if (state === this.#state) return;
      const channels = new Map<string, ServedChannel>();
      for (const name of names) {
        const found = await this.#read(name).catch((error: Error) => {
          problems.push(error.message);
          return this.#channels.get(name);
        });
        if (found !== undefined) channels.set(name, found);
      }
      if (names.length === 0) problems.push(`${this.#dir} has no channel`);
      this.#channels = channels;
      this.#files = this.#filesOf(channels);
      this.#state = problems.length === 0 ? state : undefined;
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
    }
    this.#problems = problems;
  }

  /** Changes when any file of a channel does. */
  async #stateOf(names: readonly string[]): Promise<string> {
    const paths = names.map((name) => join(this.#dir, channelPath(name)));
    const all = await Promise.all(
      paths.map((path) => stat(path, { bigint: true }).catch(() => undefined)),
    );
    return all
      .map((facts, at) => `${names[at]} ${facts?.ino} ${facts?.size} ${facts?.mtimeNs}`)
      .join();
  }

  async #read(name: string): Promise<ServedChannel | undefined> {
    const bytes = await readChannelBytes(this.#dir, name);
    if (bytes === undefined) return undefined;
    const { channel } = parseChannelFile(bytes);
    if (channel.channel === name) return { channel, bytes };
    throw new Error(`${channelPath(name)} is that of channel ${channel.channel}`);
  }

  #filesOf(channels: ReadonlyMap<string, ServedChannel>): Map<string, ServedFile> {
    const files = new Map<string, ServedFile>();
    for (const { channel } of channels.values()) {
      for (const release of channel.releases) {
        const all = [
          { path: bundlePath(release), ...release.bundle },
          ...release.deltas.map((delta) => ({
            path: deltaPath({ ...release, ...delta }),
            ...delta,
          })),
        ];
        for (const { path, sha256, size } of all) {
          files.set(path, this.#served(path, { sha256, size }));
        }
      }
    }
    return files;
  }

  #served(path: string, { sha256, size }: { sha256: string; size: number }): ServedFile {
    return { path: join(this.#dir, path), key: sha256, sizeBytes: size, sha256 };
  }

  /** A channel by name. */
  channel(name: string): ServedChannel | undefined {
    return this.#channels.get(name);
  }

  /**
   * A bundle or delta by its path in the directory: also one that no channel lists any more, because a node may be in
   * the middle of it. Undefined when there is none, or when it has another size than its channel says.
   */
  async file(path: string): Promise<ServedFile | undefined> {
    const parsed = parseReleasePath(path);
    if (parsed === undefined || parsed.kind === 'channel') return undefined;
    const listed = this.#files.get(path);
    if (listed !== undefined && this.#sound.has(listed)) return listed;
    const facts = await stat(join(this.#dir, path), { bigint: true }).catch(() => undefined);
    if (facts?.isFile() !== true) return undefined;
    if (listed !== undefined) {
      if (BigInt(listed.sizeBytes) !== facts.size) return undefined;
      this.#sound.add(listed);
      return listed;
    }
    const identity = `${path} ${facts.ino} ${facts.size} ${facts.mtimeNs}`;
    const known = this.#old.get(identity);
    if (known !== undefined) return known;
    const found = fileFacts(join(this.#dir, path)).then(
      (read) => (read === undefined ? undefined : this.#served(path, read)),
      () => {
        // It may be readable the next time.
        this.#old.delete(identity);
        return undefined;
      },
    );
    this.#old.set(identity, found);
    const [oldest] = this.#old.keys();
    if (this.#old.size > OLD_FILES_MAX && oldest !== undefined) this.#old.delete(oldest);
    return found;
  }

  /**
   * The releases of a delta that may be made on demand: to the newest of a channel, from an older one in it. So there are
   * never many, whatever is asked for.
   */
  pair(of: {
    readonly version: string;
    readonly from: string;
    readonly arch: Release['arch'];
  }): ReleasePair | undefined {
    const { version, from: fromVersion, arch } = of;
    for (const { channel } of this.channels) {
      const to = newestRelease(channel, arch);
      if (to === undefined || to.version !== version) continue;
      const from = channel.releases.find(
        (release) =>
          release.arch === arch && release.version === fromVersion && release.number < to.number,
      );
      if (from !== undefined) return { from, to };
    }
    return undefined;
  }

  /** Where the bundle of a release lies. */
  bundleFile(release: Release): string {
    return join(this.#dir, bundlePath(release));
  }

  /** Changes with what the channels say. */
  get digest(): string {
    const hash = createHash('sha256');
    for (const { bytes } of this.channels) hash.update(bytes);
    return hash.digest('hex');
  }
}
