/**
 * What the metadata of a channel is worth to one who follows it. Pure.
 *
 *     replay          an older file           its number is below the one that was seen
 *     freeze          no newer file           it expires
 *     mix and match   parts of two states     one file names all of them, with their hashes
 *     fork            two files of a number   the hash of the one that was seen is remembered
 *     another one     that of "edge"          its name is signed
 *
 * It says only which release is the newest. Whether a node may install it is for its bundle's signatures to say.
 */
import { createHash } from 'node:crypto';
import type { TrustFile } from './bundle.ts';
import { judgeEach, judgeSigned } from './bundle-signature.ts';
import type { Channel, SignedBytes } from './channel.ts';
import { CHANNEL_CONTEXT } from './channel.ts';
import { parseSigned } from './channel-text.ts';
import { KeelError } from './errors.ts';

/** Roots that are remembered of a channel. */
const ROOTS_MAX = 64;

/** What is remembered of a channel between two looks. */
export interface ChannelSeen {
  readonly channel: string;
  readonly number: number;
  /** SHA-256 over the signed bytes, hexadecimal. */
  readonly sha256: string;
  /**
   * Keys that counted. When none of them is trusted any more, what they said is forgotten: who stole one could have set
   * the number so high that no honest one is above it.
   */
  readonly keyIds: readonly string[];
  /** Root hashes of the releases that it has listed, those of the last file first; at most {@link ROOTS_MAX}. */
  readonly roots: readonly string[];
}

/** Metadata that was found right. */
export interface ChannelVerdict {
  readonly channel: Channel;
  /** To be remembered before anything is done with the channel. */
  readonly seen: ChannelSeen;
  /** Names of the keys that counted. */
  readonly signers: readonly string[];
}

/**
 * Judges a file.
 *
 * @param of.trust keys that may sign it, and how many must
 * @param of.nowMs the time that is believed, Unix milliseconds
 * @param of.seen of the last look; undefined for the first
 * @throws KeelError E_CHANNEL_MALFORMED, E_NO_TRUST, E_SIGNATURE_WRONG, E_SIGNATURES_TOO_FEW, E_KEY_EXPIRED,
 *   E_CHANNEL_REPLAYED, E_CHANNEL_EXPIRED
 */
export function judgeChannel(of: {
  readonly file: SignedBytes;
  readonly channel: string;
  readonly trust: TrustFile;
  readonly nowMs: number;
  readonly seen: ChannelSeen | undefined;
}): ChannelVerdict {
  const { channel: name, trust, nowMs } = of;
  const { signatures, signedBytes } = of.file;
  const tail = { manifestBytes: signedBytes, signatures };
  const signed = { tail, trust, nowMs, context: CHANNEL_CONTEXT };
  const { signers } = judgeSigned({ ...signed, subject: `metadata of channel ${name}` });
  // Not before: until then it is anybody's text.
  const channel = parseSigned(signedBytes);
  const keyIds = judgeEach(signed)
    .filter(({ verdict }) => verdict === 'good')
    .map(({ keyId }) => keyId);
  const sha256 = createHash('sha256').update(signedBytes).digest('hex');
  if (channel.channel !== name) {
    refuse(of, 'E_CHANNEL_REPLAYED', `it is that of channel ${channel.channel}`);
  }
  const seen = stillTrusted(of.seen, of);
  if (seen !== undefined && channel.number < seen.number) {
    refuse(of, 'E_CHANNEL_REPLAYED', `number ${channel.number}, seen before: ${seen.number}`);
  }
  if (seen !== undefined && channel.number === seen.number && sha256 !== seen.sha256) {
    refuse(of, 'E_CHANNEL_REPLAYED', `another one of number ${seen.number} was seen before`);
  }
  if (nowMs > channel.expiresAt * 1000) {
    const end = new Date(channel.expiresAt * 1000).toISOString();
    refuse(of, 'E_CHANNEL_EXPIRED', `it ended at ${end}`);
  }
  const listed = channel.releases.map(({ rootHash }) => rootHash);
  const roots = [...new Set([...listed, ...(seen?.roots ?? [])])].slice(0, ROOTS_MAX);
  const { number } = channel;
  return { channel, signers, seen: { channel: name, number, sha256, keyIds, roots } };
}

function refuse(
  { channel }: { readonly channel: string },
  code: 'E_CHANNEL_REPLAYED' | 'E_CHANNEL_EXPIRED',
  reason: string,
): never {
  throw new KeelError(code, `Cannot accept metadata of channel ${channel}: ${reason}`);
}

function stillTrusted(
  seen: ChannelSeen | undefined,
  of: { readonly channel: string; readonly trust: TrustFile },
): ChannelSeen | undefined {
  if (seen === undefined || seen.channel !== of.channel) return undefined;
  const isTrusted = seen.keyIds.some((keyId) => of.trust.keys.some(({ id }) => id === keyId));
  return isTrusted ? seen : undefined;
}
