/** Completion scripts for bash, zsh and fish, made from the command tree. */
import {
  type ArgumentSpec,
  type CommandSpec,
  type Completion,
  GLOBAL_OPTIONS,
  isGroup,
  type OptionSpec,
  optionNames,
  type TreeSpec,
  type Visited,
  walk,
} from './command-spec.ts';

/** Shells with a completion script. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
/** One of {@link SHELLS}. */
export type Shell = (typeof SHELLS)[number];

const HELP: OptionSpec = { flags: '-h, --help', description: 'show help' };
/** Prints the names of all contexts, one a line; used by the scripts. */
const LIST_CONTEXTS = 'osctl config list --names 2>/dev/null';

function optionsOf(spec: TreeSpec): OptionSpec[] {
  return [...(isGroup(spec) ? [] : (spec.options ?? [])), ...GLOBAL_OPTIONS, HELP];
}

function completionOf(spec: OptionSpec | ArgumentSpec): Completion {
  return spec.completion ?? spec.choices ?? 'none';
}

function spellings(option: OptionSpec): string[] {
  const { short, long } = optionNames(option.flags);
  return short === undefined ? [long] : [short, long];
}

/** Words that can follow a node of the tree. */
function wordsAfter(spec: TreeSpec): string[] {
  const options = optionsOf(spec).map((option) => optionNames(option.flags).long);
  if (isGroup(spec)) return [...spec.commands.map((child) => child.name), ...options];
  const choices = (spec.arguments ?? []).flatMap((argument) => argument.choices ?? []);
  return [...choices, ...options];
}

function takesContext(spec: TreeSpec): boolean {
  return (
    !isGroup(spec) &&
    completionOf(spec.arguments?.[0] ?? { name: '', description: '' }) === 'context'
  );
}

/** Every option with a value in the tree, once. */
function valueOptions(nodes: readonly Visited[]): OptionSpec[] {
  const all = nodes.flatMap(({ spec }) => optionsOf(spec));
  const byFlags = new Map(all.map((option) => [option.flags, option]));
  return [...byFlags.values()].filter((option) => optionNames(option.flags).value !== undefined);
}

function bashValueCase(option: OptionSpec): string {
  const completion = completionOf(option);
  const pattern = spellings(option).join('|');
  if (completion === 'file')
    return `    ${pattern}) COMPREPLY=($(compgen -f -- "$cur")); return ;;`;
  if (completion === 'context') {
    return `    ${pattern}) COMPREPLY=($(compgen -W "$(${LIST_CONTEXTS})" -- "$cur")); return ;;`;
  }
  if (completion === 'none') return `    ${pattern}) return ;;`;
  return `    ${pattern}) COMPREPLY=($(compgen -W "${completion.join(' ')}" -- "$cur")); return ;;`;
}

function bashNodeCase({ path, spec }: Visited): string {
  const words = wordsAfter(spec).join(' ');
  const contexts = takesContext(spec) ? ` $(${LIST_CONTEXTS})` : '';
  return `    '${path.join(' ')}') COMPREPLY=($(compgen -W "${words}${contexts}" -- "$cur")) ;;`;
}

