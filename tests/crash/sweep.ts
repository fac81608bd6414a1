/** Cuts every scenario everywhere. */
import type { AgentModules } from './agent-modules.ts';
import { cutPoints, type Recording } from './cut-points.ts';
import {
  Broken,
  placeText,
  type RecoveryParts,
  recover,
  recoverFromThreeCuts,
} from './recovery.ts';
import { type Cast, makeCast, record, type Scenario } from './scenarios.ts';

/** What a sweep does. */
export interface SweepPlan {
  readonly seed: number;
  /** Share of the points that is tried, spread evenly; which ones follows from the seed. 1: all. */
  readonly share: number;
  /** Of the tried points one in so many is cut twice more. 0: none. */
  readonly threeCutsEvery: number;
  /** Ends after so many findings. */
  readonly findingsMax: number;
  readonly scenarios: readonly Scenario[];
  /** The state partition is lost at every cut. */
  readonly isStateLost?: boolean;
  /** As it is, or with a bug in it. */
  readonly agent: AgentModules;
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
  const { agent, scenarios } = plan;
  const cast = makeCast();
  const results: ScenarioResult[] = [];
  const findings: string[] = [];
  for (const [index, scenario] of scenarios.entries()) {
    if (findings.length >= plan.findingsMax) break;
    const seed = plan.seed + index * 1000;
    try {
      const recording = await record(scenario, { agent, cast, seed });
      const of = { plan, cast, seed, scenario, findings };
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
    readonly cast: Cast;
    readonly seed: number;
    readonly scenario: Scenario;
    readonly findings: string[];
  },
): Promise<ScenarioResult> {
  const { plan, cast, seed, findings } = of;
  const { agent } = plan;
  const { name, rotten, mayFallBack = false } = of.scenario;
  const world = { agent, releases: cast.releases, trustBytes: cast.trustBytes };
  let points = 0;
  let tried = 0;
  let triedThreeCuts = 0;
  for (const point of cutPoints(recording, seed)) {
    points += 1;
    const turn = points + (plan.seed % 97);
    const isTried = Math.floor(turn * plan.share) > Math.floor((turn - 1) * plan.share);
    if (!isTried || findings.length >= plan.findingsMax) continue;
    tried += 1;
    const parts: RecoveryParts = {
      world,
      cast,
      seed: seed + points * 10,
      mayFallBack,
      isStateLost: plan.isStateLost ?? false,
      ...(rotten === undefined ? {} : { rotten: cast[rotten] }),
    };
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

/** How many times the power was cut. */
export function cutsOf({ scenarios }: SweepResult): number {
  return scenarios.reduce((sum, each) => sum + each.tried + 2 * each.triedThreeCuts, 0);
}
