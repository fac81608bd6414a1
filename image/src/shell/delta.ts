/** Makes deltas: reads both sides, finds what changed, codes it, and proves the delta before it gets its name. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { UKI_PIECE_BYTES } from '@keelos/as-core/delta-apply.ts';
import { compileLayout, layoutOf, withRawBehind } from '@keelos/as-core/delta-layout.ts';
import { canaryOf, type Packer } from '@keelos/as-core/delta-pack.ts';
import { UnpackedSource } from '@keelos/as-core/delta-source.ts';
import { CoreError } from '@keelos/as-core/status.ts';
import { CoreWorkers } from '@keelos/as-core/workers.ts';
import { signManifest } from '@keelos/proto/bundle-signature.ts';
import { DELTA_SIGNATURE_CONTEXT } from '@keelos/proto/delta.ts';
import { encodeDeltaManifest, encodePlan } from '@keelos/proto/delta-writer.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import { type DeltaContents, deltaBytes, deltaManifest } from '../core/delta-assembly.ts';
import { keptCopies, unlikePieces } from '../core/delta-copies.ts';
import { type Draft, draftPieces, type Side, withLiterals } from '../core/delta-draft.ts';
import { levelOf } from '../core/delta-level.ts';
import type { DeltaReport, DeltaRequest, DeltaStep, MakeDelta } from '../core/delta-report.ts';
import { literalBytes, patchedPieces, planSteps } from '../core/delta-steps.ts';
import { type DeltaInput, readDeltaInput } from '../sys/delta-input.ts';
import { readPrivateKey } from '../sys/key-files.ts';
import { writeSynced } from '../sys/synced-file.ts';
import { codeBytes, matchBytes } from './delta-coding.ts';
import { MadeFrames, packWith, type UnpackedPiece, unmadePieces } from './delta-encode.ts';
import { bytesSource, proveDelta } from './delta-prove.ts';

/** Most that the generator takes unless it is told. */
export const MAX_MEMORY_BYTES = 4 * 2 ** 30;
/** Both sides are held packed and, in part, unpacked; the matcher's index comes on top. */
const COPIES_OF_INPUT = 8;

/** See {@link MakeDelta}. */
export const makeDelta: MakeDelta = async (request) => {
  const startedMs = performance.now();
  const workers = new CoreWorkers(Math.min(availableParallelism(), 8));
  try {
    const { maxMemoryBytes = MAX_MEMORY_BYTES } = request;
    const bytesMax = Math.floor(maxMemoryBytes / COPIES_OF_INPUT);
    const old = await readDeltaInput(request.oldPath, { bytesMax });
    const target = await readDeltaInput(request.newPath, { bytesMax });
    checkPair(old, target);
    const frames = new MadeFrames();
    const packer = packWith(workers);
    const contents = await contentsOf({ request, old, target, packer, frames });
    const delta = await signed(contents, request.keys ?? []);
    const generateMs = performance.now() - startedMs;
    // What an encoder makes of the same bytes is the same: it need not be asked a second time.
    const proving = { delta, old, target, packer: frames.packer(packer) };
    const report = await proveDelta({
      ...proving,
      signal: request.signal,
      onProgress: progressOf(request, 'prove'),
    });
    const applyMs = performance.now() - startedMs - generateMs;
    await writeSynced(request.out, async (file) => void (await file.write(delta)));
    const made: DeltaReport = {
      path: request.out,
      from: old.version,
      to: target.version,
      deltaBytes: delta.length,
      fullBytes: target.fileBytes,
      sha256: createHash('sha256').update(delta).digest('hex'),
      copiedBytes: report.copiedBytes,
      packedBytes: report.packedBytes,
      literalBytes: report.literalBytes,
      generateMs: Math.round(generateMs),
      applyMs: Math.round(applyMs),
    };
    return made;
  } finally {
    await workers.close();
  }
};

function progressOf(request: DeltaRequest, step: DeltaStep) {
  return (fraction: number) => request.onProgress?.({ step, fraction });
}

/** @throws KeelError E_IMAGE_INVALID when they are no pair */
function checkPair(old: DeltaInput, target: DeltaInput): void {
  const subject = `Cannot make delta from ${old.path} to ${target.path}`;
  if ((old.tail === undefined) !== (target.tail === undefined)) {
    throw new KeelError('E_IMAGE_INVALID', `${subject}: one is a bundle, the other is none`);
  }
  const [from, to] = [old.tail?.manifest, target.tail?.manifest];
  if (from?.arch !== to?.arch) {
    const reason = `one is for ${from?.arch}, the other for ${to?.arch}`;
    throw new KeelError('E_IMAGE_INVALID', `${subject}: ${reason}`);
  }
}

interface Making {
  readonly request: DeltaRequest;
  readonly old: DeltaInput;
  readonly target: DeltaInput;
  readonly packer: Packer;
  readonly frames: MadeFrames;
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

async function contentsOf(making: Making): Promise<DeltaContents> {
  const { request, old, target, packer } = making;
  const [from, to] = [await openSide(old), await openSide(target)];
  const level = levelOf(to);
  const { drafts, patch, patchedBytes } = await drafted(making, { from, to, level });
  const steps = planSteps(to, { drafts, dataBytes: target.side.dataBytes });
  progressOf(request, 'code')(1);
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
  const { request, packer, frames } = making;
  const { from, to, level } = sides;
  const first = draftPieces(from, to);
  const contents = patchedPieces(first).map(({ piece }): UnpackedPiece => {
    return { piece, content: contentOf(to, piece) };
  });
  const unmade = await unmadePieces(contents, {
    ...{ target: to, level, packer, frames },
    signal: request.signal,
    onProgress: progressOf(request, 'read'),
  });
  const second = withLiterals(first, (piece) => unmade.has(piece));
  const oldBytes = new Uint8Array(from.unpacked.sizeBytes);
  from.unpacked.read(0, oldBytes);
  const { maxMemoryBytes } = request;
  const all = patchedOf(to, second);
  const input = { old: oldBytes, patched: all.bytes, maxMemoryBytes };
  const copies = await matchBytes(input);
  progressOf(request, 'match')(1);
  request.signal?.throwIfAborted();
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

async function signed(contents: DeltaContents, keys: readonly string[]): Promise<Buffer> {
  const manifest = deltaManifest(contents);
  const bytes = encodeDeltaManifest(manifest);
  const signatures = [];
  for (const path of keys) {
    signatures.push(signManifest(bytes, await readPrivateKey(path), DELTA_SIGNATURE_CONTEXT));
  }
  return deltaBytes(contents, { manifest, signatures });
}
