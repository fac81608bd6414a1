/** Cuts every scenario everywhere. */
import { type AgentModules, loadAgent } from './agent-modules.ts';
import type { SourceEdit } from './agent-variants.ts';
import { cutPoints, type Recording } from './cut-points.ts';
import {
  Broken,
  placeText,
  type RecoveryParts,
  recover,
  recoverFromThreeCuts,
} from './recovery.ts';
import { type Cast, makeCast, record, SCENARIOS, type Scenario } from './scenarios.ts';

/** What a sweep does. */
export interface SweepPlan {
  readonly seed: number;
  /** Of every so many points one is tried; the first one is drawn from the seed. 1: all. */
  readonly every: number;
  /** Of the tried points one in so many is cut twice more. 0: none. */
  readonly threeCutsEvery: number;
  /** Ends after so many findings. */
  readonly findingsMax: number;
  readonly scenarios?: readonly Scenario[];
  /** Changes of the agent, for a bug that is planted. */
  readonly edits?: readonly SourceEdit[];
  /** Name of the variant; different edits need different names. */
  readonly variant?: string;
}

/** What came of one scenario. */
export interface ScenarioResult {
  readonly name: string;
  readonly events: number;
  /** Different media that a cut can leave. */
  readonly points: number;
  readonly tried: number;
  readonly triedThreeCuts: number;
}

/** What came of a sweep. */
export interface SweepResult {
  readonly scenarios: readonly ScenarioResult[];
  /** Where a promise was broken: scenario, place, what was wrong. */
  readonly findings: readonly string[];
}

/** Runs all of it. What the agent cannot even do without a cut is a finding too. */
export async function sweep(plan: SweepPlan): Promise<SweepResult> {
  const { edits = [], variant = 'as-it-is', scenarios = SCENARIOS } = plan;
  const agent = await loadAgent(variant, edits);
  const cast = makeCast();
  const results: ScenarioResult[] = [];
  const findings: string[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    if (findings.length >= plan.findingsMax) break;
    const seed = plan.seed + index * 1000;
    try {
      const recording = await record(scenario, { agent, cast, seed });
      const of = { plan, agent, cast, seed, name: scenario.name, findings };
      results.push(await sweepRecording(recording, of));
    } catch (cause) {
      findings.push(`${scenario.name}: ${cause instanceof Error ? cause.message : cause}`);
    }
  }
  return { scenarios: results, findings };
}

async function sweepRecording(
  recording: Recording,
  of: {
    readonly plan: SweepPlan;
    readonly agent: AgentModules;
    readonly cast: Cast;
    readonly seed: number;
    readonly name: string;
    readonly findings: string[];
  },
): Promise<ScenarioResult> {
  const { plan, agent, cast, seed, name, findings } = of;
  const world = { agent, releases: cast.releases, trustBytes: cast.trustBytes };
  let points = 0;
  let tried = 0;
  let triedThreeCuts = 0;
  for (const point of cutPoints(recording, seed)) {
    points += 1;
    const isTried = (points + plan.seed) % plan.every === 0;
    if (!isTried || findings.length >= plan.findingsMax) continue;
    tried += 1;
    const parts: RecoveryParts = { world, cast, seed: seed + points * 10 };
    try {
      await recover(point.medium, parts);
      if (plan.threeCutsEvery > 0 && tried % plan.threeCutsEvery === 0) {
        triedThreeCuts += 1;
        await recoverFromThreeCuts(point.medium, parts);
      }
    } catch (cause) {
      const what =
        cause instanceof Broken ? cause.message : String((cause as Error).stack ?? cause);
      findings.push(`${name}, ${placeText(recording, point)}: ${what}`);
    }
  }
  return { name, events: recording.events.length, points, tried, triedThreeCuts };
}

/** One line for each scenario, and the findings. */
export function sweepText({ scenarios, findings }: SweepResult, seed: number): string {
  const lines = scenarios.map(
    ({ name, events, points, tried, triedThreeCuts }) =>
      `${name}: ${events} events, ${points} media, ${tried} cut, ${triedThreeCuts} of them three times`,
  );
  const all = scenarios.reduce((sum, each) => sum + each.tried + 2 * each.triedThreeCuts, 0);
  return [...lines, `seed ${seed}: ${all} cuts, ${findings.length} findings`, ...findings].join(
    '\n',
  );
}
