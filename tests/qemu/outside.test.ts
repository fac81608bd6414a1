/**
 * What a node sees of the world around it: its gateway, and the services that its probes ask.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { keepEvidence, TestNode } from '@keelos/tests/test-node.ts';

/** The machine that QEMU runs on, as the guest sees it. */
const HOST = '10.0.2.2';
const CHANGE_MS = 60_000;

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

  it('a target that cannot be connected to any more is told, by its address', async function () {
    this.timeout(3 * CHANGE_MS);
    const target = createServer().listen(0, '127.0.0.1');
    await once(target, 'listening');
    const address = `${HOST}:${(target.address() as AddressInfo).port}`;
    const file = join(node.dir, 'target.yaml');
    const lines = ['apiVersion: keel/v1', 'health:', `  networkTarget: "${address}"`, ''];
    await writeFile(file, lines.join('\n'));
    const applied = await node.osctl('apply', '-f', file);
    assert.equal(applied.exitCode, 0, applied.stderr);
    const well = await node.until(CHANGE_MS, async () => {
      const reach = (await node.health()).checks.find(({ name }) => name === 'reach');
      return reach?.message.includes(address) === true ? reach : undefined;
    });
    assert.equal(well.state, 'healthy', well.message);
    target.closeAllConnections();
    target.close();
    const { message, healthy } = await until('reach', 'failing');
    assert.ok(message.includes(address), message);
    assert.equal(healthy, false);
  });
});
