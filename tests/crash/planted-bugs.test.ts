/** Bugs that are planted in the agent: each must be found by cuts of the power, or the sweep proves nothing. */
import assert from 'node:assert/strict';
import { loadAgent } from './agent-modules.ts';
import { PLANTED_BUGS } from './planted-bugs.data.ts';
import { scenarioNamed } from './scenarios.ts';
import { sweep } from './sweep.ts';

const BUG_TIMEOUT_MS = 120_000;
/** The same points in every run; it ends with the first finding. */
const SEED = 1;

describe('a bug that is planted in the update', function () {
  this.timeout(BUG_TIMEOUT_MS);

  for (const { name, edits, scenario, found } of PLANTED_BUGS) {
    it(`is found: ${name}`, async () => {
      const scenarios = [scenarioNamed(scenario)];
      const agent = await loadAgent(name, edits);
      let finding: string | undefined;
      // Most bugs show at many points: a few of them first.
      for (const share of [0.1, 1]) {
        const plan = { seed: SEED, agent, scenarios, share, threeCutsEvery: 0 };
        if (finding !== undefined) break;
        [finding] = (await sweep({ ...plan, findingsMax: 1 })).findings;
      }
      assert.match(finding ?? 'nothing was found', found);
    });
  }

  it('must fit what stands in the module', async () => {
    const edit = { file: 'shell/esp.ts', find: 'no such words', replace: '' };
    await assert.rejects(loadAgent('misfit', [edit]), /does not have "no such words" exactly once/);
  });
});
