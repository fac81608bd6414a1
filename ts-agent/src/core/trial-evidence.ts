/**
 * Why did a trial fail? From what PID 1 and the kernel left behind to one sentence and the lines that show it.
 */
import { EVIDENCE_CHARS_MAX, EVIDENCE_MAX } from '@keelos/proto/update-record.ts';

/** What was found; empty where there was nothing. */
export interface TrialTraces {
  /** The line of PID 1 that says why it ended the trial. */
  readonly givenUp: string;
  /** End of the kernel log of a crash. */
  readonly crash: string;
  /** Last lines of kernel log and agent that PID 1 kept while the trial ran. */
  readonly console: string;
}

/** What is told of a failed trial. */
export interface TrialFindings {
  /** One sentence. */
  readonly cause: string;
  /** At most {@link EVIDENCE_MAX} pieces of {@link EVIDENCE_CHARS_MAX} characters. */
  readonly evidence: readonly string[];
}

/** Pieces of the crash and of the console; the rest is for others. */
const PIECES_MAX = 5;
const SENTENCE_CHARS_MAX = 400;
const PANIC = /Kernel panic - not syncing: (.+)/;
const TIME = /^\[\s*[\d.]+\]\s*(?:\[[^\]]*\]\s*)?/;
/** What a panic means; with `line`, when the kernel log has such a line, which says more than the panic itself. */
interface Telling {
  readonly panic: RegExp;
  readonly line?: RegExp;
  /** A line like this after it: what it tells of had passed. */
  readonly over?: RegExp;
  readonly says: string;
}
const WATCHDOG = /Software Watchdog Timer expired/;
/** The first that fits counts. */
const TELLING: readonly Telling[] = [
  {
    panic: WATCHDOG,
    line: /waiting for device/,
    over: /device-mapper: init: all devices available/,
    says: 'The kernel waited for its slot',
  },
  { panic: WATCHDOG, says: 'The system hung until its watchdog bit' },
  { panic: /Attempted to kill init/, says: 'PID 1 ended' },
  { panic: /Unable to mount root fs/, says: 'The kernel could not mount its root' },
  { panic: /dm-verity/, line: /verity: .*block \d+ is corrupted/, says: 'The root is damaged' },
];

/** Judges the traces. */
export function judgeTraces(traces: TrialTraces): TrialFindings {
  return { cause: causeOf(traces), evidence: evidenceOf(traces) };
}

function causeOf({ givenUp, crash, console }: TrialTraces): string {
  const panic = PANIC.exec(crash)?.[1]?.trim();
  if (panic !== undefined) return panicCause(panic, crash.split('\n'));
  if (crash !== '') return sentence('The kernel crashed', lastLine(crash));
  const reason = givenUp.replace(/^\d{4}-\d\d-\d\dT\S+Z /, '').trim();
  if (reason !== '') return sentence('The trial was ended', reason);
  if (console !== '') {
    return 'The machine was reset while the release was on trial, by a watchdog, a power cut or by hand.';
  }
  return 'The release left no trace: its kernel image was not loaded, or it hung or lost power before PID 1 could write.';
}

function panicCause(panic: string, lines: readonly string[]): string {
  for (const { panic: pattern, line, over, says } of TELLING) {
    if (!pattern.test(panic)) continue;
    if (line === undefined) return sentence(says, panic);
    const at = lines.findLastIndex((one) => line.test(one));
    if (at === -1 || lines.slice(at).some((one) => over?.test(one))) continue;
    return sentence(says, (lines[at] ?? '').replace(TIME, ''));
  }
  return sentence('The kernel panicked', panic);
}

function sentence(says: string, detail: string): string {
  const text = `${says}: ${detail}`.slice(0, SENTENCE_CHARS_MAX).replace(/[\s.]+$/, '');
  return `${text}.`;
}

function lastLine(text: string): string {
  const line = text.split('\n').findLast((one) => one.trim() !== '') ?? '';
  return line.replace(TIME, '');
}

function evidenceOf({ givenUp, crash, console }: TrialTraces): readonly string[] {
  const line = givenUp.trim();
  return [
    ...(line === '' ? [] : [`PID 1: ${line}`.slice(0, EVIDENCE_CHARS_MAX)]),
    ...pieces('Kernel log of the crash', crash),
    ...pieces('Console of the trial', console),
  ].slice(0, EVIDENCE_MAX);
}

/** The end of a text in pieces of whole lines, oldest first, each under its title. */
function pieces(title: string, text: string): readonly string[] {
  const room = EVIDENCE_CHARS_MAX - title.length - 8;
  const found: string[] = [];
  let piece = '';
  // From the end: what does not fit is the beginning.
  for (const line of text.split('\n').toReversed()) {
    const cut = line.slice(0, room);
    if (piece !== '' && piece.length + cut.length + 1 > room) {
      found.push(piece);
      piece = '';
      if (found.length === PIECES_MAX) break;
    }
    piece = piece === '' ? cut : `${cut}\n${piece}`;
  }
  if (piece.trim() !== '' && found.length < PIECES_MAX) found.push(piece);
  return found.reverse().map((one) => `${title}:\n${one.trimEnd()}`);
}
