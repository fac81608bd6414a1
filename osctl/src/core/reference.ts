/** docs/reference/osctl.md, made from the command tree and the table of exit codes. */

import { ERRORS, ExitCode } from '@keelos/proto/errors.ts';
import { EXIT_MEANING } from '@keelos/proto/exit-meaning.ts';
import {
  type CommandSpec,
  GLOBAL_OPTIONS,
  isGroup,
  type OptionSpec,
  optionNames,
  type TreeSpec,
  walk,
} from './command-spec.ts';

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

/** "[options] SERVICE", as shown in the synopsis of a command. */
export function synopsis(path: readonly string[], spec: TreeSpec): string {
  if (isGroup(spec)) return `${path.join(' ')} COMMAND`;
  const required = (spec.options ?? [])
    .filter((option) => option.required === true)
    .map((option) =>
      `${optionNames(option.flags).long} ${(optionNames(option.flags).value ?? '').toUpperCase()}`.trim(),
    );
  const positional = (spec.arguments ?? []).map((argument) => {
    const name = argument.name.toUpperCase();
    return argument.optional === true ? `[${name}]` : name;
  });
  return [...path, ...required, ...positional, '[options]'].join(' ');
}

function optionTable(options: readonly OptionSpec[]): string[] {
  return [
    '| option | meaning |',
    '| --- | --- |',
    ...options.map(({ flags, description, choices, required }) => {
      const values = choices === undefined ? '' : ` One of ${choices.join(', ')}.`;
      return `| \`${flags}\` | ${cell(description)}.${values}${required === true ? ' Required.' : ''} |`;
    }),
  ];
}

function commandSection(path: readonly string[], spec: CommandSpec): string[] {
  const positional = (spec.arguments ?? []).map((argument) => {
    const choices = argument.choices === undefined ? '' : ` One of ${argument.choices.join(', ')}.`;
    return `| \`${argument.name.toUpperCase()}\` | ${cell(argument.description)}.${choices} |`;
  });
  return [
    `### ${path.join(' ')}`,
    '',
    `${spec.summary}.${spec.description === undefined ? '' : ` ${spec.description}`}`,
    '',
    '```text',
    synopsis(path, spec),
    '```',
    '',
    ...(positional.length > 0
      ? ['| argument | meaning |', '| --- | --- |', ...positional, '']
      : []),
    ...(spec.options !== undefined && spec.options.length > 0
      ? [...optionTable(spec.options), '']
      : []),
    'Examples:',
    '',
    '```sh',
    ...spec.examples.flatMap(({ command, does }) => [`# ${does}`, command]),
    '```',
    '',
  ];
}

function exitCodeSection(): string[] {
  const names = Object.keys(ExitCode) as (keyof typeof ExitCode)[];
  return [
    '## Exit codes',
    '',
    '| code | meaning | errors |',
    '| --- | --- | --- |',
    ...names.map((name) => {
      const codes = Object.entries(ERRORS)
        .filter(([, row]) => row.exit === ExitCode[name])
        .map(([code]) => `\`${code}\``);
      return `| ${ExitCode[name]} | ${EXIT_MEANING[name]} | ${codes.join(' ')} |`;
    }),
    '',
  ];
}

const OUTPUT_SECTION = [
  '## Output',
  '',
  'Answers go to stdout, warnings and errors to stderr. `-o json` and `-o yaml` print the same data with the same names. Names are those of the [API](api.md) in camelCase; a',
  'duration is a number of seconds under a name that ends in `Seconds`, a time is ISO 8601 in UTC, an absent value is `null`, the mode of a file is octal text such as `"0755"`. Fields are added, never renamed or removed, within one major release.',
  'A stream (`logs`, `dmesg`) prints one JSON object a line, or one YAML document a line.',
  '',
  'An error is printed as `osctl: Cannot …: reason` with a `hint:` line. With `-o json` it is one line `{"error":{"code","message","hint","details"}}`, and a warning `{"warning":{"message"}}`.',
  '',
  '## Contexts',
  '',
  'A context is a node with what it takes to talk to it: endpoint, the pinned server certificate, your certificate and key. Contexts live in one YAML file with mode 0600: `--config`, else `$OSCTL_CONFIG`, else',
  '`$XDG_CONFIG_HOME/keelos/osctl.yaml`, else `~/.config/keelos/osctl.yaml`. A file that others can read is refused. The node is recognised by its certificate alone; its name does not matter. Proxies from the environment are not used.',
  '',
];

/** The whole page. */
export function referencePage(root: TreeSpec): string {
  const commands = walk(root).filter((visited) => !isGroup(visited.spec));
  return [
    '<!-- Made from the command tree by osctl/src/reference-doc.ts. Do not edit. -->',
    '# osctl',
    '',
    `${root.description ?? root.summary}`,
    '',
    '## Options of every command',
    '',
    ...optionTable(GLOBAL_OPTIONS),
    '',
    ...OUTPUT_SECTION,
    ...exitCodeSection(),
    '## Commands',
    '',
    '| command | what it does |',
    '| --- | --- |',
    ...commands.map(({ path, spec }) => {
      const name = path.join(' ');
      return `| [${name}](#${name.replaceAll(' ', '-')}) | ${cell(spec.summary)} |`;
    }),
    '',
    ...commands.flatMap(({ path, spec }) => (isGroup(spec) ? [] : commandSection(path, spec))),
  ]
    .join('\n')
    .trimEnd()
    .concat('\n');
}
