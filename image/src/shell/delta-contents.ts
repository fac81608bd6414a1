/** What a delta between two sides holds: what changed is found, and coded. */
import { UKI_PIECE_BYTES } from '@keelos/as-core/delta-apply.ts';
import {
  compileLayout,
  layoutOf,
  type Piece,
  withRawBehind,
} from '@keelos/as-core/delta-layout.ts';
import { canaryOf, type Packer } from '@keelos/as-core/delta-pack.ts';
import { UnpackedSource } from '@keelos/as-core/delta-source.ts';
import { CoreError } from '@keelos/as-core/status.ts';
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
import { bytesSource } from './delta-prove.ts';

/** What it is made of, and with. */
export interface Making {
  readonly old: DeltaInput;
  readonly target: DeltaInput;
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

async function openSide({ packed, side, path }: DeltaInput): Promise<OpenSide> {
  const modules = await compileLayout();
  const { read } = bytesSource(packed);
  try {
    const own = layoutOf(modules, { sizeBytes: side.dataBytes, read });
    const layout = withRawBehind(own, side.ukiBytes, UKI_PIECE_BYTES);
    return { packed, layout, unpacked: new UnpackedSource({ layout, read, ...modules }) };
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    const reason = `Cannot read ${path}: ${error.message} [${error.code}]`;
    throw new KeelError('E_IMAGE_INVALID', reason, { cause: error });
  }
}

/**
 * The parts of the delta, and the facts for its manifest.
 *
 * @throws KeelError E_IMAGE_INVALID when a side's tables are malformed
 */
export async function contentsOf(making: Making): Promise<DeltaContents> {
  const { old, target, packer } = making;
  const [from, to] = [await openSide(old), await openSide(target)];
  const level = levelOf(to);
  const { drafts, patch, patchedBytes } = await drafted(making, { from, to, level });
  const steps = planSteps(to, { drafts, dataBytes: target.side.dataBytes });
  return {
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
    },
  };
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
  const coding = async (unmade: ReadonlySet<Piece>) => {
    const drafts = withLiterals(first, (piece) => unmade.has(piece));
    return coded(making, { from, to, old, drafts });
  };
  if (!check.isLikely) return coding(await check.unmade);
  // Most likely the encoder makes all, so the patch is coded while the workers look whether it does.
  const likely = await coding(new Set());
  const unmade = await check.unmade;
  const isWrong = likely.drafts.some(({ piece, how }) => how.kind === 'patch' && unmade.has(piece));
  return isWrong ? coding(unmade) : likely;
}

/** What became of the drafts. */
interface CodedDrafts {
  readonly drafts: readonly Draft[];
  readonly patch: Uint8Array;
  readonly patchedBytes: number;
}

async function coded(
  making: Making,
  of: Sides & { readonly old: Uint8Array; readonly drafts: readonly Draft[] },
): Promise<CodedDrafts> {
  const { drafts, copies } = await matched(making, of);
  making.signal?.throwIfAborted();
  const kept = patchedPieces(drafts);
  const patch = await codeBytes({
    ...{ old: of.old, fresh: allOf(of.to), copies },
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

/** Copies for all that is patched, once what is like nothing in the source has become literals. */
async function matched(
  { maxMemoryBytes, onProgress }: Making,
  of: Sides & { readonly old: Uint8Array; readonly drafts: readonly Draft[] },
) {
  const { from, to, old } = of;
  const pieces = patchedPieces(of.drafts);
  const patched = contentsOfPieces(to, pieces);
  const held = from.packed.length + to.packed.length + old.length + to.unpacked.sizeBytes;
  const found = await matchBytes({
    ...{ old, fresh: patched },
    maxMemoryBytes: maxMemoryBytes - held - patched.length,
  });
  onProgress?.({ step: 'match', fraction: 1 });
  const unlike = unlikePieces({ old, patched }, { copies: found, pieces });
  const drafts = withLiterals(of.drafts, (piece) => unlike.has(piece));
  const stretches = pieces.flatMap(({ piece, start }) => {
    if (unlike.has(piece)) return [];
    return [{ start, length: piece.unpackedBytes, newStart: piece.unpackedPlace }];
  });
  const copies = joinedCopies(keptCopies(found, stretches), pieceCopies(from.layout, drafts));
  return { drafts, copies };
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
