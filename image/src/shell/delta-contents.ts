/** What a delta between two sides holds: what changed is found, and coded. */
import { UKI_PIECE_BYTES } from '@keelos/as-core/delta-apply.ts';
import { compileLayout, layoutOf, withRawBehind } from '@keelos/as-core/delta-layout.ts';
import { canaryOf, type Packer } from '@keelos/as-core/delta-pack.ts';
import { UnpackedSource } from '@keelos/as-core/delta-source.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { encodePlan } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DeltaContents } from '../core/delta-assembly.ts';
import { keptCopies, unlikePieces } from '../core/delta-copies.ts';
import { type Draft, draftPieces, type Side, withLiterals } from '../core/delta-draft.ts';
import { levelOf } from '../core/delta-level.ts';
import type { DeltaProgress, DeltaStep } from '../core/delta-report.ts';
import { literalBytes, patchedPieces, planSteps } from '../core/delta-steps.ts';
import type { DeltaInput } from '../sys/delta-input.ts';
import { codeBytes, matchBytes } from './delta-coding.ts';
import { type MadeFrames, type UnpackedPiece, unmadePieces } from './delta-encode.ts';
import { bytesSource } from './delta-prove.ts';

/** What it is made of, and with. */
export interface Making {
  readonly old: DeltaInput;
  readonly target: DeltaInput;
  readonly packer: Packer;
  readonly frames: MadeFrames;
  readonly maxMemoryBytes?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: DeltaProgress) => void) | undefined;
}

/** A side with its pieces, and its unpacked bytes. */
interface OpenSide extends Side {
  readonly unpacked: UnpackedSource;
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
  progressOf(making, 'code')(1);
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
  sides: { readonly from: OpenSide; readonly to: OpenSide; readonly level: number },
) {
  const { packer, frames, signal, maxMemoryBytes } = making;
  const { from, to, level } = sides;
  const first = draftPieces(from, to);
  const contents = patchedPieces(first).map(({ piece }): UnpackedPiece => {
    return { piece, content: contentOf(to, piece) };
  });
  const unmade = await unmadePieces(contents, {
    ...{ target: to, level, packer, frames },
    signal,
    onProgress: progressOf(making, 'read'),
  });
  const second = withLiterals(first, (piece) => unmade.has(piece));
  const oldBytes = new Uint8Array(from.unpacked.sizeBytes);
  from.unpacked.read(0, oldBytes);
  const all = patchedOf(to, second);
  const input = { old: oldBytes, patched: all.bytes, maxMemoryBytes };
  const copies = await matchBytes(input);
  progressOf(making, 'match')(1);
  signal?.throwIfAborted();
  const unlike = unlikePieces(input, { copies, pieces: all.pieces });
  const drafts = withLiterals(second, (piece) => unlike.has(piece));
  const kept = patchedOf(to, drafts);
  const newStarts = new Map(kept.pieces.map(({ piece, start }) => [piece, start]));
  const stretches = all.pieces.flatMap(({ piece, start }) => {
    const newStart = newStarts.get(piece);
    return newStart === undefined ? [] : [{ start, length: piece.unpackedBytes, newStart }];
  });
  const patch = await codeBytes({ ...input, patched: kept.bytes }, keptCopies(copies, stretches));
  const packedBytes = kept.pieces.reduce((sum, { piece }) => sum + piece.packedBytes, 0);
  if (patch.length <= packedBytes) return { drafts, patch, patchedBytes: kept.bytes.length };
  // Never larger than what it makes: then it is all carried as it is.
  const carried = withLiterals(drafts, () => true);
  return { drafts: carried, patch: new Uint8Array(0), patchedBytes: 0 };
}

function contentOf(side: OpenSide, piece: Draft['piece']): Uint8Array {
  const content = new Uint8Array(piece.unpackedBytes);
  side.unpacked.read(piece.unpackedPlace, content);
  return content;
}

/** The bytes of the pieces that are patched, one behind the other. */
function patchedOf(side: OpenSide, drafts: readonly Draft[]) {
  const pieces = patchedPieces(drafts);
  const last = pieces.at(-1);
  const bytes = new Uint8Array(last === undefined ? 0 : last.start + last.piece.unpackedBytes);
  for (const { piece, start } of pieces) {
    side.unpacked.read(piece.unpackedPlace, bytes.subarray(start, start + piece.unpackedBytes));
  }
  return { pieces, bytes };
}

function progressOf(making: Making, step: DeltaStep) {
  return (fraction: number) => making.onProgress?.({ step, fraction });
}
