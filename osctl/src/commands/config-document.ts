/** What apply, diff and get config share: the document and the list of changes. */
import {
  type ApplyConfigResponse,
  ApplyConfigResponseSchema,
  ChangeEffect,
  type ConfigChange,
  ConfigChangeSchema,
} from '@keelos/proto/gen/keel/v1/config_pb.js';
import type { OptionSpec } from '../core/command-spec.ts';
import { type PlainObject, toPlain } from '../core/plain.ts';
import { type Column, tableLines, type View } from '../core/render.ts';
import { type Invocation, textOption } from '../shell/invocation.ts';

/** Largest configuration that a node accepts, in bytes. */
export const DOCUMENT_BYTES_MAX = 262_144;

/** The option that names the document. */
export const FILE_OPTION: OptionSpec = {
  flags: '-f, --file <path>',
  description: 'YAML document, or - for standard input',
  required: true,
  completion: 'file',
};

/** The document that -f names, with the path as it was given. */
export async function readDocument(
  invocation: Invocation,
): Promise<{ readonly path: string; readonly yaml: string }> {
  const path = textOption(invocation, 'file') ?? '-';
  const yaml = await invocation.host.terminal.readInput(path, {
    sizeBytesMax: DOCUMENT_BYTES_MAX,
    what: 'the configuration',
  });
  return { path, yaml };
}

const COLUMNS: Column<ConfigChange>[] = [
  { header: 'setting', value: (change) => change.path },
  { header: 'old', value: ({ oldJson }) => (oldJson === '' ? '(absent)' : oldJson) },
  { header: 'new', value: ({ newJson }) => (newJson === '' ? '(absent)' : newJson) },
  {
    header: 'in force',
    value: ({ effect }) => (effect === ChangeEffect.REBOOT ? 'after a reboot' : 'at once'),
  },
];

/** A change as plain data; a setting that is absent before or after is null there. */
function changeData(change: ConfigChange): PlainObject {
  const { oldJson, newJson } = change;
  const plain = toPlain(ConfigChangeSchema, change);
  return { ...plain, oldJson: oldJson || null, newJson: newJson || null };
}

/** The changes as a view; `closing` is the last line. */
export function changesView(answer: ApplyConfigResponse, closing: string): View {
  const table = answer.changes.length === 0 ? [] : [...tableLines(COLUMNS, answer.changes), ''];
  const data = {
    ...toPlain(ApplyConfigResponseSchema, answer),
    changes: answer.changes.map(changeData),
  };
  return { data, lines: [...table, closing] };
}
