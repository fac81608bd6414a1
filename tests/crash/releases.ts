/** Tiny releases: a root of a few blocks with its hash tree, a kernel image that starts it, and the bundle of both. */
import { createHash, type KeyObject } from 'node:crypto';
import type { BundleManifest } from '@keelos/proto/bundle.ts';
import { rawPublicKey, signManifest } from '@keelos/proto/bundle-signature.ts';
import { encodeManifest, encodeTail, encodeTrust, keyIdOf } from '@keelos/proto/bundle-writer.ts';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { testKernelImage, testRoot } from '../../ts-agent/test/slot-disk.ts';

/** What becomes of a system that starts from an intact root. */
export type Behaviour =
  | 'healthy'
  /** A check fails for ever. */
  | 'unhealthy'
  /** The kernel panics before PID 1 runs. */
  | 'panics'
  /** PID 1 runs, and the agent never does anything. */
  | 'silent'
  /** The firmware cannot load the kernel image. */
  | 'unloadable';

/** One release. */
export interface Release {
  readonly version: string;
  readonly behaviour: Behaviour;
  readonly rootHash: string;
  /** Root and hash tree, as they lie in a slot. */
  readonly root: Buffer;
  readonly uki: Buffer;
  readonly bundle: Buffer;
}

/** Blocks of data in a root; its hash tree has one more. */
const DATA_BLOCKS = 6;
const PROGRAM_KIND_AT = 3584;
const PROGRAM_BODY_BYTES = 1024;
const DIGEST_BYTES = 32;
const BUILD_EPOCH_SECONDS = 1_767_225_600;
/** Processor of the bundles and of the machine. */
export const ARCH = 'x86_64';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** An EFI program that ends with its own hash: one that lost a sector does not get past its first instructions. */
export function efiProgram(kind: 'loader' | 'kernel' | 'foreign', commandLine: string): Buffer {
  const header = testKernelImage(commandLine);
  header.write(kind, PROGRAM_KIND_AT, 'latin1');
  const body = Buffer.alloc(PROGRAM_BODY_BYTES, sha256(header));
  const program = Buffer.concat([header, body]);
  return Buffer.concat([program, sha256(program)]);
}

/** What a firmware makes of bytes: it looks at the header only. */
export type LoadedProgram =
  | { readonly kind: 'unloadable' }
  | { readonly kind: 'crashes' }
  | { readonly kind: 'loader' }
  | { readonly kind: 'kernel'; readonly commandLine: string };

/** Loads a program. */
export function loadProgram(bytes: Buffer): LoadedProgram {
  const headerBytes = PROGRAM_KIND_AT + 8;
  if (bytes.length < headerBytes || bytes.toString('latin1', 0, 2) !== 'MZ') {
    return { kind: 'unloadable' };
  }
  const program = bytes.subarray(0, bytes.length - DIGEST_BYTES);
  // For another processor, say: the header tells, and the agent does not ask.
  if (bytes.toString('latin1', PROGRAM_KIND_AT, headerBytes - 1) === 'foreign') {
    return { kind: 'unloadable' };
  }
  if (!sha256(program).equals(bytes.subarray(program.length))) return { kind: 'crashes' };
  if (bytes.toString('latin1', PROGRAM_KIND_AT, PROGRAM_KIND_AT + 6) === 'loader') {
    return { kind: 'loader' };
  }
  const commandLine = /^[ -~]*/.exec(bytes.toString('latin1', 1024, PROGRAM_KIND_AT))?.[0] ?? '';
  return { kind: 'kernel', commandLine };
}

/** Releases 1.0.0, 2.0.0 …, one for each behaviour, signed with `key`. */
export function makeRelease(of: {
  readonly number: number;
  readonly behaviour: Behaviour;
  readonly key: KeyObject;
}): Release {
  const { number, behaviour, key } = of;
  const version = `${number}.0.0`;
  const { bytes: root, rootHash, salt, commandLine } = testRoot(number, DATA_BLOCKS);
  const uki = efiProgram(behaviour === 'unloadable' ? 'foreign' : 'kernel', commandLine);
  const manifest: BundleManifest = {
    format: 'keelos-bundle/1',
    version,
    arch: ARCH,
    variant: 'test',
    epoch: 1,
    kernelVersion: '6.12.117',
    buildEpochSeconds: BUILD_EPOCH_SECONDS,
    root: {
      offset: 0,
      size: root.length,
      sha256: sha256(root).toString('hex'),
      dataBytes: DATA_BLOCKS * VERITY_BLOCK_BYTES,
      rootHash,
      salt,
    },
    uki: { offset: root.length, size: uki.length, sha256: sha256(uki).toString('hex') },
  };
  const signature = signManifest(encodeManifest(manifest), key);
  const bundle = Buffer.concat([root, uki, encodeTail(manifest, [signature])]);
  return { version, behaviour, rootHash, root, uki, bundle };
}

/** The trust file that names `key` alone. */
export function trustBytesOf(key: KeyObject): Buffer {
  const raw = rawPublicKey(key);
  return encodeTrust({
    format: 'keelos-trust/1',
    threshold: 1,
    epoch: 1,
    keys: [{ id: keyIdOf(raw), name: 'test', publicKey: raw.toString('hex'), notAfter: 0 }],
  });
}
