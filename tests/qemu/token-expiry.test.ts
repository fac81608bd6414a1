/**
 * A token whose time is over. A node measures it with its monotonic clock, which no wrong time and no jump of the
 * real-time clock moves: there is no way but to wait. Only with KEEL_SLOW=1.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';
import { TOKEN_LIFETIME_MS } from '@keelos/ts-agent/core/enrolment.ts';

const MARGIN_MS = 20_000;
const EXIT_NOT_TRUSTED = 4;

describe('a node whose enrolment token has expired', () => {
  let node: TestNode;

  before(async function () {
    if (process.env.KEEL_SLOW !== '1') this.skip();
    this.timeout(TestNode.bootTimeoutMs + TOKEN_LIFETIME_MS + 2 * MARGIN_MS);
    node = await TestNode.boot('token-expiry');
    await delay(TOKEN_LIFETIME_MS + MARGIN_MS);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(() => node?.destroy());

  it('refuses it, and takes the one of the next boot', async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    assert.ok(Date.parse(node.announcement.tokenExpires ?? '') < Date.now());
    const late = await node.bootstrap();
    assert.equal(late.exitCode, EXIT_NOT_TRUSTED, late.stderr);
    assert.match(late.stderr, /the token has expired/);
    await node.cutPower();
    await node.start();
    const fresh = await node.bootstrap();
    assert.equal(fresh.exitCode, 0, fresh.stderr);
  });
});
