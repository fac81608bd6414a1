import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../lib/vm-command.mjs', import.meta.url));

describe('npm run vm', () => {
  it('ends quietly when whoever reads its output has seen enough', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'status'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const [err, [exitCode]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.equal(err, '');
    assert.equal(exitCode, 0);
  });
});
