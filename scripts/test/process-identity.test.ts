import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { startTicks } from '../lib/process-identity.mjs';

const POLL_MS = 20;
const POLLS_MAX = 250;
/** exit(2) on x86-64 ends the calling thread alone. */
const FIRST_THREAD_ENDS = [
  'import ctypes, threading, time',
  'threading.Thread(target=time.sleep, args=(30,)).start()',
  'ctypes.CDLL(None).syscall(60, 0)',
].join('\n');

describe('what a process number means', () => {
  it('is the process as long as one thread of it runs: until then it holds its files and ports', async () => {
    const child = spawn('python3', ['-c', FIRST_THREAD_ENDS], { stdio: 'ignore' });
    const pid = child.pid ?? 0;
    try {
      for (let polls = 0; !(await isFirstThreadGone(pid)); polls += 1) {
        assert.ok(polls < POLLS_MAX, 'the first thread does not end');
        await delay(POLL_MS);
      }
      assert.match((await startTicks(pid)) ?? '', /^\d+$/);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    assert.equal(await startTicks(pid), undefined);
  });
});

async function isFirstThreadGone(pid: number): Promise<boolean> {
  return / Z /.test(await readFile(`/proc/${pid}/stat`, 'latin1'));
}
