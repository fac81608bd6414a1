/** `npm run quickstart -- --once --update`: two versions, an update that is committed, a rollback with its reason. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@keelos/image/sys/qemu-process.ts';
import { runProgram } from '@keelos/tests/program.ts';
import { CHECKOUT, keepLogs } from '@keelos/tests/test-node.ts';
import { guardFolder } from '../../scripts/lib/left-behind.mjs';

const TIMEOUT_MS = 1_200_000;

interface Result {
  readonly ok: boolean;
  readonly update: {
    readonly from: string;
    readonly to: string;
    readonly history: {
      readonly entries: readonly { readonly kind: string; readonly reason: string }[];
    };
  };
  readonly running: boolean;
}

describe('quickstart --once --update', () => {
  let folder: string;
  let guard: ReturnType<typeof guardFolder>;
  let environment: Record<string, string>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-quickstart-update-'));
    guard = guardFolder(folder);
    environment = {
      KEEL_VM_DIR: join(folder, 'vm'),
      KEEL_VM_PORT: String(await freePort()),
      OSCTL_CONFIG: join(folder, 'osctl.yaml'),
    };
  });
  afterEach(async function () {
    if (this.currentTest?.state === 'failed') {
      await keepLogs(join(folder, 'vm'), this.currentTest.fullTitle());
    }
  });
  after(async function () {
    this.timeout(TIMEOUT_MS);
    await npm('vm', 'reset');
    await rm(folder, { recursive: true, force: true });
    guard.close();
  });

  const npm = (script: string, ...args: string[]) =>
    runProgram('npm', ['run', '--silent', script, '--', ...args], {
      cwd: CHECKOUT,
      env: environment,
      timeoutMs: TIMEOUT_MS,
    });

  it('updates the node, goes back with a reason, and shows both', async function () {
    this.timeout(TIMEOUT_MS);
    const { exitCode, stdout, stderr } = await npm('quickstart', '--once', '--update', '--json');
    assert.equal(exitCode, 0, stderr);
    const { ok, update, running } = JSON.parse(stdout) as Result;
    assert.deepEqual([ok, running], [true, false]);
    assert.notEqual(update.from, update.to);
    assert.deepEqual(
      update.history.entries.map(({ kind }) => kind),
      ['rollback', 'update'],
    );
    assert.notEqual(update.history.entries[0]?.reason, '');
  });
});
