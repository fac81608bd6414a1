/** Numbers that whoever starts a test gives in the environment. */

/**
 * The whole number above 0 in the environment variable `name`; `otherwise` where it is not set.
 *
 * @throws RangeError for anything else: a loop over "" or "5O" would not run once, and be green
 */
export function wholeSetting(
  name: string,
  otherwise: number,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): number {
  const given = environment[name];
  if (given === undefined) return otherwise;
  const value = Number(given);
  if (/^[1-9]\d*$/.test(given) && Number.isSafeInteger(value)) return value;
  throw new RangeError(`${name} is "${given}", expected a whole number above 0`);
}
