/** Inputs that are right, in `corpus/<target>/`. */
import { readdirSync, readFileSync } from 'node:fs';

/** The files of a target, in the order of their names. */
export function readCorpus(target: string): [Uint8Array, ...Uint8Array[]] {
  const folder = new URL(`corpus/${target}/`, import.meta.url);
  const [first, ...more] = readdirSync(folder)
    .toSorted()
    .map((name) => readFileSync(new URL(name, folder)));
  if (first === undefined) throw new Error(`the corpus of ${target} is empty`);
  return [first, ...more];
}
