/** What apply, diff and validate share: the document, its problems, and what it changes on a node. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ConfigProblem } from '@keelos/proto/config-problem.ts';
import { KeelError } from '@keelos/proto/errors.ts';
import type { ApplyConfigRequestSchema } from '@keelos/proto/gen/keel/v1/config_pb.js';
import {
  type ApplyConfigResponse,
  ApplyConfigResponseSchema,
  ChangeEffect,
  type ConfigChange,
  ConfigChangeSchema,
  ConfigService,
} from '@keelos/proto/gen/keel/v1/config_pb.js';
import { DOCUMENT_BYTES_MAX } from '@keelos/proto/stored-config.ts';
import type { OptionSpec } from '../core/command-spec.ts';
import { type PlainObject, toPlain } from '../core/plain.ts';
import { type Column, tableLines, type View } from '../core/render.ts';
import { type Invocation, textOption, withNode } from './invocation.ts';

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

/** Every problem of a document; empty when it is valid. Needs no node. */
export async function checkDocument(yaml: string): Promise<readonly ConfigProblem[]> {
  const { parseNodeConfig } = await import('@keelos/proto/node-config.ts');
  const result = parseNodeConfig(yaml);
  return result.ok ? [] : result.problems;
}

/** What a person calls the document that was read from `path`. */
export function documentName(path: string): string {
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

/**
 * Sends a document to the node. When the node finds it invalid, the problems are shown with line and column as this
 * osctl sees them.
 */
export async function sendDocument(
  invocation: Invocation,
  request: Omit<MessageInitShape<typeof ApplyConfigRequestSchema>, 'yaml' | '$typeName'>,
): Promise<ApplyConfigResponse> {
  const { path, yaml } = await readDocument(invocation);
  return await withNode(invocation, async ({ client }) => {
    try {
      return await client.call(ConfigService.method.applyConfig, { ...request, yaml });
    } catch (error) {
      if (!(error instanceof KeelError) || error.code !== 'E_CONFIG_INVALID') throw error;
      const lines = problemLines(path, await checkDocument(yaml));
      if (lines.length === 0) throw error;
      const { details, hint } = error;
      const message = `${error.message}\n${lines.map((line) => `  ${line}`).join('\n')}`;
      throw new KeelError('E_CONFIG_INVALID', message, { cause: error, details, hint });
    }
  });
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
