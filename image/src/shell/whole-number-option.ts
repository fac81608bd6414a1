/** Options that are whole numbers. */
import { InvalidArgumentError } from 'commander';

/** Reads one within limits, as commander wants it. */
export function wholeNumber(limits: { readonly min: number; readonly max: number }) {
  return (text: string): number => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= limits.min && value <= limits.max) return value;
    throw new InvalidArgumentError(`Expected a number from ${limits.min} to ${limits.max}.`);
  };
}
