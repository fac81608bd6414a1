import assert from 'node:assert/strict';
import { type FollowedMachine, followConsole } from '@keelos/image/shell/console-watch.ts';

/** A machine that prints a part each time somebody has looked, so that its log has always grown since. */
class TalkingMachine implements FollowedMachine {
  readonly consoleOffset: number;
  readonly #parts: Buffer[];
  #log: Buffer;

  constructor(before: Buffer, parts: readonly Buffer[]) {
    this.consoleOffset = before.length;
    this.#log = before;
    this.#parts = [...parts];
  }

  /** Off once everything is printed. */
  async isRunning(): Promise<boolean> {
    return this.#parts.length > 0;
  }

  async consoleBytes(from: number, bytesMax: number): Promise<Buffer> {
    const found = this.#log.subarray(from, from + bytesMax);
    this.#log = Buffer.concat([this.#log, this.#parts.shift() ?? Buffer.alloc(0)]);
    return found;
  }
}

describe('the console of a machine, passed on', () => {
  const shown = async (machine: FollowedMachine) => {
    const parts: Buffer[] = [];
    await followConsole(machine, (bytes) => parts.push(bytes));
    return Buffer.concat(parts);
  };

  it('has every byte once, whatever is printed between two looks', async () => {
    const parts = ['one', ' and', ' \u20ac', '', ' last'].map((text) => Buffer.from(text));
    const machine = new TalkingMachine(Buffer.from('of the start before'), parts);
    assert.equal((await shown(machine)).toString(), 'one and \u20ac last');
  });

  it('has a console that is longer than one part, too', async () => {
    const long = Buffer.alloc(3_000_000, 'keel');
    const machine = new TalkingMachine(Buffer.alloc(0), [long]);
    assert.ok((await shown(machine)).equals(long));
  });

  it('is empty for a machine that is off and has printed nothing', async () => {
    assert.equal((await shown(new TalkingMachine(Buffer.from('old'), []))).length, 0);
  });
});
