/** docs/reference/errors.md from the error table. */
import type { BundleFault } from '../bundle-faults.data.ts';
import { BUNDLE_FAULTS } from '../bundle-faults.data.ts';
import type { ErrorRow } from '../errors.ts';
import { ERRORS, ExitCode, GrpcStatus } from '../errors.ts';
import { EXIT_MEANING } from '../exit-meaning.ts';
import { escapeText, pageHead, table } from './markdown.ts';

/** The page. */
export function errorsPage(): string {
  const rows: [string, ErrorRow][] = Object.entries(ERRORS);
  const codesOf = (exit: number) =>
    rows
      .filter(([, row]) => row.exit === exit)
      .map(([code]) => `[${code}](#${code.toLowerCase()})`);
  return [
    ...pageHead('Errors', 'proto/src/errors.ts'),
    'Every error that KeelOS reports on purpose has a code. `osctl` prints `osctl: Cannot …: reason` and a `hint:` line on',
    'standard error, and ends with the exit code of the table; with `-o json` it prints one object',
    '`{"error":{"code","message","hint","details"}}`. Over gRPC a `keel.v1.ErrorDetail` comes with the status, in the trailing',
    'metadata key `keel-error-bin` (see [the API](api.md#errordetail)). A code never changes its meaning.',
    '',
    '## Exit codes',
    '',
    ...table(
      ['Exit code', 'Name', 'Meaning', 'Errors'],
      exitNames().map((name) => [
        String(ExitCode[name]),
        name,
        EXIT_MEANING[name],
        codesOf(ExitCode[name]).join(' '),
      ]),
    ),
    '## Bundles that are refused',
    '',
    'All but a damaged part is found before anything is written. What is written of a damaged part lies in a slot that no',
    'boot-loader entry names: the running release stays what boots. `keel-image verify --trust` finds all but the last two',
    'on the build server.',
    '',
    ...table(
      ['What is wrong with the bundle', 'Error', 'Exit code'],
      Object.values(BUNDLE_FAULTS).map(faultRow),
    ),
    '## Codes',
    '',
    ...rows.flatMap(([code, row]) => [
      `### ${code}`,
      '',
      escapeText(row.meaning),
      '',
      `* What to do: ${escapeText(row.hint)}`,
      `* gRPC status: ${statusName(row.status)} (${row.status}). Exit code: ${row.exit}.`,
      '',
    ]),
  ].join('\n');
}

function faultRow({ fault, codes }: BundleFault): string[] {
  const links = codes.map((code) => `[${code}](#${code.toLowerCase()})`);
  return [fault, links.join(' or '), codes.map((code) => ERRORS[code].exit).join(' or ')];
}

function exitNames(): (keyof typeof ExitCode)[] {
  return Object.keys(ExitCode) as (keyof typeof ExitCode)[];
}

function statusName(status: number): string {
  const entry = Object.entries(GrpcStatus).find(([, value]) => value === status);
  return entry?.[0] ?? '';
}
