/** osctl verify */
import { durationMs } from '@bufbuild/protobuf/wkt';
import { formatBytes } from '@keelos/proto/byte-text.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type BadBlock,
  DiagnosticsService,
  SlotChoice,
  type SlotReport,
  SlotReportSchema,
  SlotVerdict,
  SlotVerdictSchema,
  type VerifyProgress,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { SlotSchema } from '@keelos/proto/gen/keel/v1/system_pb.js';
import { formatDuration } from '../core/duration.ts';
import { enumName, toPlain } from '../core/plain.ts';
import { formatSpeed, progressText } from '../core/progress.ts';
import { type Column, factLines, tableLines, type View } from '../core/render.ts';
import {
  type Command,
  type Invocation,
  textOption,
  WAIT_TIMEOUT_MS,
  withNode,
} from '../shell/invocation.ts';
import { progressLine } from '../shell/progress-line.ts';

const CHOICES: Readonly<Record<string, SlotChoice>> = {
  a: SlotChoice.A,
  b: SlotChoice.B,
  running: SlotChoice.RUNNING,
  other: SlotChoice.OTHER,
};
const CHOICE_NAMES = ['A', 'B', 'running', 'other'];

const BAD_COLUMNS: Column<BadBlock>[] = [
  { header: 'level', value: ({ level }) => (level === 0 ? 'data' : `tree ${level}`) },
  { header: 'block', value: ({ block }) => String(block), align: 'right' },
  { header: 'byte of slot', value: ({ offsetBytes }) => String(offsetBytes), align: 'right' },
  { header: 'belongs to', value: ({ files }) => files.join(', ') },
];

function slotName({ slot }: SlotReport): string {
  return enumName(SlotSchema, slot).toUpperCase();
}

function viewOf(report: SlotReport): View {
  const { fileSystem, badBlocks, badBlockCount } = report;
  const elapsedMs = report.elapsed === undefined ? 0 : durationMs(report.elapsed);
  const bytes = Number(report.dataBytes + report.treeBytes);
  const walked =
    fileSystem === undefined
      ? ''
      : fileSystem.valid
        ? `well-formed: ${fileSystem.files} files, ${fileSystem.directories} directories, ${formatBytes(fileSystem.bytes)}`
        : `${fileSystem.problem} (${fileSystem.code})`;
  const lines = factLines([
    ['slot', `${slotName(report)}, ${report.running ? 'running' : 'not running'}`],
    ['device', report.device],
    ['verdict', enumName(SlotVerdictSchema, report.verdict)],
    ...(report.problem === '' ? [] : ([['note', report.problem]] as const)),
    ...(fileSystem === undefined
      ? []
      : ([
          ['expected', report.rootHashExpected],
          ['found', report.rootHashFound],
          ['known from', report.source],
          ['data', `${formatBytes(report.dataBytes)}, SHA-256 ${report.dataSha256}`],
          ['hash tree', formatBytes(report.treeBytes)],
          ['file system', walked],
          ['bad blocks', String(badBlockCount)],
        ] as const)),
    [
      'took',
      `${formatDuration(elapsedMs)}${bytes > 0 ? `, ${formatSpeed(bytes, elapsedMs)}` : ''}`,
    ],
  ]);
  const more = Number(badBlockCount) - badBlocks.length;
  return {
    data: toPlain(SlotReportSchema, report),
    lines: [
      ...lines,
      ...(badBlocks.length > 0 ? ['', ...tableLines(BAD_COLUMNS, badBlocks)] : []),
      ...(badBlocks.length > 0 && more > 0 ? [`and ${more} more`] : []),
    ],
  };
}

function failureOf(report: SlotReport): KeelError | undefined {
  const slot = `slot ${slotName(report)}`;
  const details = { device: report.device };
  if (report.verdict === SlotVerdict.DAMAGED) {
    const hint = report.running
      ? {
          hint: 'Back up what you need, write the image again, and look at osctl dmesg for disk errors.',
        }
      : {};
    return new KeelError('E_SLOT_DAMAGED', `Cannot trust ${slot}: ${report.problem}`, {
      details,
      ...hint,
    });
  }
  if (report.verdict === SlotVerdict.INTACT || report.verdict === SlotVerdict.EMPTY) {
    return undefined;
  }
  return new KeelError('E_SLOT_UNKNOWN', `Cannot verify ${slot}: ${report.problem}`, { details });
}

function choiceOf(invocation: Invocation): SlotChoice {
  const text = textOption(invocation, 'slot') ?? 'running';
  const choice = CHOICES[text.toLowerCase()];
  if (choice !== undefined) return choice;
  throw new KeelError('E_USAGE', `Cannot verify slot "${text}": there is no such slot`, {
    hint: `The slots are ${CHOICE_NAMES.join(', ')}.`,
  });
}

/** Shows progress on a terminal, on one line that goes away. Programs and files get none. */
function progressShown(invocation: Invocation) {
  const { clock } = invocation.host;
  const startedMs = clock.monotonicMs();
  const line = progressLine(invocation);
  return {
    tell: ({ doneBytes, totalBytes }: VerifyProgress) =>
      line.show(
        `verifying: ${progressText({
          doneBytes: Number(doneBytes),
          totalBytes: Number(totalBytes),
          elapsedMs: clock.monotonicMs() - startedMs,
        })}`,
      ),
    clear: () => line.clear(),
  };
}

/** The command. */
export const verifyCommand: Command = {
  name: 'verify',
  summary: 'Read a whole slot of the node and check every block of it',
  description:
    'The node reads the slot from its disk and compares every block with the hash tree, then walks the file system. Exits with 11 when the slot is damaged, and lists the bad blocks with the files that they belong to. An empty slot is no error. Gives up after 10 minutes unless --timeout is given. One verification runs at a time.',
  options: [
    {
      flags: '--slot <slot>',
      description: 'A, B, running (the default) or other: the one that the node does not run from',
      completion: CHOICE_NAMES,
    },
  ],
  examples: [
    { command: 'osctl verify', does: 'The slot that the node runs from' },
    { command: 'osctl verify --slot other', does: 'The slot that a rollback would boot' },
    {
      command: "osctl verify -o json | jq -r '.badBlocks[] | .block, .files[]'",
      does: 'Bad blocks and their files, for scripts',
    },
  ],
  run: (invocation) => {
    const slot = choiceOf(invocation);
    return withNode(invocation, async (session) => {
      const client = session.reopen(invocation.globals.timeoutMs ?? WAIT_TIMEOUT_MS);
      const progress = progressShown(invocation);
      let report: SlotReport | undefined;
      try {
        const steps = client.stream(DiagnosticsService.method.verifySlot, { slot });
        for await (const { event } of steps) {
          if (event.case === 'progress') progress.tell(event.value);
          if (event.case === 'report') report = event.value;
        }
      } finally {
        progress.clear();
        client.close();
      }
      if (report === undefined) {
        throw new KeelError('E_INTERNAL', 'Cannot verify slot: the node ended without a report');
      }
      const failure = failureOf(report);
      const view = viewOf(report);
      return failure === undefined ? { view } : { view, failure };
    });
  },
};
