/**
 * Reads the commands that a Markdown page shows. Pure.
 *
 * The convention (CONTRIBUTING.md repeats it for writers):
 *
 *     ```sh               each command must exit with 0
 *     ```sh exit=7        the last command must exit with exactly 7
 *     ```sh last          ends or resets the node: run after all other blocks
 *     ```sh follow        never ends by itself: must print something, then it is stopped
 *     ```sh norun=reason  not run; the reason is one of NORUN_REASONS
 *     ```sh tested-by=x   not run here: the test at path x runs these commands
 *     ```yaml file=x.yaml written to that file before the commands that follow
 *
 * Every other fence is output or an example in another language and is not run.
 */

/** Why a block may be left out. Anything else is an error in the page. */
export const NORUN_REASONS = [
  'npm-test-itself',
  'needs-hardware',
  'needs-another-machine',
  'not-yet',
] as const;

/** One fence that the test acts on. */
export interface Block {
  readonly page: string;
  /** Line of the opening fence, from 1. */
  readonly line: number;
  readonly kind: 'run' | 'follow' | 'file';
  readonly text: string;
  /** Expected exit status of the last command. */
  readonly exit: number;
  readonly isLast: boolean;
  /** Name of the file to write, for kind "file". */
  readonly file: string;
}

/** A fence whose commands another test runs. */
export interface Claim {
  /** Page and line. */
  readonly where: string;
  /** Path of the test from the root of the checkout. */
  readonly test: string;
  /** The commands. */
  readonly text: string;
}

/** What a page shows: blocks to act on, what others test, and what is wrong with the page itself. */
export interface Page {
  readonly blocks: readonly Block[];
  readonly claims: readonly Claim[];
  readonly problems: readonly string[];
}

const FENCE = /^(\s*)(`{3,}|~{3,})\s*(.*)$/;
const SHELL_WORDS = new Set(['sh', 'bash', 'shell', 'console', 'zsh']);
const FILE_NAME = /^[a-z0-9][a-z0-9.-]*$/;

/** Reads a page. Never throws: problems are returned with page and line. */
export function readPage(page: string, markdown: string): Page {
  const blocks: Block[] = [];
  const claims: Claim[] = [];
  const problems: string[] = [];
  let open:
    | { line: number; fence: string; info: string; indent: string; body: string[] }
    | undefined;
  for (const [index, text] of markdown.split('\n').entries()) {
    const match = FENCE.exec(text);
    if (open === undefined) {
      if (match === null) continue;
      const [, indent = '', fence = '', info = ''] = match;
      open = { line: index + 1, fence, info: info.trim(), indent, body: [] };
    } else if (match !== null && match[2]?.startsWith(open.fence) === true && match[3] === '') {
      const { line, info, body } = open;
      const test = / tested-by=(\S+)$/.exec(` ${info}`)?.[1];
      const block = toBlock({ page, line, info, text: body.join('\n') }, problems);
      if (test !== undefined)
        claims.push({ where: `${page}:${line}`, test, text: body.join('\n') });
      else if (block !== undefined) blocks.push(block);
      open = undefined;
    } else {
      open.body.push(text.startsWith(open.indent) ? text.slice(open.indent.length) : text);
    }
  }
  if (open !== undefined) problems.push(`${page}:${open.line}: the fence is not closed`);
  return { blocks, claims, problems };
}

function toBlock(
  of: { page: string; line: number; info: string; text: string },
  problems: string[],
): Block | undefined {
  const where = `${of.page}:${of.line}`;
  const [language = '', ...words] = of.info.split(/\s+/);
  const base = { page: of.page, line: of.line, text: of.text, exit: 0, isLast: false, file: '' };
  const fileWord = words.find((word) => word.startsWith('file='));
  if (fileWord !== undefined) {
    const file = fileWord.slice('file='.length);
    if (FILE_NAME.test(file)) return { ...base, kind: 'file', file };
    problems.push(`${where}: "${file}" is not a plain file name`);
    return undefined;
  }
  if (!SHELL_WORDS.has(language)) return undefined;
  if (language !== 'sh') {
    problems.push(`${where}: commands stand in a fence called sh, not ${language}`);
    return undefined;
  }
  let block: Block = { ...base, kind: 'run' };
  for (const word of words) {
    const exit = /^exit=(\d{1,3})$/.exec(word)?.[1];
    const reason = /^norun=(.+)$/.exec(word)?.[1];
    if (exit !== undefined) block = { ...block, exit: Number(exit) };
    else if (/^tested-by=\S+$/.test(word)) continue;
    else if (word === 'last') block = { ...block, isLast: true };
    else if (word === 'follow') block = { ...block, kind: 'follow' };
    else if (reason !== undefined && NORUN_REASONS.some((known) => known === reason)) {
      return undefined;
    } else {
      problems.push(
        `${where}: "${word}" means nothing (NORUN_REASONS: ${NORUN_REASONS.join(', ')})`,
      );
    }
  }
  if (/^\s*\$ /m.test(of.text))
    problems.push(`${where}: commands are written without a "$ " prompt`);
  return block;
}
