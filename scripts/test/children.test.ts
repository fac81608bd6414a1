import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const EXEC_MODULE = resolve(import.meta.dirname, '../lib/exec.mjs');
const WAIT_MS = 10_000;

/** True while a process runs; a zombie does not. */
async function runs(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z');
  return text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3) !== 'Z';
}

async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `waited too long: ${what}`);
    await delay(20);
  }
}

describe('the commands of a process that is told to end', function () {
  this.timeout(30_000);
  let folder = '';

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-children-'));
  });

  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  /** A program whose command starts a command; returns its exit code, and the number of the innermost. */
  async function ended(signal: NodeJS.Signals, ignoring: string) {
    const file = join(folder, 'pid');
    const inner = `${ignoring} sleep 60 & echo $! > ${file}.new; mv ${file}.new ${file}; wait`;
    const script = `
      import { exec } from ${JSON.stringify(EXEC_MODULE)};
      await exec('sh', ['-c', ${JSON.stringify(inner)}]).catch(() => process.exit(1));
    `;
    const program = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    const closed = once(program, 'close');
    await until(() => existsSync(file), 'the command of the command');
    const pid = Number(await readFile(file, 'utf8'));
    assert.ok(await runs(pid));
    program.kill(signal);
    const [code] = await closed;
    return { code: Number(code), isRunning: await runs(pid) };
  }

  for (const [signal, code] of [
    ['SIGTERM', 143],
    ['SIGINT', 130],
    ['SIGHUP', 129],
  ] as const) {
    it(`end before it does, theirs too: ${signal}`, async () => {
      assert.deepEqual(await ended(signal, ''), { code, isRunning: false });
    });
  }

  it('are killed when they do not want to end', async () => {
    const ignoring = `trap '' TERM;`;
    assert.deepEqual(await ended('SIGTERM', ignoring), { code: 143, isRunning: false });
  });
});
