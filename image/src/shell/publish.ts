/** Adds releases to a directory that any web server can serve. */
import type { KeyObject } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleSignature, TrustFile } from '@keelos/proto/bundle.ts';
import { SIGNATURES_MAX } from '@keelos/proto/bundle.ts';
import { judgeSigned, rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import { keyIdOf } from '@keelos/proto/bundle-writer.ts';
import type { Channel, Release, ReleaseDelta } from '@keelos/proto/channel.ts';
import { bundlePath, CHANNEL_CONTEXT, DELTAS_MAX, deltaPath } from '@keelos/proto/channel.ts';
import { encodeChannelFile, encodeSigned, parseChannelFile } from '@keelos/proto/channel-text.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { MakeDelta } from '../core/delta-report.ts';
import type { Candidate } from '../core/release-channel.ts';
import {
  checkPublication,
  deltaSources,
  nextChannel,
  withDeltas,
} from '../core/release-channel.ts';
import { readPrivateKey, readPublicKey } from '../sys/key-files.ts';
import { lockForPublish } from '../sys/publish-lock.ts';
import {
  fileFacts,
  makeDirectory,
  placeFile,
  readChannelBytes,
  replaceChannel,
  sweepDirectory,
} from '../sys/release-directory.ts';
import { checkBundle } from './check-bundle.ts';
import { isDeltaBetween } from './found-delta.ts';

/** What to publish. */
export interface PublishOptions {
  readonly dir: string;
  /** Files of bundles; none: the channel is only renewed. */
  readonly bundles: readonly string[];
  readonly channel: string;
  /** Files of private keys that sign the channel and its deltas; at least one. */
  readonly keys: readonly string[];
  /** Bundles are judged as a node with this would; absent: only what they hold is checked. */
  readonly bundleTrust?: TrustFile;
  /** Who must have signed the present state of the channel; absent: one of `keys`. */
  readonly channelTrust?: TrustFile;
  readonly lifeSeconds: number;
  /** From how many earlier releases a delta is made. */
  readonly deltaCount: number;
  readonly withdrawn: readonly string[];
  readonly nowMs: number;
  readonly makeDelta: MakeDelta;
  /** Ends it; what was published before stays. */
  readonly signal?: AbortSignal;
  readonly say?: (line: string) => void;
}

/** What was published. */
export interface Published {
  readonly channel: Channel;
  readonly added: readonly Release[];
  /** Deltas that were to be, and are not. */
  readonly failed: readonly FailedDelta[];
}

/** A delta that could not be made, or would save nothing. */
export interface FailedDelta {
  readonly from: string;
  readonly to: string;
  readonly arch: Release['arch'];
  readonly reason: string;
}

/**
 * Publishes. Whoever reads the directory meanwhile sees the state before or the one after it, whenever this is
 * interrupted; run again, it goes on. A delta that cannot be made is left out and does not keep a release back.
 *
 * A release that the channel has already gets the deltas that it lacks.
 *
 * @throws KeelError E_PUBLISH_RUNNING, E_RELEASE_EXISTS, E_NOT_FOUND, E_INVALID_ARGUMENT, E_OUTPUT_FULL, E_CANCELLED,
 *   E_BUNDLE_…, and those of signatures for a bundle, or for the present state of the channel
 */
export async function publish(options: PublishOptions): Promise<Published> {
  const { dir, channel: name, nowMs, say = () => undefined } = options;
  const signers = await readSigners(options.keys);
  const candidates = await readCandidates(options);
  const publication = {
    channel: name,
    added: candidates.map(({ candidate }) => candidate),
    withdrawn: options.withdrawn,
    nowSeconds: Math.floor(nowMs / 1000),
    lifeSeconds: options.lifeSeconds,
  };
  checkPublication(publication);
  // A directory that is not there, because a volume is not mounted, must not look renewed.
  const isRenewal = candidates.length === 0;
  if (isRenewal && (await readChannelBytes(dir, name)) === undefined) {
    throw new KeelError('E_NOT_FOUND', `Cannot renew channel ${name}: ${dir} has no such channel`);
  }
  await makeDirectory(dir);
  const lock = await lockForPublish(dir);
  try {
    await sweepDirectory(dir);
    const oldBytes = await readChannelBytes(dir, name);
    const old = oldBytes === undefined ? undefined : await trustedChannel(oldBytes, options);
    const next = nextChannel(old, publication);
    const added = next.releases.filter(({ number }) => number === next.number);
    for (const { path, candidate } of candidates) {
      const place = bundlePath(candidate.tail.manifest);
      say(`bundle ${place}`);
      await placeFile(dir, { path: place, from: path, expected: candidate.file });
    }
    const given = next.releases.filter(({ manifestSha256 }) =>
      candidates.some(({ candidate }) => candidate.tail.manifestSha256 === manifestSha256),
    );
    const { channel, failed } = await addDeltas(next, { ...options, given, say });
    const bytes = encodeChannelFile(channel, signAll(encodeSigned(channel), signers));
    await checkUnchanged(options, oldBytes);
    await replaceChannel(dir, name, bytes);
    say(`channel ${name}, number ${channel.number}`);
    return { channel, added: added.map((each) => releaseIn(channel, each)), failed };
  } finally {
    await lock.close();
  }
}

/** The keys, none of them twice: a reader takes no such list. @throws KeelError E_INVALID_ARGUMENT */
async function readSigners(paths: readonly string[]): Promise<readonly KeyObject[]> {
  const refuse = (reason: string): never => {
    throw new KeelError('E_INVALID_ARGUMENT', `Cannot publish: ${reason}`);
  };
  if (paths.length > SIGNATURES_MAX) refuse(`${paths.length} keys, at most ${SIGNATURES_MAX}`);
  const signers = new Map<string, KeyObject>();
  for (const path of paths) {
    const key = await readPrivateKey(path);
    const id = keyIdOf(rawPublicKey(key));
    if (signers.has(id)) refuse(`the key of ${path} is given twice`);
    signers.set(id, key);
  }
  return [...signers.values()];
}

function releaseIn(channel: Channel, { arch, version }: Release): Release {
  const found = channel.releases.find((each) => each.arch === arch && each.version === version);
  if (found === undefined) throw new Error(`release ${version} got lost`);
  return found;
}

interface ReadCandidate {
  readonly path: string;
  readonly candidate: Candidate;
}

async function readCandidates(options: PublishOptions): Promise<readonly ReadCandidate[]> {
  const { bundles, bundleTrust: trust, nowMs } = options;
  const read: ReadCandidate[] = [];
  for (const path of bundles) {
    const file = await open(path, 'r');
    try {
      const { tail } = await checkBundle(file, { trust, nowMs });
      if (tail.signatures.length === 0) {
        const reason = 'nobody has signed it';
        throw new KeelError('E_SIGNATURE_WRONG', `Cannot publish ${path}: ${reason}`);
      }
      const facts = await fileFacts(path);
      if (facts === undefined) throw new Error(`${path} went away`);
      read.push({ path, candidate: { tail, file: facts } });
    } finally {
      await file.close();
    }
  }
  return read;
}

/** The present state of the channel. What others wrote into the directory must not get our signature. */
async function trustedChannel(bytes: Buffer, options: PublishOptions): Promise<Channel> {
  const { channel, signatures, signedBytes } = parseChannelFile(bytes);
  const trust = options.channelTrust ?? (await trustOf(options.keys));
  judgeSigned({
    subject: `the present metadata of channel ${options.channel}`,
    tail: { manifestBytes: signedBytes, signatures },
    ...{ trust, nowMs: options.nowMs, context: CHANNEL_CONTEXT },
  });
  if (channel.channel === options.channel) return channel;
  const reason = `it is that of channel ${channel.channel}`;
  throw new KeelError(
    'E_CHANNEL_MALFORMED',
    `Cannot accept the present metadata of channel ${options.channel}: ${reason}`,
  );
}

async function trustOf(keys: readonly string[]): Promise<TrustFile> {
  const trusted = await Promise.all(keys.map(readPublicKey));
  return { format: 'keelos-trust/1', threshold: 1, epoch: 1, keys: trusted };
}

function signAll(bytes: Buffer, signers: readonly KeyObject[]): BundleSignature[] {
  return signers.map((key) => signManifest(bytes, key, CHANNEL_CONTEXT));
}

/** The lock holds on one machine only; a directory may be shared by more. */
async function checkUnchanged(options: PublishOptions, before: Buffer | undefined): Promise<void> {
  const now = await readChannelBytes(options.dir, options.channel);
  const isSame = before === undefined ? now === undefined : now?.equals(before) === true;
  if (isSame) return;
  const reason = `channel ${options.channel} was changed meanwhile`;
  throw new KeelError('E_PUBLISH_RUNNING', `Cannot publish into ${options.dir}: ${reason}`);
}

async function addDeltas(
  channel: Channel,
  options: PublishOptions & {
    readonly given: readonly Release[];
    readonly say: (line: string) => void;
  },
): Promise<{ readonly channel: Channel; readonly failed: readonly FailedDelta[] }> {
  const failed: FailedDelta[] = [];
  let next = channel;
  for (const release of options.given) {
    const deltas: ReleaseDelta[] = [];
    const count = Math.min(options.deltaCount, DELTAS_MAX);
    for (const source of deltaSources(channel, release, count)) {
      if (release.deltas.some(({ from }) => from === source.version)) continue;
      try {
        deltas.push(await oneDelta({ source, release }, options));
      } catch (error) {
        if (!(error instanceof KeelError) || options.signal?.aborted === true) throw error;
        const { version: to, arch } = release;
        failed.push({ from: source.version, to, arch, reason: error.message });
        options.say(`no delta from ${source.version} to ${to}: ${error.message}`);
      }
    }
    next = withDeltas(next, release, deltas);
  }
  return { channel: next, failed };
}

async function oneDelta(
  { source, release }: { readonly source: Release; readonly release: Release },
  options: PublishOptions & { readonly say: (line: string) => void },
): Promise<ReleaseDelta> {
  const { dir, keys, makeDelta, signal, say } = options;
  const { version: from } = source;
  const out = join(dir, deltaPath({ ...release, from }));
  // An earlier publication that was interrupted may have made it, and another channel may list it.
  if (!(await isDeltaBetween(out, { source, release }))) {
    say(`delta ${deltaPath({ ...release, from })}`);
    const [oldPath, newPath] = [join(dir, bundlePath(source)), join(dir, bundlePath(release))];
    await makeDelta({ oldPath, newPath, out, keys, ...(signal === undefined ? {} : { signal }) });
  }
  const facts = await fileFacts(out);
  if (facts === undefined) throw new Error(`${out} was not made`);
  if (facts.size < release.bundle.size) return { from, ...facts };
  await rm(out);
  const reason = `it would have ${facts.size} bytes, the bundle has ${release.bundle.size}`;
  throw new KeelError('E_IMAGE_INVALID', `Cannot use the delta: ${reason}`);
}
