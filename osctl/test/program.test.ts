import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createFakeHost } from './fake-host.ts';
import { startFakeNode } from './fake-node.ts';

const PROGRAM = fileURLToPath(new URL('../bin/osctl.mjs', import.meta.url));
const STARTS_MS_MAX = 20_000;

/** The Node of the PATH, when it is older than the one that osctl needs: then the program hands over. */
function olderNode(): string | undefined {
  const { stdout } = spawnSync('sh', ['-c', 'command -v node'], { encoding: 'utf8' });
  const path = stdout.trim();
  if (path === '') return undefined;
  const version = spawnSync(path, ['--version'], { encoding: 'utf8' }).stdout;
  return Number(/^v(\d+)/.exec(version)?.[1]) < 24 ? path : undefined;
}

describe('the program osctl', () => {
  const nodes = [
    { name: 'the pinned Node', path: process.execPath },
    { name: 'an older Node', path: olderNode() },
  ];
  for (const { name, path } of nodes) {
    it(`passes output and exit code through, started by ${name}`, function () {
      this.timeout(STARTS_MS_MAX);
      if (path === undefined) this.skip();
      const options = { encoding: 'utf8' } as const;
      const good = spawnSync(path, [PROGRAM, 'version', '--client', '-o', 'json'], options);
      assert.equal(good.status, 0, good.stderr);
      assert.equal(JSON.parse(good.stdout).client.api, 'keel.v1');
      const wrong = spawnSync(path, [PROGRAM, 'helth'], options);
      assert.equal(wrong.status, 2);
      assert.match(wrong.stderr, /Did you mean health/);
    });

    it(`ends with 130 on SIGINT, started by ${name}`, async function () {
      this.timeout(STARTS_MS_MAX);
      if (path === undefined) this.skip();
      const host = await createFakeHost();
      const node = await startFakeNode({
        enrol: ({ clientFingerprint = '' }) => ({
          fingerprintSha256: clientFingerprint,
          hostname: 'n',
        }),
        streamServiceLog: async function* ({ signal }) {
          yield { line: 'one' };
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      });
      try {
        const enrolled = await host.run([
          ...['init', 'bootstrap', '--endpoint', node.endpoint],
          ...['--fingerprint', node.fingerprint, '--token', 'ABCDE-FGHIJ-ABCDE-FGHIJ'],
        ]);
        assert.equal(enrolled.exitCode, 0, enrolled.err);
        const child = spawn(path, [PROGRAM, 'logs', 'agent', '-f', '--config', host.store.path]);
        const exited = once(child, 'exit');
        const [text] = await once(child.stdout, 'data');
        assert.equal(String(text), 'one\n');
        child.kill('SIGINT');
        assert.deepEqual(await exited, [130, null]);
      } finally {
        await node.close();
        await host.close();
      }
    });
  }
});
