/**
 * Remembers for one boot whether the loader has counted a try. Its name for the entry that it started is in a firmware
 * variable, what it made of it is on the disk: until the agent puts the tries back. So the first look is kept in /run,
 * which ends with the boot.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import { decodeRecord, encodeRecord } from '@keelos/proto/state-record.ts';
import { type PictureEntry, showsSpentTry } from '../core/boot-state.ts';
import { LOADER_SELECTED, loaderText } from '../core/loader-variables.ts';
import type { AgentPorts } from '../ports.ts';

/** The record. */
export const COUNTING_PATH = '/run/keel/boot-counting.rec';
const COUNTING_RECORD = { kind: 'boot-counting', version: 1 };

/** What was seen in this boot. */
export class CountingWitness {
  readonly #ports: Pick<AgentPorts, 'variables' | 'state' | 'log'>;
  #isCounting: boolean | undefined;

  constructor(ports: Pick<AgentPorts, 'variables' | 'state' | 'log'>) {
    this.#ports = ports;
    try {
      const bytes = ports.state.read(COUNTING_PATH);
      const value = bytes === undefined ? undefined : decodeRecord(COUNTING_RECORD, bytes);
      if (typeof value === 'boolean') this.#isCounting = value;
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      ports.log(`boot counting before this start not known: ${cause.message}`);
    }
  }

  /** What is remembered; undefined: nothing was seen yet. */
  get isCounting(): boolean | undefined {
    return this.#isCounting;
  }

  /** Name of the entry that the loader started, in lower case; undefined when it started none. */
  async selected(): Promise<string | undefined> {
    const variable = await this.#ports.variables.read(LOADER_SELECTED);
    if (variable === undefined) return undefined;
    return loaderText(variable.data).toLowerCase();
  }

  /** Whether the loader counts: as it was seen first in this boot. undefined: it cannot be told. */
  judge(entry: PictureEntry | undefined, selected: string | undefined): boolean | undefined {
    if (this.#isCounting !== undefined) return this.#isCounting;
    const seen = showsSpentTry(entry, selected);
    if (seen === undefined) return undefined;
    this.#isCounting = seen;
    try {
      this.#ports.state.replace(COUNTING_PATH, encodeRecord(COUNTING_RECORD, seen));
    } catch (cause) {
      if (!(cause instanceof KeelError)) throw cause;
      this.#ports.log(`boot counting not remembered: ${cause.message}`);
    }
    return seen;
  }
}
