// Configuration fragments: the kernel's own syntax (`CONFIG_X=value`), with two rules added so that a page of
// documentation can be made from them: a line that turns something off says `=n`, and comments are reasons.

/** One line of a fragment. */
export interface KernelOption {
  /** with the `CONFIG_` in front */
  readonly name: string;
  /** `y`, `n`, a number, or a string in double quotes */
  readonly value: string;
  /** the comment above it, in one line; empty when it needs none */
  readonly reason: string;
  readonly fragment: string;
  /** counted from 1 */
  readonly line: number;
}

/** One file of options about one topic. */
export interface Fragment {
  /** the file's name without `.config` */
  readonly name: string;
  /** the comment that opens the file */
  readonly about: string;
  readonly options: readonly KernelOption[];
}

const OPTION = /^(CONFIG_[A-Z0-9_]+)=(y|n|-?[0-9]+|0x[0-9a-f]+|"[^"\\]*")$/;

/**
 * Reads one fragment. A comment is the reason of the options that follow it, up to an empty line or the next comment;
 * the comment that opens the file, closed by an empty line, says what the file is about.
 *
 * @throws {Error} on a line that is none of these, or a file that does not open with its comment; names file and line
 */
export function parseFragment(name: string, text: string): Fragment {
  const options: KernelOption[] = [];
  let about: string | undefined;
  let comment: string[] = [];
  let reason = '';
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd();
    if (line.startsWith('#')) {
      comment.push(line.replace(/^#\s?/, ''));
      continue;
    }
    if (comment.length > 0) {
      reason = comment.join(' ');
      comment = [];
    }
    if (line === '') {
      if (about === undefined && options.length === 0 && reason !== '') about = reason;
      reason = '';
      continue;
    }
    const match = OPTION.exec(line);
    if (match?.[1] === undefined || match[2] === undefined) {
      throw new Error(
        `Cannot read ${name}.config line ${index + 1}: expected CONFIG_NAME=value, found "${line}"`,
      );
    }
    options.push({ name: match[1], value: match[2], reason, fragment: name, line: index + 1 });
  }
  if (about === undefined) {
    throw new Error(
      `Cannot read ${name}.config: it does not open with a comment and an empty line`,
    );
  }
  return { name, about, options };
}

/**
 * All options of all fragments, in order.
 *
 * @throws {Error} when an option is set twice; names both places
 */
export function mergeFragments(fragments: readonly Fragment[]): readonly KernelOption[] {
  const seen = new Map<string, KernelOption>();
  const twice: string[] = [];
  for (const option of fragments.flatMap((fragment) => fragment.options)) {
    const first = seen.get(option.name);
    if (first === undefined) seen.set(option.name, option);
    else twice.push(`${option.name}: ${placeOf(first)} and ${placeOf(option)}`);
  }
  if (twice.length > 0) throw new Error(`Options that are set twice:\n  ${twice.join('\n  ')}`);
  return [...seen.values()];
}

/** Where an option stands, for messages: `storage.config:12`. */
export function placeOf(option: KernelOption): string {
  return `${option.fragment}.config:${option.line}`;
}

/** The file for `KCONFIG_ALLCONFIG`. */
export function renderAllConfig(options: readonly KernelOption[]): string {
  return options.map(({ name, value }) => `${name}=${value}\n`).join('');
}
