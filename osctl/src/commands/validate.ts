/** osctl validate */
import type { ConfigProblem } from '@keelos/proto/config-problem.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { Plain } from '../core/plain.ts';
import { countOf } from '../core/quantity.ts';
import {
  checkDocument,
  documentName,
  FILE_OPTION,
  problemLines,
  readDocument,
} from '../shell/config-document.ts';
import type { Command } from '../shell/invocation.ts';

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
