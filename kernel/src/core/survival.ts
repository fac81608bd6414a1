// Kconfig drops a line without a word when something the option depends on is missing. These functions find it.

import { type KernelOption, placeOf } from './fragment.ts';

/** A line of a fragment that did not come through. */
export interface LostOption {
  readonly option: KernelOption;
  /** what `.config` has; `n` also when it does not name the option at all */
  readonly found: string;
}

/** Reads a finished `.config`. Options that are not set are absent from the map. */
export function parseDotConfig(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.split('\n')) {
    const match = /^(CONFIG_[A-Za-z0-9_]+)=(.*)$/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) values.set(match[1], match[2]);
  }
  return values;
}

/** The options whose value in `.config` is not the one that a fragment asks for, both `=y` and `=n`. */
export function findLostOptions(
  options: readonly KernelOption[],
  config: ReadonlyMap<string, string>,
): readonly LostOption[] {
  return options
    .map((option) => ({ option, found: config.get(option.name) ?? 'n' }))
    .filter(({ option, found }) => found !== option.value);
}

/** A list for people, one line an option. */
export function describeLostOptions(lost: readonly LostOption[]): string {
  const lines = lost.map(
    ({ option, found }) =>
      `  ${placeOf(option)}: ${option.name}=${option.value} became ${found === 'n' ? 'not set' : found}`,
  );
  return `${lost.length} line(s) of the fragments did not survive into .config. Each lacks something that it depends on, or is selected by something else:\n${lines.join('\n')}`;
}
