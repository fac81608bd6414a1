/** One run of the fuzzer: executions until the time is up, each made of the seed and its number alone. */
import { mutate } from './mutate.ts';
import { Random } from './random.ts';
import { Finding, type Target } from './target.ts';

/** A run that finds this many stops. */
export const FINDINGS_MAX = 10;
const PROGRESS_MS = 10_000;
const MICROSECONDS_PER_MS = 1000;
/** Asking the kernel costs more than many an execution. */
const MEMORY_EVERY = 16;

/** Something found. */
export interface Found {
  readonly index: number;
  readonly reason: string;
  readonly input: Uint8Array;
}

/** What a run comes to. */
export interface Campaign {
  readonly executions: number;
  readonly seconds: number;
  readonly findings: readonly Found[];
  /** How often each outcome was met: "accepted", or a code. */
  readonly outcomes: ReadonlyMap<string, number>;
}

/** How a run goes. */
export interface CampaignOptions {
  readonly target: Target;
  readonly seed: number;
  readonly seconds: number;
  /** Findings after which it stops, {@link FINDINGS_MAX} unless told. */
  readonly findingsMax?: number;
  /** Only this execution, whatever the time. */
  readonly only?: number | undefined;
  /** Told before each execution: somebody else can see that one never ends. */
  readonly onStart?: (index: number) => void;
  readonly onProgress?: (executions: number, seconds: number) => void;
}

/** The input of execution `index`, and the sample that it was made from. */
export function inputOf(
  { samples }: Pick<Target, 'samples'>,
  { seed, index }: { readonly seed: number; readonly index: number },
): { input: Uint8Array; sample: number } {
  const random = new Random(seed, index);
  const sample = random.below(samples.length);
  const other = samples[random.below(samples.length)] ?? samples[0];
  return { input: mutate(samples[sample] ?? samples[0], random, other), sample };
}

/** Runs a target. */
export async function runCampaign(options: CampaignOptions): Promise<Campaign> {
  const { target, seed, seconds, only, findingsMax = FINDINGS_MAX } = options;
  const startedMs = performance.now();
  const elapsed = () => (performance.now() - startedMs) / 1000;
  const findings: Found[] = [];
  const outcomes = new Map<string, number>();
  let nextReportMs = startedMs + PROGRESS_MS;
  let executions = 0;
  for (let index = only ?? 0; findings.length < findingsMax; index++) {
    options.onStart?.(index);
    const { input, sample } = inputOf(target, { seed, index });
    try {
      const outcome = await execute(target, input, sample);
      if (executions % MEMORY_EVERY === 0) checkMemory(target);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    } catch (error) {
      findings.push({ index, reason: reasonOf(error), input });
    }
    executions += 1;
    if (only !== undefined || elapsed() >= seconds) break;
    if (performance.now() < nextReportMs) continue;
    nextReportMs += PROGRESS_MS;
    options.onProgress?.(executions, elapsed());
  }
  return { executions, seconds: elapsed(), findings, outcomes };
}

async function execute(target: Target, input: Uint8Array, sample: number): Promise<string> {
  const before = process.threadCpuUsage();
  const outcome = await target.run(input, sample);
  const { user, system } = process.threadCpuUsage(before);
  const milliseconds = (user + system) / MICROSECONDS_PER_MS;
  if (milliseconds > target.millisecondsMax) {
    throw new Finding(`took ${Math.round(milliseconds)} ms, at most ${target.millisecondsMax}`);
  }
  return outcome;
}

function checkMemory(target: Target): void {
  const { bytes, bytesMax } = target.memory();
  if (bytes > bytesMax) throw new Finding(`holds ${bytes} bytes of memory, at most ${bytesMax}`);
}

function reasonOf(error: unknown): string {
  if (error instanceof Finding) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : `${error}`;
}
