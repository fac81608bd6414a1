/** From the command tree to a parser, and from its result to the run of one command. */
import { KeelError } from '@keelos/proto/errors.ts';
import {
  Argument,
  CommanderError,
  InvalidArgumentError,
  Option,
  Command as Parser,
} from 'commander';
import {
  type ArgumentSpec,
  type Example,
  GLOBAL_OPTIONS,
  isGroup,
  type OptionSpec,
  type TreeSpec,
} from '../core/command-spec.ts';
import { parseDuration } from '../core/duration.ts';
import { OUTPUT_FORMATS, type OutputFormat } from '../core/render.ts';
import type { GlobalValues, OptionValues, Run } from './invocation.ts';

const COUNT_MAX = 1_000_000;
const HELP_COLUMNS = 100;

/** A command that was found on the command line. */
export interface Parsed {
  readonly run: Run;
  readonly arguments: readonly string[];
  readonly options: OptionValues;
  readonly globals: GlobalValues;
  /** Value of --config. */
  readonly configPath: string | undefined;
}

/** Help or a version number was asked for and has been printed. */
export interface Printed {
  readonly printed: true;
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d{1,7}$/.test(text) || count > COUNT_MAX) {
    throw new InvalidArgumentError(`It is not a number from 0 to ${COUNT_MAX}.`);
  }
  return count;
}

function optionOf(spec: OptionSpec): Option {
  const option = new Option(spec.flags, spec.description);
  if (spec.choices !== undefined) option.choices(spec.choices);
  if (spec.required === true) option.makeOptionMandatory();
  if (spec.kind === 'count') option.argParser(parseCount);
  return option;
}

function argumentOf(spec: ArgumentSpec): Argument {
  const notation = spec.optional === true ? `[${spec.name}]` : `<${spec.name}>`;
  const result = new Argument(notation, spec.description);
  return spec.choices === undefined ? result : result.choices(spec.choices);
}

function examplesText(examples: readonly Example[]): string {
  const lines = examples.map(({ command, does }) => `  ${command}\n      ${does}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

function globalsOf(values: Record<string, unknown>): GlobalValues {
  const text = (key: string) =>
    typeof values[key] === 'string' ? (values[key] as string) : undefined;
  const timeout = text('timeout');
  return {
    output: (text('output') ?? 'table') as OutputFormat,
    ...(text('context') === undefined ? {} : { context: text('context') as string }),
    ...(text('endpoint') === undefined ? {} : { endpoint: text('endpoint') as string }),
    ...(timeout === undefined ? {} : { timeoutMs: parseDuration(timeout) }),
  };
}

function build(spec: TreeSpec<Run>, parser: Parser, found: (parsed: Parsed) => void): Parser {
  parser.description([spec.summary, spec.description ?? ''].filter(Boolean).join('.\n\n'));
  parser.summary(spec.summary).helpOption('-h, --help', 'show this help').helpCommand(false);
  parser.configureHelp({ showGlobalOptions: true, helpWidth: HELP_COLUMNS });
  if (isGroup(spec)) {
    for (const child of spec.commands) build(child, parser.command(child.name), found);
    return parser;
  }
  for (const one of spec.arguments ?? []) parser.addArgument(argumentOf(one));
  for (const one of spec.options ?? []) parser.addOption(optionOf(one));
  parser.addHelpText('after', examplesText(spec.examples));
  parser.action(() => {
    const all: Record<string, unknown> = parser.optsWithGlobals();
    found({
      run: spec.run,
      arguments: parser.args,
      options: parser.opts(),
      globals: globalsOf(all),
      configPath: typeof all.config === 'string' ? all.config : undefined,
    });
  });
  return parser;
}

function configure(
  parser: Parser,
  write: { readonly out: (text: string) => void; readonly failed: (parser: Parser) => void },
): void {
  const stop = (error: CommanderError) => {
    write.failed(parser);
    throw error;
  };
  parser.exitOverride(stop).configureOutput({
    writeOut: write.out,
    // Messages of the parser are thrown as errors and printed like every other error.
    writeErr: () => undefined,
    outputError: () => undefined,
  });
  for (const child of parser.commands) configure(child, write);
}

/** The words that lead to a command: "osctl get config". */
function pathOf(parser: Parser): string {
  return parser.parent === null ? parser.name() : `${pathOf(parser.parent)} ${parser.name()}`;
}

function usageError(error: CommanderError, parser: Parser): KeelError {
  const reason = error.message.replace(/^error: /, '').replace('(outputHelp)', 'no command given');
  const [first = '', ...more] = reason.split('\n');
  const names = parser.commands.map((command) => command.name());
  const commands = names.length === 0 ? '' : `The commands are ${names.join(', ')}. `;
  const meant = more.length > 0 ? ` ${more.join(' ')}` : '';
  return new KeelError('E_USAGE', `Cannot understand the command line: ${first}${meant}`, {
    hint: `${commands}See ${pathOf(parser)} --help.`,
  });
}

/**
 * Finds the command in `args` (without program name). Help and version go to `write.out`.
 *
 * @throws KeelError E_USAGE
 */
export function parseCommandLine(
  { root, version, args }: { root: TreeSpec<Run>; version: string; args: readonly string[] },
  write: { readonly out: (text: string) => void },
): Parsed | Printed {
  let parsed: Parsed | undefined;
  let failed: Parser | undefined;
  const parser = build(root, new Parser(root.name), (found) => {
    parsed = found;
  });
  for (const spec of GLOBAL_OPTIONS) parser.addOption(optionOf(spec));
  parser.version(version, '-V, --version', 'show the release of osctl');
  const noteFailed = (one: Parser) => {
    failed = one;
  };
  configure(parser, { out: write.out, failed: noteFailed });
  try {
    parser.parse([...args], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { printed: true };
    throw usageError(error, failed ?? parser);
  }
  if (parsed === undefined) throw new TypeError('the parser found no command');
  return parsed;
}

/** The output format that `args` ask for, as far as it can be told from a command line that may be wrong. */
export function guessOutput(args: readonly string[]): OutputFormat {
  const joined = args.map((arg, index) => {
    if (arg === '-o' || arg === '--output') return args[index + 1] ?? '';
    return /^(?:-o|--output=)(.+)$/.exec(arg)?.[1] ?? '';
  });
  return OUTPUT_FORMATS.find((format) => joined.includes(format)) ?? 'table';
}