function bashBody(root: TreeSpec): string {
  const nodes = walk(root);
  const values = valueOptions(nodes);
  const groups = nodes.filter(({ spec }) => isGroup(spec));
  const descend = groups.flatMap(({ path, spec }) =>
    (isGroup(spec) ? spec.commands : []).map((child) => `'${path.join(' ')} ${child.name}'`),
  );
  return [
    '_osctl() {',
    `  local cur="\${COMP_WORDS[COMP_CWORD]}" prev="\${COMP_WORDS[COMP_CWORD-1]}"`,
    `  local path='${root.name}' index word`,
    '  COMPREPLY=()',
    '  case "$prev" in',
    ...values.map(bashValueCase),
    '  esac',
    '  for ((index = 1; index < COMP_CWORD; index++)); do',
    `    word="\${COMP_WORDS[index]}"`,
    '    case "$word" in',
    `      ${values.flatMap(spellings).join('|')}) ((index++)); continue ;;`,
    '      -*) continue ;;',
    '    esac',
    '    case "$path $word" in',
    `      ${descend.join('|')}) path="$path $word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...nodes.map(bashNodeCase),
    '  esac',
    '}',
  ].join('\n');
}

function bashScript(root: TreeSpec): string {
  return [
    '# bash completion for osctl. Load it with: source <(osctl completion bash)',
    bashBody(root),
    'complete -F _osctl osctl',
    '',
  ].join('\n');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zshValueCase(option: OptionSpec): string {
  const completion = completionOf(option);
  const pattern = spellings(option).join('|');
  if (completion === 'file') return `    ${pattern}) _files; return ;;`;
  if (completion === 'context')
    return `    ${pattern}) compadd -- \${(f)"$(${LIST_CONTEXTS})"}; return ;;`;
  if (completion === 'none') return `    ${pattern}) return ;;`;
  return `    ${pattern}) compadd -- ${completion.join(' ')}; return ;;`;
}

function zshNodeCase({ path, spec }: Visited): string {
  const described = isGroup(spec)
    ? spec.commands.map((child) => quote(`${child.name}:${child.summary.replaceAll(':', ' -')}`))
    : (spec.arguments ?? []).flatMap((argument) => argument.choices ?? []).map(quote);
  const options = optionsOf(spec).map((option) =>
    quote(`${optionNames(option.flags).long}:${option.description.replaceAll(':', ' -')}`),
  );
  const contexts = takesContext(spec) ? `; compadd -- \${(f)"$(${LIST_CONTEXTS})"}` : '';
  return `    ${quote(path.join(' '))}) candidates=(${[...described, ...options].join(' ')})${contexts} ;;`;
}

function zshScript(root: TreeSpec): string {
  const nodes = walk(root);
  const values = valueOptions(nodes);
  const descend = nodes.slice(1).map(({ path }) => quote(path.join(' ')));
  return [
    '#compdef osctl',
    '# zsh completion for osctl. Load it with: source <(osctl completion zsh)',
    '_osctl() {',
    `  local path_so_far='${root.name}' word index`,
    '  local -a candidates',
    `  case "\${words[CURRENT-1]}" in`,
    ...values.map(zshValueCase),
    '  esac',
    '  for ((index = 2; index < CURRENT; index++)); do',
    `    word="\${words[index]}"`,
    '    case "$word" in',
    `      ${values.flatMap(spellings).join('|')}) ((index++)); continue ;;`,
    '      -*) continue ;;',
    '    esac',
    '    case "$path_so_far $word" in',
    `      ${descend.join('|')}) path_so_far="$path_so_far $word" ;;`,
    '    esac',
    '  done',
    '  case "$path_so_far" in',
    ...nodes.map(zshNodeCase),
    '  esac',
    "  _describe 'osctl' candidates",
    '}',
    'compdef _osctl osctl',
    '',
  ].join('\n');
}

function fishOption(option: OptionSpec, condition: string): string {
  const { short, long, value } = optionNames(option.flags);
  const completion = completionOf(option);
  const source =
    completion === 'context'
      ? ` -a '(${LIST_CONTEXTS})'`
      : typeof completion === 'string'
        ? ''
        : ` -a ${quote(completion.join(' '))}`;
  const shortFlag = short === undefined ? '' : ` -s ${short.slice(1)}`;
  const valueFlags = value === undefined ? '' : completion === 'file' ? ' -r -F' : ` -x${source}`;
  return `complete -c osctl${condition}${shortFlag} -l ${long.slice(2)}${valueFlags} -d ${quote(option.description)}`;
}

function fishNode({ path, spec }: Visited): string[] {
  const condition = ` -n ${quote(`__osctl_at ${path.join(' ')}`)}`;
  if (isGroup(spec)) {
    return spec.commands.map(
      (child) => `complete -c osctl -f${condition} -a ${child.name} -d ${quote(child.summary)}`,
    );
  }
  const command: CommandSpec = spec;
  const choices = (command.arguments ?? []).flatMap((argument) => argument.choices ?? []);
  return [
    `complete -c osctl -f${condition}`,
    ...(choices.length > 0
      ? [`complete -c osctl -f${condition} -a ${quote(choices.join(' '))}`]
      : []),
    ...(takesContext(spec) ? [`complete -c osctl -f${condition} -a '(${LIST_CONTEXTS})'`] : []),
    ...(command.options ?? []).map((option) => fishOption(option, condition)),
  ];
}

function fishScript(root: TreeSpec): string {
  const nodes = walk(root);
  const values = valueOptions(nodes).flatMap(spellings).join(' ');
  const known = nodes.map(({ path }) => quote(path.join(' '))).join(' ');
  return [
    '# fish completion for osctl. Load it with: osctl completion fish | source',
    'function __osctl_at',
    `    set -l path ${root.name}`,
    '    set -l skip 0',
    '    for word in (commandline -opc)[2..-1]',
    '        if test $skip -eq 1',
    '            set skip 0',
    `        else if contains -- $word ${values}`,
    '            set skip 1',
    `        else if contains -- "$path $word" ${known}`,
    '            set path "$path $word"',
    '        end',
    '    end',
    '    test "$path" = "$argv"',
    'end',
    ...GLOBAL_OPTIONS.map((option) => fishOption(option, '')),
    fishOption(HELP, ''),
    ...nodes.flatMap(fishNode),
    '',
  ].join('\n');
}

/** The completion script of `shell` for the tree `root`. */
export function completionScript(root: TreeSpec, shell: Shell): string {
  if (shell === 'bash') return bashScript(root);
  if (shell === 'zsh') return zshScript(root);
  return fishScript(root);
}
