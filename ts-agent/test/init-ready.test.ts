import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { waitForInit } from '../src/sys/init-ready.ts';

describe('waiting for PID 1', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'keel-ready-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('goes on when the socket is there, or as soon as it comes', async () => {
    const path = join(folder, 'init.sock');
    const waiting = waitForInit(path, 10_000);
    writeFileSync(path, '');
    await waiting;
    await waitForInit(path, 0);
  });

  it('gives up with a code', async () => {
    await assert.rejects(waitForInit(join(folder, 'none'), 1), { code: 'E_INIT_UNREACHABLE' });
  });
});
