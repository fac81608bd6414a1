/** osctl validate */
import type { ConfigProblem } from '@keelos/proto/config-problem.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Plain } from '../core/plain.ts';
import { countOf } from '../core/quantity.ts';
import type { Command } from '../shell/invocation.ts';
import { FILE_OPTION, readDocument } from './config-document.ts';

/** Every problem of a document; empty when it is valid. Needs no node. */
export async function checkDocument(yaml: string): Promise<readonly ConfigProblem[]> {
  const { parseNodeConfig } = await import('@keelos/proto/node-config.ts');
  const result = parseNodeConfig(yaml);
  return result.ok ? [] : result.problems;
}

function documentName(path: string): string {
  return path === '-' ? 'standard input' : path;
}

/** Lines "file:line:column: path: what was found; what was expected", one a problem. */
export function problemLines(path: string, problems: readonly ConfigProblem[]): string[] {
  const name = documentName(path);
  return problems.map((problem) => {
    const where = problem.path === '' ? '' : ` ${problem.path}:`;
    const meant = problem.suggestion === undefined ? '' : `; did you mean "${problem.suggestion}"?`;
    return `${name}:${problem.line}:${problem.column}:${where} ${problem.message}; expected ${problem.expected}${meant}`;
  });
}

function problemData(problem: ConfigProblem): Plain {
  const { line, column, path, message, expected, suggestion = null } = problem;
  return { line, column, path, message, expected, suggestion };
}

/** The command. */
export const validateCommand: Command = {
  name: 'validate',
  summary: 'Check a configuration without a node',
  description:
    'Shows every problem with line and column, what was expected, and what was probably meant. Exits with 5 when there is one.',
  options: [FILE_OPTION],
  examples: [
    { command: 'osctl validate -f node.yaml', does: 'Check a file' },
    { command: 'osctl get config | osctl validate -f -', does: 'Check standard input' },
  ],
  run: async (invocation) => {
    const { path, yaml } = await readDocument(invocation);
    const problems = await checkDocument(yaml);
    const valid = problems.length === 0;
    const data = { valid, file: path, problems: problems.map(problemData) };
    const lines = valid ? [`${documentName(path)} is valid.`] : problemLines(path, problems);
    const view = { data, lines };
    if (valid) return { view };
    const failure = new KeelError(
      'E_CONFIG_INVALID',
      `Cannot accept ${documentName(path)}: ${countOf(problems.length, 'problem')}`,
      { hint: 'Mend the lines that are named, and validate again.' },
    );
    return { view, failure };
  },
};
