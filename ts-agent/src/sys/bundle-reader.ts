/** Reading of bundles and trust files in the process that verifies: WebAssembly is compiled there, not in the agent. */
import type { BundleTail, TrustFile } from '@keelos/proto/bundle.ts';
import type { SignedBytes } from '@keelos/proto/channel.ts';
import { askVerifier, type VerifierOptions } from './verifier-process.ts';

/**
 * The port: parses the last bytes of a bundle, all of it or TAIL_BYTES_MAX. Signatures and hashes are not checked.
 *
 * @throws KeelError E_BUNDLE_MALFORMED, E_BUNDLE_TRUNCATED, E_BUNDLE_OVERSIZE, E_VERIFY_ENDED
 */
export type ReadBundle = (
  tail: Uint8Array,
  sizeBytes: number,
  signal?: AbortSignal,
) => Promise<BundleTail>;

/**
 * The port: parses the trust file of an image.
 *
 * @throws KeelError E_IMAGE_INVALID, E_VERIFY_ENDED
 */
export type ReadTrust = (bytes: Uint8Array, signal?: AbortSignal) => Promise<TrustFile>;

/**
 * The port: takes the metadata of a channel apart. What is signed is not read.
 *
 * @throws KeelError E_CHANNEL_MALFORMED, E_VERIFY_ENDED
 */
export type ReadChannelHead = (bytes: Uint8Array, signal?: AbortSignal) => Promise<SignedBytes>;

/** Time for one reading, on an emulated machine that is busy. */
const READ_MS_MAX = 120_000;

const NEVER = new AbortController().signal;

/** The ports, each call a child process. */
export function bundleReader(options: VerifierOptions): {
  readonly readBundle: ReadBundle;
  readonly readTrust: ReadTrust;
  readonly readChannelHead: ReadChannelHead;
} {
  const asking = { timeoutMs: READ_MS_MAX, ...options };
  return {
    readBundle: async (tail, sizeBytes, signal = NEVER) => {
      const answer = await askVerifier(
        { task: 'read-bundle', tail: base64(tail), sizeBytes },
        { ...asking, signal, action: 'read bundle', subject: 'reading of a bundle' },
      );
      if (answer.kind !== 'bundle') throw new Error(`The verification answered ${answer.kind}`);
      return { ...answer.tail, manifestBytes: Buffer.from(answer.manifestBytes, 'base64') };
    },
    readTrust: async (bytes, signal = NEVER) => {
      const answer = await askVerifier(
        { task: 'read-trust', bytes: base64(bytes) },
        { ...asking, signal, action: 'read trust file', subject: 'reading of the trust file' },
      );
      if (answer.kind !== 'trust') throw new Error(`The verification answered ${answer.kind}`);
      return answer.trust;
    },
    readChannelHead: async (bytes, signal = NEVER) => {
      const answer = await askVerifier(
        { task: 'read-channel-head', bytes: base64(bytes) },
        { ...asking, signal, action: 'read channel', subject: 'reading of a channel' },
      );
      if (answer.kind !== 'channel-head') {
        throw new Error(`The verification answered ${answer.kind}`);
      }
      return { signedBytes: Buffer.from(answer.signed, 'base64'), signatures: answer.signatures };
    },
  };
}

function base64({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString('base64');
}
