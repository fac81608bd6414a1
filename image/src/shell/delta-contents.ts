/** What a delta between two sides holds: what changed is found, and coded. */
import { UKI_PIECE_BYTES } from '@keelos/as-core/delta-apply.ts';
import type { Copy } from '@keelos/as-core/delta-copy.ts';
import {
  compileLayout,
  layoutOf,
  type Piece,
  withKernelImage,
} from '@keelos/as-core/delta-layout.ts';
import { canaryOf, kernelCanary, type Packer } from '@keelos/as-core/delta-pack.ts';
import { UnpackedSource } from '@keelos/as-core/delta-source.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { type DeltaKernel, NO_KERNEL } from '@keelos/proto/delta.ts';
import { encodePlan } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaContents } from '../core/delta-assembly.ts';
import {
  joinedCopies,
  keptCopies,
  pieceCopies,
  spansOf,
  unlikePieces,
} from '../core/delta-copies.ts';
import { type Draft, draftPieces, type Side, withLiterals } from '../core/delta-draft.ts';
import { levelOf } from '../core/delta-level.ts';
import type { DeltaProgress, DeltaStep } from '../core/delta-report.ts';
import { literalBytes, type PatchedPiece, patchedPieces, planSteps } from '../core/delta-steps.ts';
import type { DeltaInput } from '../sys/delta-input.ts';
import { codeBytes, matchBytes } from './delta-coding.ts';
import { checkEncoder, type MadeFrames, type UnpackedPiece } from './delta-encode.ts';
import type { KernelPair, UnpackedKernel } from './delta-kernels.ts';
import { bytesSource } from './delta-prove.ts';

const NONE: ReadonlySet<Piece> = new Set();

/** What it is made of, and with. */
export interface Making {
  readonly old: DeltaInput;
  readonly target: DeltaInput;
  /** Kernels of both; undefined: the kernel images are taken as they are. */
  readonly kernels: KernelPair | undefined;
  readonly packer: Packer;
  readonly frames: MadeFrames;
  /** Most that all of it may take. */
  readonly maxMemoryBytes: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DeltaProgress) => void) | undefined;
}

/** A side with its pieces, and its unpacked bytes. */
interface OpenSide extends Side {
  readonly unpacked: UnpackedSource;
}

/** Both sides. */
interface Sides {
  readonly from: OpenSide;
  readonly to: OpenSide;
}

async function openSide(
  { packed, side, path }: DeltaInput,
  kernel: UnpackedKernel | undefined,
): Promise<OpenSide> {
  const modules = await compileLayout();
  const { read } = bytesSource(packed);
  try {
    const own = layoutOf(modules, { sizeBytes: side.dataBytes, read });
    const layout = withKernelImage(own, {
      bytes: side.ukiBytes,
      pieceBytes: UKI_PIECE_BYTES,
      kernel: kernel ?? NO_KERNEL,
    });
    const readKernel = kernel === undefined ? undefined : bytesSource(kernel.content).read;
    const unpacked = new UnpackedSource({ layout, read, readKernel, ...modules });
    return { packed, layout, unpacked };
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const reason = `Cannot read ${path}: ${error.message} [${error.code}]`;
    throw new KeelError('E_IMAGE_INVALID', reason, { cause: error });
  }
}

/** What was made. */
export interface MadeContents {
  readonly contents: DeltaContents;
  /** False with kernels: they were unpacked for nothing, and a node should not have to. */
  readonly isKernelPatched: boolean;
}

/**
 * The parts of the delta, and the facts for its manifest.
 *
 * @throws KeelError E_IMAGE_INVALID when a side's tables are malformed
 */
export async function contentsOf(making: Making): Promise<MadeContents> {
  const { old, target, packer, kernels } = making;
  const [from, to] = [await openSide(old, kernels?.old), await openSide(target, kernels?.target)];
  const level = levelOf(to);
  const { drafts, patch, patchedBytes } = await drafted(making, { from, to, level });
  const steps = planSteps(to, { drafts, dataBytes: target.side.dataBytes });
  const contents = {
    parts: {
      plan: encodePlan(steps, to.layout),
      patch,
      literals: literalBytes(to, drafts),
      targetManifest: target.manifestBytes,
      targetSignatures: target.signatureBytes,
    },
    facts: {
      ...{ from: old.version, to: target.version, source: old.side, target: target.side },
      ...{ blockBytes: to.layout.blockBytes, level, patchedBytes },
      canary: await canaryOf(packer, level),
      kernel: await kernelFacts(kernels),
    },
  };
  return { contents, isKernelPatched: steps.some(({ kind }) => kind === 'kernel') };
}

async function kernelFacts(kernels: KernelPair | undefined): Promise<DeltaKernel> {
  if (kernels === undefined) return NO_KERNEL;
  const { offset, packedBytes, unpackedBytes } = kernels.old;
  return { canary: await kernelCanary(), offset, packedBytes, unpackedBytes };
}

