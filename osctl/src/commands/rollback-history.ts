/** osctl rollback history */
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import {
  ListRollbackHistoryResponseSchema,
  type UpdateHistoryEntry,
  UpdateHistoryEntrySchema,
  UpdateService,
} from '@keelos/proto/gen/keel/v1/update_pb.js';
import { toPlain } from '../core/plain.ts';
import { formatTime } from '../core/quantity.ts';
import { type Column, factLines, tableLines, type View } from '../core/render.ts';
import { outcomeText, releaseText } from '../core/update-text.ts';
import { type Command, countOption, type Outcome, withNode } from '../shell/invocation.ts';

const SHOW = 'show';

function timeText(time: UpdateHistoryEntry['started']): string {
  return time === undefined ? '' : formatTime(timestampDate(time));
}

function whoText({ automatic, who }: UpdateHistoryEntry): string {
  return automatic ? 'automatic' : who;
}

const COLUMNS: Column<UpdateHistoryEntry>[] = [
  { header: 'id', value: ({ id }) => id },
  { header: 'started', value: ({ started }) => timeText(started) },
  { header: 'kind', value: ({ kind }) => kind },
  { header: 'from', value: ({ from }) => releaseText(from) },
  { header: 'to', value: ({ to }) => releaseText(to) },
  { header: 'outcome', value: outcomeText },
  { header: 'who', value: whoText },
  { header: 'cause or reason', value: ({ cause, reason }) => cause || reason },
];

function entryView(entry: UpdateHistoryEntry): View {
  const { evidence } = entry;
  const facts = factLines([
    ['id', entry.id],
    ['kind', entry.kind],
    ['who', whoText(entry)],
    ['reason', entry.reason],
    ['from', releaseText(entry.from)],
    ['to', releaseText(entry.to)],
    ['root hash', entry.to?.rootHash ?? ''],
    ['started', timeText(entry.started)],
    ['ended', timeText(entry.ended)],
    ['outcome', outcomeText(entry)],
    ['cause', entry.cause],
    ['error', entry.errorCode],
    ['evidence', evidence.flatMap((text) => text.split('\n'))],
  ]);
  return { data: toPlain(UpdateHistoryEntrySchema, entry), lines: facts };
}

function shown(entries: readonly UpdateHistoryEntry[], id: string): Outcome {
  const entry = entries.find((one) => one.id === id);
  if (entry !== undefined) return { view: entryView(entry) };
  throw new KeelError('E_NOT_FOUND', `Cannot show ${id}: the history has no entry of that id`, {
    hint: 'osctl rollback history shows the ids.',
  });
}

/** The id that is to be shown; undefined for the list. */
function wantedId([word, id]: readonly string[]): string | undefined {
  if (word === undefined) return undefined;
  if (id !== undefined) return id;
  throw new KeelError('E_USAGE', 'Cannot show an entry of the history: there is no id', {
    hint: 'osctl rollback history shows the ids.',
  });
}

/** The command. */
export const rollbackHistoryCommand: Command = {
  name: 'history',
  summary: 'Show updates and rollbacks: who, when, from, to, and why',
  description:
    'The newest stands first. "automatic" means that nobody asked for it: the node went back by itself. With show and an id, one entry with its evidence: the last lines of the console, findings of checks, messages of a crash.',
  arguments: [
    { name: SHOW, description: 'show one entry', optional: true, choices: [SHOW] },
    { name: 'id', description: 'id of the entry', optional: true },
  ],
  options: [
    {
      flags: '--limit <number>',
      description: 'at most this many entries; all that the node keeps when absent',
      kind: 'count',
    },
  ],
  examples: [
    { command: 'osctl rollback history', does: 'All that the node keeps' },
    {
      command:
        "osctl rollback history show $(osctl rollback history -o json | jq -r '.entries[0].id')",
      does: 'The newest entry with its evidence',
    },
  ],
  run: (invocation) => {
    const id = wantedId(invocation.arguments);
    const limit = id === undefined ? (countOption(invocation, 'limit') ?? 0) : 0;
    return withNode(invocation, async ({ client }) => {
      const answer = await client.call(UpdateService.method.listRollbackHistory, { limit });
      if (id !== undefined) return shown(answer.entries, id);
      const none = ['There was no update or rollback yet.'];
      const lines = answer.entries.length === 0 ? none : tableLines(COLUMNS, answer.entries);
      return { view: { data: toPlain(ListRollbackHistoryResponseSchema, answer), lines } };
    });
  },
};
