import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CONSOLE_WRITE_MS, consoleWriter } from '@keelos/ts-agent/sys/console.ts';

describe('consoles', () => {
  let directory = '';
  const at = (name: string): string => join(directory, name);
  const writer = () =>
    consoleWriter({ active: at('active'), devices: directory, fallback: at('console') });
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'keel-console-'));
    for (const name of ['tty0', 'ttyS0', 'console']) writeFileSync(at(name), '');
  });
  afterEach(() => rmSync(directory, { recursive: true }));
  const texts = () => ['tty0', 'ttyS0', 'console'].map((name) => readFileSync(at(name), 'utf8'));

  it('all get the lines', async () => {
    writeFileSync(at('active'), 'tty0 ttyS0\n');
    await writer()(['one', 'two']);
    assert.deepEqual(texts(), ['one\ntwo\n', 'one\ntwo\n', '']);
  });

  it('/dev/console gets them when there is no list, or nothing of it is there', async () => {
    await writer()(['a']);
    writeFileSync(at('active'), 'hvc0\n');
    await writer()(['b']);
    assert.deepEqual(texts(), ['', '', 'b\n']);
  });

  it('one that stands still is given up, and the other has the lines', async function () {
    this.timeout(20_000);
    execFileSync('mkfifo', [at('hvc0')]);
    await using still = await open(at('hvc0'), constants.O_RDWR | constants.O_NONBLOCK);
    const full = Buffer.alloc(4096);
    await assert.rejects(async () => {
      for (;;) await still.write(full);
    }, /EAGAIN/);
    writeFileSync(at('active'), 'hvc0 tty0\n');
    const startMs = performance.now();
    await writer()(['a']);
    assert.ok(performance.now() - startMs < CONSOLE_WRITE_MS * 3);
    assert.deepEqual(texts(), ['a\n', '', '']);
  });
});
