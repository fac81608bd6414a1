/**
 * What a node sees of the world around it: its gateway, and the services that its probes ask.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

/** The machine that QEMU runs on, as the guest sees it. */
const HOST = '10.0.2.2';
const CHANGE_MS = 60_000;
/** Longer than one period of the check, and the kernel's search for a neighbour. */
const LINK_DOWN_MS = 25_000;

describe('what lies around a node', () => {
  let node: TestNode;
  let web: Server;

  before(async function () {
    this.timeout(2 * TestNode.bootTimeoutMs);
    web = createServer((_, answer) => answer.end('well')).listen(0, '127.0.0.1');
    await once(web, 'listening');
    node = await TestNode.boot('outside');
    const { exitCode, stderr } = await node.bootstrap();
    assert.equal(exitCode, 0, stderr);
  });
  afterEach(async function () {
    await keepEvidence(node, this.currentTest);
  });
  after(async () => {
    web.closeAllConnections();
    web.close();
    await node?.destroy();
  });

  /** Waits until a check says what is expected. */
  const until = (name: string, state: string) =>
    node.until(CHANGE_MS, async () => {
      const { checks, healthy } = await node.health();
      const found = checks.find((one) => one.name === name);
      return found?.state === state ? { ...found, healthy } : undefined;
    });

  it('its gateway answers', async function () {
    this.timeout(3 * CHANGE_MS);
    const { message } = await until('reach', 'healthy');
    assert.match(message, /^The gateway 10\.0\.2\.2 on eth0\b.* answers\b/);
  });

  it('probes are in force at once, and one that fails makes the node unhealthy', async function () {
    this.timeout(3 * CHANGE_MS);
    const { port } = web.address() as AddressInfo;
    const file = join(node.dir, 'probes.yaml');
    const probes = [
      `- { name: web, http: "http://${HOST}:${port}/", periodSeconds: 1 }`,
      `- { name: api, tcp: "127.0.0.1:50051" }`,
    ];
    const lines = ['apiVersion: keel/v1', 'probes:', ...probes.map((probe) => `  ${probe}`), ''];
    await writeFile(file, lines.join('\n'));
    const applied = await node.osctl('apply', '-f', file);
    assert.equal(applied.exitCode, 0, applied.stderr);
    assert.match((await until('probe/web', 'healthy')).message, /answers 200/);
    assert.match((await until('probe/api', 'healthy')).message, /takes connections/);
    web.closeAllConnections();
    web.close();
    const { message, healthy } = await until('probe/web', 'failing');
    assert.match(message, /probe of http:\/\/10\.0\.2\.2:\d+\/ failed: /);
    assert.equal(healthy, false);
  });

  it('a cable that is pulled is told, and that it is back', async function () {
    this.timeout(3 * CHANGE_MS);
    await node.setLink('down');
    await delay(LINK_DOWN_MS);
    await node.setLink('up');
    await until('reach', 'healthy');
    const { stdout } = await node.osctl('logs', 'agent', '--tail', '200');
    assert.match(
      stdout,
      /reach is failing: The gateway 10\.0\.2\.2 on eth0(, fe80::2 on eth0)? is not there\./,
    );
  });
});
