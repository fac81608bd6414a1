import assert from 'node:assert/strict';
import { chmod, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KeelError } from '@keelos/proto/errors.ts';
import type { EnrolRequest, RenewRequest } from '@keelos/proto/gen/keel/v1/enrolment_pb.js';
import { readCertificate } from '../src/core/certificate.ts';
import { createFakeHost, type FakeHost } from './fake-host.ts';
import { type FakeNode, freePort, type Handler, startFakeNode } from './fake-node.ts';

const TOKEN = 'ABCDEFGH23456789WXYZ';

const enrol: Handler = ({ request, clientFingerprint }) => {
  if ((request as EnrolRequest).token !== TOKEN) {
    throw new KeelError('E_TOKEN_WRONG', 'Cannot enrol: the token is wrong');
  }
  return {
    fingerprintSha256: clientFingerprint ?? '',
    hostname: 'keel-1f0c2a9b',
    machineId: '1f0c2a9b'.repeat(4),
  };
};
const renew: Handler = ({ request }) => ({
  fingerprintSha256: readCertificate((request as RenewRequest).certificate, 'it').fingerprint,
});
const getVersion: Handler = () => ({ version: '0.1.0', api: 'keel.v1', arch: 'x86_64' });

describe('osctl init', () => {
  let host: FakeHost;
  let node: FakeNode;
  const bootstrap = (...more: string[]) =>
    host.run([
      ...['init', 'bootstrap', '--endpoint', node.endpoint],
      ...['--fingerprint', node.fingerprint, '--token', TOKEN, ...more],
    ]);

  beforeEach(async () => {
    host = await createFakeHost();
    node = await startFakeNode({ enrol, renew, getVersion });
  });
  afterEach(async () => {
    await node.close();
    await host.close();
  });

  it('enrols the certificate of the connection and writes a context that works', async () => {
    const ran = await bootstrap('-o', 'json');
    assert.deepEqual([ran.err, ran.exitCode], ['', 0]);
    const answer = JSON.parse(ran.out);
    const { contexts, currentContext } = await host.store.load();
    const context = contexts['keel-1f0c2a9b'];
    assert.ok(context !== undefined);
    assert.equal(currentContext, 'keel-1f0c2a9b');
    assert.equal(context.endpoint, node.endpoint);
    const own = readCertificate(context.certificate, 'own');
    assert.equal(own.fingerprint, answer.fingerprintSha256);
    assert.equal(own.subject, 'CN=tester@bench, O=keel:admin');
    assert.equal(own.notAfter.getTime() - own.notBefore.getTime(), 24 * 3_600_000);
    const version = await host.run(['version']);
    assert.equal(version.exitCode, 0, version.err);
  });

  it('keeps the contexts file at mode 0600', async () => {
    await bootstrap();
    assert.equal((await stat(host.store.path)).mode & 0o777, 0o600);
  });

  it('takes fingerprints with colons and upper case', async () => {
    const loud = node.fingerprint.toUpperCase().replace(/..(?=.)/g, '$&:');
    const ran = await host.run([
      ...['init', 'bootstrap', '--endpoint', node.endpoint],
      ...['--fingerprint', loud, '--token', 'abcd-efgh 2345-6789-wxyz'],
    ]);
    assert.equal(ran.exitCode, 0, ran.err);
  });

  it('sends nothing at all to a node with another fingerprint', async () => {
    const wrong = `${node.fingerprint.slice(0, -1)}${node.fingerprint.endsWith('0') ? '1' : '0'}`;
    const ran = await host.run([
      ...['init', 'bootstrap', '--endpoint', node.endpoint, '--fingerprint', wrong],
      ...['--token', TOKEN],
    ]);
    assert.equal(ran.exitCode, 4);
    assert.ok(ran.err.includes(wrong) && ran.err.includes(node.fingerprint), ran.err);
    assert.deepEqual(node.calls, []);
    assert.deepEqual((await host.store.load()).contexts, {});
  });

  it('sends nothing to a server that has taken the place of the pinned one', async () => {
    const { port, fingerprint } = node;
    await bootstrap();
    await node.close();
    node = await startFakeNode({ enrol, renew, getVersion }, { port });
    const ran = await host.run(['init', 'renew', '-o', 'json']);
    assert.equal(ran.exitCode, 4);
    const { error } = JSON.parse(ran.err);
    assert.equal(error.code, 'E_FINGERPRINT_MISMATCH');
    assert.equal(error.details.expected, fingerprint);
    assert.equal(error.details.found, node.fingerprint);
    assert.deepEqual(node.calls, []);
  });

  it('reads the token from a file and from standard input', async () => {
    const file = join(host.folder, 'token');
    await writeFile(file, 'ABCD-EFGH-2345-6789-WXYZ\n');
    const base = ['init', 'bootstrap', '--endpoint', node.endpoint];
    base.push('--fingerprint', node.fingerprint);
    assert.equal((await host.run([...base, '--token-file', file])).exitCode, 0);
    host.stdin = `${TOKEN}\n`;
    assert.equal((await host.run([...base, '--token', '-'])).exitCode, 0);
    assert.deepEqual(
      node.requests.map((request) => (request as EnrolRequest).token),
      [TOKEN, TOKEN],
    );
  });

  it("shows the node's reason and hint for a wrong token, never the token", async () => {
    const ran = await host.run([
      ...['init', 'bootstrap', '--endpoint', node.endpoint, '--fingerprint', node.fingerprint],
      ...['--token', 'ZZZZ-ZZZZ-ZZZZ-ZZZZ-ZZZZ'],
    ]);
    assert.equal(ran.exitCode, 4);
    assert.match(ran.err, /^osctl: Cannot enrol: the token is wrong\nhint: Read the token/);
    assert.ok(!ran.err.includes('ZZZZ'));
  });

  it('keeps a context of that name that belongs to another node, before the token is spent', async () => {
    assert.equal((await bootstrap('--context', 'mine')).exitCode, 0);
    const other = await startFakeNode({ enrol });
    const args = ['init', 'bootstrap', '--endpoint', other.endpoint, '--context', 'mine'];
    args.push('--fingerprint', other.fingerprint, '--token', TOKEN);
    assert.equal((await host.run(args)).exitCode, 9);
    assert.deepEqual(other.calls, []);
    assert.equal((await host.run([...args, '--force'])).exitCode, 0);
    await other.close();
  });

  it('enrols again under the same name on the same node', async () => {
    assert.equal((await bootstrap()).exitCode, 0);
    assert.equal((await bootstrap()).exitCode, 0);
    assert.deepEqual(Object.keys((await host.store.load()).contexts), ['keel-1f0c2a9b']);
  });

  it('says that nothing listens there', async () => {
    const endpoint = `127.0.0.1:${await freePort()}`;
    const ran = await host.run([
      ...['init', 'bootstrap', '--endpoint', endpoint, '--fingerprint', node.fingerprint],
      ...['--token', TOKEN],
    ]);
    assert.equal(ran.exitCode, 3);
    assert.match(ran.err, new RegExp(`Cannot reach ${endpoint}: connection refused`));
  });

  it('renews with a new key and replaces the context', async () => {
    await bootstrap();
    const before = (await host.store.load()).contexts['keel-1f0c2a9b'];
    const ran = await host.run(['init', 'renew', '--validity', '1h']);
    assert.equal(ran.exitCode, 0, ran.err);
    const after = (await host.store.load()).contexts['keel-1f0c2a9b'];
    assert.ok(before !== undefined && after !== undefined);
    assert.notEqual(after.key, before.key);
    assert.equal(after.serverCertificate, before.serverCertificate);
    assert.equal((await host.run(['version'])).exitCode, 0);
  });

  it('keeps the old context when the node refuses the renewal', async () => {
    await bootstrap();
    const { contexts } = await host.store.load();
    assert.ok(contexts['keel-1f0c2a9b'] !== undefined);
    const refusing = await startFakeNode({
      renew: () => {
        throw new KeelError('E_CERTIFICATE_UNACCEPTABLE', 'Cannot renew: no');
      },
    });
    const context = { ...contexts['keel-1f0c2a9b'], serverCertificate: refusing.certificate };
    await host.store.save({
      currentContext: 'keel-1f0c2a9b',
      contexts: { 'keel-1f0c2a9b': { ...context, endpoint: refusing.endpoint } },
    });
    const moved = await readFile(host.store.path, 'utf8');
    const ran = await host.run(['init', 'renew']);
    assert.equal(ran.exitCode, 4);
    assert.equal(await readFile(host.store.path, 'utf8'), moved);
    await refusing.close();
  });

  it('refuses a contexts file that others can read, and says how to mend it', async () => {
    await bootstrap();
    await chmod(host.store.path, 0o644);
    const ran = await host.run(['version']);
    assert.equal(ran.exitCode, 5);
    assert.ok(ran.err.includes(`hint: Run chmod 600 ${host.store.path}`), ran.err);
  });

  it('warns in the last four hours of the certificate', async () => {
    await bootstrap();
    host.offsetMs = 21 * 3_600_000;
    const table = await host.run(['version', '-o', 'table']);
    assert.equal(table.exitCode, 0, table.err);
    assert.match(
      table.err,
      /^warning: Your client certificate expires in 2 h 5\d min .*osctl init renew/,
    );
    const json = await host.run(['version', '-o', 'json']);
    assert.match(JSON.parse(json.err).warning.message, /osctl init renew/);
    assert.equal(JSON.parse(json.out).server.version, '0.1.0');
  });
});
