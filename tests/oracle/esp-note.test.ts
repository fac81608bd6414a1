/** The note in the reserved sectors of the EFI system partition is nobody else's business. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ESP_NOTE, encodeEspNote, noteRoomProblem } from '@keelos/proto/trial-traces.ts';
import { readBytes, tool, writeBytes } from '@keelos/tests/disk.ts';

const ESP_BYTES = 64 * 1024 * 1024;

describe('the note on the EFI system partition', () => {
  it('leaves the file system as it was, to those who check it and those who write it', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'keel-esp-note-'));
    const image = join(dir, 'esp.img');
    try {
      await writeFile(image, '');
      await tool('truncate', '--size', String(ESP_BYTES), image);
      await tool('mkfs.vfat', '-F', '32', '-n', 'KEEL', image);
      await writeFile(join(dir, 'a'), 'some bytes');
      await tool('mcopy', '-i', image, join(dir, 'a'), '::a');
      assert.equal(noteRoomProblem(await readBytes(image, 0, 512)), '');
      const before = await tool('fsck.vfat', '-n', '-v', image);
      const note = encodeEspNote({ timeMs: 1_780_000_000_000, reason: 'a probe is red' });
      await writeBytes(image, ESP_NOTE.offsetBytes, note);
      assert.equal(await tool('fsck.vfat', '-n', '-v', image), before);
      await tool('mcopy', '-i', image, join(dir, 'a'), '::b');
      assert.equal(await tool('mtype', '-i', image, '::a'), 'some bytes');
      await tool('fsck.vfat', '-n', image);
      assert.deepEqual(await readBytes(image, ESP_NOTE.offsetBytes, ESP_NOTE.sizeBytes), note);
    } finally {
      await rm(dir, { recursive: true });
    }
  });
});
