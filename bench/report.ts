/**
 * What a benchmark reports: one figure a line, the same shape for every subject.
 */

/** Whether a small or a large value is the good one. */
export type Better = 'lower' | 'higher';

/** One figure, as it is printed with `--json`. */
export interface Figure {
  /** Subject, for example "boot". */
  readonly bench: string;
  /** What was measured, for example "api-listening". */
  readonly name: string;
  /** Median of all runs. */
  readonly value: number;
  /** "s", "bytes", … */
  readonly unit: string;
  /** What it is compared with; null when there is nothing to compare with. */
  readonly rival: string | null;
  /** The rival's median, in the same unit. */
  readonly rivalValue: number | null;
  /** How many times better than the rival, whatever the unit: 2 is twice as fast, or half the bytes. */
  readonly ratio: number | null;
  readonly runs: number;
  /** (largest - smallest) / median of our own runs; 0 for a single run. */
  readonly spread: number;
}

/** What goes into {@link figure}. */
export interface FigureInput {
  readonly bench: string;
  readonly name: string;
  readonly unit: string;
  readonly better: Better;
  /** One value a run, at least one, each finite and not negative. */
  readonly values: readonly number[];
  readonly rival?: { readonly name: string; readonly values: readonly number[] };
}

const DIGITS = 4;

/**
 * Middle value; the mean of the two middle ones when their number is even.
 *
 * @throws RangeError when `values` is empty or holds something that is not a finite number >= 0.
 */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values');
  for (const value of values) {
    if (!Number.isFinite(value) || value < 0) throw new RangeError(`not a measure: ${value}`);
  }
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? 0;
  const lower = sorted[(sorted.length - 1) >> 1] ?? 0;
  return (lower + upper) / 2;
}

/** (largest - smallest) / median; 0 when the median is 0. */
export function spread(values: readonly number[]): number {
  const middle = median(values);
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}

/**
 * How many times better `value` is than `rivalValue`; null when the divisor is 0, because no number says that.
 */
export function ratioOf(value: number, rivalValue: number, better: Better): number | null {
  const [ahead, behind] = better === 'lower' ? [rivalValue, value] : [value, rivalValue];
  return behind === 0 ? null : ahead / behind;
}

/** Makes a figure out of the values of each run. Numbers are rounded to four significant digits, but never whole ones. */
export function figure(input: FigureInput): Figure {
  const value = median(input.values);
  const rivalValue = input.rival === undefined ? null : median(input.rival.values);
  const ratio = rivalValue === null ? null : ratioOf(value, rivalValue, input.better);
  return {
    bench: input.bench,
    name: input.name,
    value: rounded(value),
    unit: input.unit,
    rival: input.rival?.name ?? null,
    rivalValue: rivalValue === null ? null : rounded(rivalValue),
    ratio: ratio === null ? null : rounded(ratio),
    runs: input.values.length,
    spread: rounded(spread(input.values)),
  };
}

function rounded(value: number): number {
  return Number.isInteger(value) ? value : Number(value.toPrecision(DIGITS));
}

/** One line for people. */
export function figureText(of: Figure): string {
  const own = `${of.bench}/${of.name}: ${valueText(of.value, of.unit)}`;
  const runs = of.runs === 1 ? '1 run' : `${of.runs} runs, spread ${percent(of.spread)}`;
  if (of.rival === null || of.rivalValue === null) return `${own} (${runs})`;
  const ratio = of.ratio === null ? 'no ratio' : `${of.ratio} times as good`;
  return `${own}; ${of.rival}: ${valueText(of.rivalValue, of.unit)}; ${ratio} (${runs})`;
}

function valueText(value: number, unit: string): string {
  const isLarge = unit === 'bytes' && value >= 1_000_000;
  return isLarge ? `${(value / 1_000_000).toFixed(1)} MB` : `${value} ${unit}`;
}

function percent(fraction: number): string {
  return `${Math.round(fraction * 100)} %`;
}
