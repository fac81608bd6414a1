// Is each recommendation of the Kernel Self Protection Project followed, or is there a reason?

import type { KernelOption } from './fragment.ts';

/** A recommendation that is not followed. */
export interface KsppException {
  readonly name: string;
  /** the recommended value */
  readonly value: string;
  readonly reason: string;
}

/** What became of each recommendation; `problems` is empty when all is well. */
export interface KsppVerdict {
  readonly followed: readonly string[];
  readonly excepted: readonly KsppException[];
  readonly problems: readonly string[];
}

/**
 * Reads the file of exceptions: `CONFIG_NAME=value`, and the reason on indented lines below it.
 *
 * @throws {Error} on any other line, or a line without a reason
 */
export function parseKsppExceptions(text: string): readonly KsppException[] {
  const exceptions: { name: string; value: string; reason: string }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const last = exceptions.at(-1);
    const match = /^(CONFIG_[A-Z0-9_]+)=(\S+)$/.exec(line.trimEnd());
    if (match?.[1] !== undefined && match[2] !== undefined) {
      exceptions.push({ name: match[1], value: match[2], reason: '' });
    } else if (/^\s/.test(line) && last !== undefined) {
      last.reason = `${last.reason} ${line.trim()}`.trim();
    } else {
      throw new Error(`Cannot read kspp-exceptions line ${index + 1}: "${line}"`);
    }
  }
  const bare = exceptions.filter(({ reason }) => reason === '').map(({ name }) => name);
  if (bare.length > 0) throw new Error(`Exceptions without a reason: ${bare.join(', ')}`);
  return exceptions;
}

/**
 * Compares the recommendations with the fragments. It is a problem when one is neither set in a fragment nor excepted,
 * when an excepted one is followed after all, and when an exception names no recommendation.
 */
export function judgeKspp(
  recommendations: ReadonlyMap<string, string>,
  options: readonly KernelOption[],
  exceptions: readonly KsppException[],
): KsppVerdict {
  const set = new Map(options.map((option) => [option.name, option.value]));
  const excepted = new Map(exceptions.map((exception) => [exception.name, exception]));
  const followed: string[] = [];
  const problems: string[] = [];
  for (const [name, value] of recommendations) {
    const isFollowed = set.get(name) === value;
    if (isFollowed) followed.push(name);
    if (isFollowed && excepted.has(name))
      problems.push(`${name}=${value} is followed and excepted`);
    if (!isFollowed && !excepted.has(name)) {
      problems.push(`${name}=${value} is neither in a fragment nor in kspp-exceptions`);
    }
  }
  for (const { name, value } of exceptions) {
    if (recommendations.get(name) !== value) {
      problems.push(`kspp-exceptions names ${name}=${value}, which is not recommended`);
    }
  }
  return { followed, excepted: exceptions, problems };
}
