/** osctl get config */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  type ConfigRevision,
  ConfigService,
  type GetConfigResponse,
  GetConfigResponseSchema,
} from '@keelos/proto/gen/keel/v1/config_pb.js';
import { toPlain } from '../core/plain.ts';
import { formatTime } from '../core/quantity.ts';
import { type Column, tableLines } from '../core/render.ts';
import { type Command, countOption, withNode } from '../shell/invocation.ts';

const FINGERPRINT_SHOWN = 16;

function columns(inForce: bigint): Column<ConfigRevision>[] {
  return [
    { header: 'revision', value: (one) => String(one.revision), align: 'right' },
    { header: 'in force', value: (one) => (one.revision === inForce ? 'yes' : '') },
    {
      header: 'applied',
      value: ({ time }) => (time === undefined ? '' : formatTime(timestampDate(time))),
    },
    { header: 'by', value: (one) => one.subject },
    { header: 'certificate', value: (one) => one.fingerprintSha256.slice(0, FINGERPRINT_SHOWN) },
  ];
}

function documentLines(yaml: string): string[] {
  const lines = yaml.split('\n');
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines;
}

function documentOf(answer: GetConfigResponse, revision: number | undefined): string {
  if (revision === undefined) return answer.yaml;
  const found = answer.history.find((one) => one.revision === BigInt(revision));
  if (found !== undefined) return found.yaml;
  const known = answer.history.map((one) => String(one.revision)).join(', ');
  const reason =
    known === ''
      ? 'the node keeps no revision, because nothing was ever applied'
      : `the node keeps ${answer.history.length === 1 ? 'only revision' : 'the revisions'} ${known}`;
  const hint =
    known === ''
      ? 'osctl get config without --revision shows what is in force.'
      : 'osctl get config --history shows who applied each of them, and when.';
  throw new KeelError('E_NOT_FOUND', `Cannot find revision ${revision}: ${reason}`, { hint });
}

/** The command. */
export const getConfigCommand: Command = {
  name: 'config',
  summary: "Show the node's configuration",
  description:
    'The table form is the document itself, ready for osctl apply. The node keeps the last ten.',
  options: [
    { flags: '--history', description: 'who applied what and when, instead of the document' },
    {
      flags: '--revision <number>',
      description: 'an older document instead of the one in force',
      kind: 'count',
    },
  ],
  examples: [
    { command: 'osctl get config > node.yaml', does: 'Save the document' },
    { command: 'osctl get config --history', does: 'The last ten, newest first' },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(ConfigService.method.getConfig, {});
      const yaml = documentOf(answer, countOption(invocation, 'revision'));
      const data = { ...toPlain(GetConfigResponseSchema, answer), yaml };
      if (invocation.options.history === true) {
        return { view: { data, lines: tableLines(columns(answer.revision), answer.history) } };
      }
      return { view: { data, lines: documentLines(yaml) } };
    }),
};
