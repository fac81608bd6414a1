/** osctl diff */
import { countOf } from '../core/quantity.ts';
import { changesView, FILE_OPTION, sendDocument } from '../shell/config-document.ts';
import type { Command } from '../shell/invocation.ts';

/** The command. */
export const diffCommand: Command = {
  name: 'diff',
  summary: "Show what a document would change in the node's configuration",
  description:
    'The node compares; nothing is stored. Exits with 0 whether something differs or not.',
  options: [FILE_OPTION],
  examples: [
    { command: 'osctl diff -f node.yaml', does: 'Every setting that differs' },
    { command: "osctl diff -f node.yaml -o json | jq '.changes | length'", does: 'How many' },
  ],
  run: async (invocation) => {
    const answer = await sendDocument(invocation, { dryRun: true });
    const count = answer.changes.length;
    const closing =
      count === 0
        ? `Nothing differs from revision ${answer.revision}, which is in force.`
        : `${countOf(count, 'setting')} would change.`;
    return { view: changesView(answer, closing) };
  },
};
