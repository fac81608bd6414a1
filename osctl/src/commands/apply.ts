/** osctl apply */
import type { ApplyConfigResponse } from '@keelos/proto/gen/keel/v1/config_pb.js';
import { changesView, FILE_OPTION, sendDocument } from '../shell/config-document.ts';
import { type Command, countOption } from '../shell/invocation.ts';

function closingLine(answer: ApplyConfigResponse, dryRun: boolean): string {
  if (answer.changes.length === 0) {
    return `Nothing differs from revision ${answer.revision}, which is in force.`;
  }
  if (dryRun) {
    const reboot = answer.rebootRequired ? ' A reboot would be needed for some of it.' : '';
    return `Dry run: nothing was stored.${reboot}`;
  }
  const reboot = answer.rebootRequired ? ' Some of it waits for osctl reboot.' : '';
  return `Stored as revision ${answer.revision}.${reboot}`;
}

/** The command. */
export const applyCommand: Command = {
  name: 'apply',
  summary: "Replace the node's configuration",
  description:
    'The document is the whole configuration: a setting that it leaves out goes back to its default. Says what is in force at once and what waits for a reboot.',
  options: [
    FILE_OPTION,
    { flags: '--dry-run', description: 'check and compare only; store nothing' },
    {
      flags: '--expected-revision <number>',
      description: 'apply only when this revision is in force (see osctl get config)',
      kind: 'count',
    },
  ],
  examples: [
    { command: 'osctl apply -f node.yaml --dry-run', does: 'See what would change' },
    { command: 'osctl apply -f node.yaml', does: 'Change it' },
    { command: 'osctl get config | osctl apply -f -', does: 'From standard input' },
  ],
  run: async (invocation) => {
    const dryRun = invocation.options.dryRun === true;
    const revision = countOption(invocation, 'expectedRevision');
    const answer = await sendDocument(invocation, {
      dryRun,
      ...(revision === undefined ? {} : { expectedRevision: BigInt(revision) }),
    });
    return { view: changesView(answer, closingLine(answer, dryRun)) };
  },
};
