/**
 * Cuts the power everywhere. `npm test` takes a share of the points, `npm run test:long` (KEEL_LONG=1) all of them, with
 * several seeds. KEEL_SEED repeats a run: its findings name scenario, event and choice.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { wholeSetting } from '@keelos/tests/whole-setting.ts';
import { type AgentModules, loadAgent } from './agent-modules.ts';
import { SCENARIOS, scenarioNamed } from './scenarios.ts';
import { cutsOf, sweep } from './sweep.ts';

const IS_LONG = process.env.KEEL_LONG === '1';
/** Different points at least in every run. */
const POINTS_MIN = 1000;
const SHARE = 0.42;
const LONG_SEEDS = 4;
const SHORT_TIMEOUT_MS = 120_000;
const LONG_TIMEOUT_MS = 3_600_000;
const FINDINGS_MAX = 5;

function seeds(): readonly number[] {
  const drawn = Array.from({ length: IS_LONG ? LONG_SEEDS : 1 }, () => randomInt(1, 1_000_000));
  return process.env.KEEL_SEED === undefined ? drawn : [wholeSetting('KEEL_SEED', 1)];
}

describe('a power cut', function () {
  this.timeout(IS_LONG ? LONG_TIMEOUT_MS : SHORT_TIMEOUT_MS);
  let agent: AgentModules;
  before(async () => {
    agent = await loadAgent('as-it-is', []);
  });

  for (const seed of seeds()) {
    let points = 0;
    const lines: string[] = [];
    for (const [index, scenario] of SCENARIOS.entries()) {
      it(`leaves a node that comes back, in ${scenario.name} (seed ${seed})`, async () => {
        const result = await sweep({
          seed: seed + index * 1000,
          agent,
          scenarios: [scenario],
          findingsMax: FINDINGS_MAX,
          ...(IS_LONG ? { share: 1, threeCutsEvery: 3 } : { share: SHARE, threeCutsEvery: 25 }),
        });
        const [{ events, points: all, tried, triedThreeCuts } = assert.fail()] = result.scenarios;
        points += tried;
        const repeat = `KEEL_SEED=${seed}`;
        assert.deepEqual(result.findings, [], repeat);
        lines.push(
          `${scenario.name}: ${events} events, ${all} different media, ${tried} tried, ${triedThreeCuts} of them with two more cuts: ${cutsOf(result)} cuts`,
        );
      });
    }

    it(`was tried at ${POINTS_MIN} different points at least (seed ${seed})`, () => {
      process.stdout.write(`${lines.join('\n')}\nKEEL_SEED=${seed}: ${points} points\n`);
      assert.ok(points >= POINTS_MIN, `${points} points`);
    });
  }
});

describe('a power cut that takes the state partition with it', function () {
  this.timeout(IS_LONG ? LONG_TIMEOUT_MS : SHORT_TIMEOUT_MS);
  let agent: AgentModules;
  before(async () => {
    agent = await loadAgent('as-it-is-without-its-state', []);
  });
  const [seed = 0] = seeds();

  for (const name of ['an update that is committed', 'an update whose trial never gets healthy']) {
    it(`leaves a node that boots and takes the next update, in ${name} (seed ${seed})`, async () => {
      const { findings, scenarios } = await sweep({
        seed,
        agent,
        isStateLost: true,
        scenarios: [scenarioNamed(name)],
        findingsMax: FINDINGS_MAX,
        share: IS_LONG ? 1 : SHARE / 2,
        threeCutsEvery: 0,
      });
      assert.deepEqual(findings, [], `KEEL_SEED=${seed}`);
      const [{ tried } = assert.fail()] = scenarios;
      assert.ok(tried > 0, 'no cut was tried');
    });
  }
});
