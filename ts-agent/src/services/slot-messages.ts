/** A verification of a slot in the words of the API. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type {
  SlotReportSchema,
  VerifySlotResponseSchema,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { SlotChoice, SlotVerdict } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { Slot } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { VERITY_BLOCK_BYTES } from '@keelos/proto/verity-table.ts';
import { treeBytes } from '../core/slot-contents.ts';
import type { SlotReport, SlotStep } from '../shell/slot-verifier.ts';
import type { SlotWanted } from '../shell/slots.ts';

/** Most files that are named for one block. */
const FILES_MAX = 16;

const WANTED: Readonly<Record<number, SlotWanted>> = {
  [SlotChoice.UNSPECIFIED]: 'running',
  [SlotChoice.RUNNING]: 'running',
  [SlotChoice.OTHER]: 'other',
  [SlotChoice.A]: 'a',
  [SlotChoice.B]: 'b',
};
/** The message's word for a slot. */
export const SLOTS = { a: Slot.A, b: Slot.B } as const;
const VERDICTS = {
  intact: SlotVerdict.INTACT,
  damaged: SlotVerdict.DAMAGED,
  empty: SlotVerdict.EMPTY,
  unknown: SlotVerdict.UNKNOWN,
} as const;

/** The slot that a request names. @throws KeelError E_INVALID_ARGUMENT for a number that is no choice */
export function wantedSlot(choice: number): SlotWanted {
  const wanted = WANTED[choice];
  if (wanted !== undefined) return wanted;
  throw new KeelError('E_INVALID_ARGUMENT', `Cannot verify slot: there is no choice ${choice}`);
}

/** The message for a step. */
export function verifySlotResponse(
  step: SlotStep,
): MessageInitShape<typeof VerifySlotResponseSchema> {
  if (step.kind === 'report') {
    return { event: { case: 'report', value: reportMessage(step.report) } };
  }
  const { doneBytes, totalBytes } = step.progress;
  const value = { doneBytes: BigInt(doneBytes), totalBytes: BigInt(totalBytes) };
  return { event: { case: 'progress', value } };
}

function reportMessage(report: SlotReport): MessageInitShape<typeof SlotReportSchema> {
  const { partition, verified } = report;
  return {
    slot: SLOTS[partition.slot],
    running: partition.isRunning,
    device: partition.device,
    verdict: VERDICTS[report.verdict],
    problem: report.problem,
    elapsed: durationFromMs(Math.round(report.elapsedMs)),
    ...(verified === undefined ? {} : verifiedFields(verified)),
  };
}

function verifiedFields(
  verified: NonNullable<SlotReport['verified']>,
): MessageInitShape<typeof SlotReportSchema> {
  const { table, findings, bad } = verified;
  const { fileSystem } = findings;
  return {
    source: verified.source,
    rootHashExpected: verified.rootHashExpected,
    rootHashFound: verified.rootHashFound,
    dataSha256: findings.sha256,
    dataBytes: BigInt(table.dataBlocks * VERITY_BLOCK_BYTES),
    treeBytes: BigInt(treeBytes(table)),
    badBlockCount: BigInt(findings.badCount),
    badBlocks: bad.map(({ level, block, offsetBytes, files }) => ({
      level,
      block: BigInt(block),
      offsetBytes: BigInt(offsetBytes),
      files: files.slice(0, FILES_MAX),
    })),
    fileSystem: {
      valid: fileSystem.isValid,
      code: fileSystem.code,
      problem: fileSystem.problem,
      files: BigInt(fileSystem.files),
      directories: BigInt(fileSystem.directories),
      bytes: BigInt(fileSystem.bytes),
    },
  };
}
