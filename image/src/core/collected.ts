/** Options that may be given more than once. */

/** Appends a value to those before it, as commander wants it. */
export function collected(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}
