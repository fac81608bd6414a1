/** The command tree as data: the parser, the help, the completion scripts and the reference page are made from it. */

/** How the value of an option or argument is completed. */
export type Completion = 'file' | 'context' | 'none' | readonly string[];

/** One option. */
export interface OptionSpec {
  /** In commander's notation: "-f, --file <path>", "--wait". */
  readonly flags: string;
  readonly description: string;
  readonly required?: true;
  /** The only values that are accepted. */
  readonly choices?: readonly string[];
  /** "count": an integer from 0 to 1,000,000. */
  readonly kind?: 'count';
  readonly completion?: Completion;
}

/** One positional argument. */
export interface ArgumentSpec {
  readonly name: string;
  readonly description: string;
  readonly optional?: true;
  readonly choices?: readonly string[];
  readonly completion?: Completion;
}

/** An example of use. */
export interface Example {
  readonly command: string;
  readonly does: string;
}

/** What every node of the tree has. */
interface Described {
  readonly name: string;
  /** One line, no full stop at the end. */
  readonly summary: string;
  /** Sentences below the summary in help and reference. */
  readonly description?: string;
}

/** A command that does something. `Run` is opaque here. */
export interface CommandSpec<Run = unknown> extends Described {
  readonly arguments?: readonly ArgumentSpec[];
  readonly options?: readonly OptionSpec[];
  readonly examples: readonly Example[];
  readonly run: Run;
}

/** A group of commands. */
export interface GroupSpec<Run = unknown> extends Described {
  readonly commands: readonly (CommandSpec<Run> | GroupSpec<Run>)[];
}

/** Any node of the tree. */
export type TreeSpec<Run = unknown> = CommandSpec<Run> | GroupSpec<Run>;

/** True for a group. */
export function isGroup<Run>(spec: TreeSpec<Run>): spec is GroupSpec<Run> {
  return 'commands' in spec;
}

/** The parts of an option's notation. */
export interface OptionNames {
  readonly short?: string;
  readonly long: string;
  /** Name of its value; absent for a switch. */
  readonly value?: string;
  /** Key under which the parser keeps it: the long name in camelCase. */
  readonly key: string;
}

/** Takes "-f, --file <path>" apart. */
export function optionNames(flags: string): OptionNames {
  const match = /^(?:(-\w), )?(--[a-z][a-z0-9-]*)(?: <([^>]+)>)?$/.exec(flags);
  if (match === null) throw new TypeError(`option notation "${flags}"`);
  const [, short, long = '', value] = match;
  const key = long.slice(2).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
  return {
    long,
    key,
    ...(short === undefined ? {} : { short }),
    ...(value === undefined ? {} : { value }),
  };
}

/** One node with the names that lead to it, the root's included. */
export interface Visited<Run = unknown> {
  readonly path: readonly string[];
  readonly spec: TreeSpec<Run>;
}

/** Every node, parents before children, in the order of the tree. */
export function walk<Run>(spec: TreeSpec<Run>, parents: readonly string[] = []): Visited<Run>[] {
  const path = [...parents, spec.name];
  const below = isGroup(spec) ? spec.commands.flatMap((child) => walk(child, path)) : [];
  return [{ path, spec }, ...below];
}

/** Options of every command. */
export const GLOBAL_OPTIONS: readonly OptionSpec[] = [
  {
    flags: '-o, --output <format>',
    description: 'form of the output: table (the default), json or yaml',
    choices: ['table', 'json', 'yaml'],
  },
  {
    flags: '--context <name>',
    description: 'context to use instead of the current one',
    completion: 'context',
  },
  {
    flags: '--endpoint <host[:port]>',
    description: "address of the node instead of the context's; port 50051 unless given",
    completion: 'none',
  },
  {
    flags: '--timeout <duration>',
    description:
      'give up after this long, for example 30s or 2m (default: 30s; 10m with --wait; 1h for an update)',
    completion: 'none',
  },
  {
    flags: '--config <file>',
    description: 'contexts file (default: $OSCTL_CONFIG, else keelos/osctl.yaml in the XDG place)',
    completion: 'file',
  },
];