/** Drafts of all pieces, and the coded patch of those that are patched. */
async function drafted(
  making: Making,
  sides: Sides & { readonly level: number },
): Promise<CodedDrafts> {
  const { packer, frames, signal } = making;
  const { from, to, level } = sides;
  const first = draftPieces(from, to);
  const pieces = patchedPieces(first).map(({ piece }): UnpackedPiece => {
    return { piece, content: contentOf(to, piece) };
  });
  const check = await checkEncoder(pieces, { target: to, level, packer, frames });
  progressOf(making, 'read')(1);
  signal?.throwIfAborted();
  const old = allOf(from);
  const unlikely = check.isLikely ? NONE : await check.unmade;
  const drafts = withLiterals(first, (piece) => unlikely.has(piece));
  const match = await matched(making, { from, to, old, drafts });
  // Most likely the encoder makes all, so the patch is coded while the workers look whether it does.
  const likely = await coded(making, { from, to, old, match, unmade: NONE });
  const unmade = await check.unmade;
  const isWrong = likely.drafts.some(({ piece, how }) => how.kind === 'patch' && unmade.has(piece));
  return isWrong ? coded(making, { from, to, old, match, unmade }) : likely;
}

/** What became of the drafts. */
interface CodedDrafts {
  readonly drafts: readonly Draft[];
  readonly patch: Uint8Array;
  readonly patchedBytes: number;
}

/** Codes what is patched, when some of it cannot be because the encoder does not make it. */
async function coded(
  making: Making,
  of: Sides & {
    readonly old: Uint8Array;
    readonly match: Match;
    readonly unmade: ReadonlySet<Piece>;
  },
): Promise<CodedDrafts> {
  making.signal?.throwIfAborted();
  const { from, to, old, match, unmade } = of;
  const drafts = withLiterals(match.drafts, (piece) => unmade.has(piece));
  const kept = patchedPieces(drafts);
  const starts = new Map(match.pieces.map(({ piece, start }) => [piece, start]));
  const stretches = kept.map(({ piece }) => ({
    start: starts.get(piece) ?? 0,
    length: piece.unpackedBytes,
    newStart: piece.unpackedPlace,
  }));
  const patch = await codeBytes({
    ...{ old, fresh: allOf(to) },
    copies: joinedCopies(keptCopies(match.copies, stretches), pieceCopies(from.layout, drafts)),
    spans: spansOf(kept.map(({ piece }) => piece)),
    onProgress: progressOf(making, 'code'),
  });
  const packedBytes = kept.reduce((sum, { piece }) => sum + piece.packedBytes, 0);
  const patchedBytes = kept.reduce((sum, { piece }) => sum + piece.unpackedBytes, 0);
  if (patch.length <= packedBytes) return { drafts, patch, patchedBytes };
  // Never larger than what it makes: then it is all carried as it is.
  const carried = withLiterals(drafts, () => true);
  return { drafts: carried, patch: new Uint8Array(0), patchedBytes: 0 };
}

/** What may be patched, and its copies. */
interface Match {
  /** What is like nothing in the source has become literals. */
  readonly drafts: readonly Draft[];
  /** What was matched, one behind the other: places of the copies are those here. */
  readonly pieces: readonly PatchedPiece[];
  readonly copies: readonly Copy[];
}

async function matched(
  { maxMemoryBytes, kernels, onProgress }: Making,
  of: Sides & { readonly old: Uint8Array; readonly drafts: readonly Draft[] },
): Promise<Match> {
  const { from, to, old } = of;
  const pieces = patchedPieces(of.drafts);
  const patched = contentsOfPieces(to, pieces);
  const unpackedKernels = (kernels?.old.unpackedBytes ?? 0) + (kernels?.target.unpackedBytes ?? 0);
  const sides = from.packed.length + to.packed.length + old.length + to.unpacked.sizeBytes;
  const held = sides + unpackedKernels;
  const copies = await matchBytes({
    ...{ old, fresh: patched },
    maxMemoryBytes: maxMemoryBytes - held - patched.length,
  });
  onProgress?.({ step: 'match', fraction: 1 });
  const unlike = unlikePieces({ old, patched }, { copies, pieces });
  return { drafts: withLiterals(of.drafts, (piece) => unlike.has(piece)), pieces, copies };
}

function allOf({ unpacked }: OpenSide): Uint8Array {
  const bytes = new Uint8Array(unpacked.sizeBytes);
  unpacked.read(0, bytes);
  return bytes;
}

function contentOf(side: OpenSide, piece: Piece): Uint8Array {
  const content = new Uint8Array(piece.unpackedBytes);
  side.unpacked.read(piece.unpackedPlace, content);
  return content;
}

/** Pieces one behind the other. */
function contentsOfPieces(side: OpenSide, pieces: readonly PatchedPiece[]): Uint8Array {
  const last = pieces.at(-1);
  const bytes = new Uint8Array(last === undefined ? 0 : last.start + last.piece.unpackedBytes);
  for (const { piece, start } of pieces) {
    side.unpacked.read(piece.unpackedPlace, bytes.subarray(start, start + piece.unpackedBytes));
  }
  return bytes;
}

function progressOf(making: Making, step: DeltaStep) {
  return (fraction: number) => making.onProgress?.({ step, fraction });
}
