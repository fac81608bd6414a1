/**
 * Keeps the ladder of this node in order, which starts it when the loader on the EFI system partition is damaged, or its
 * entries are gone: the firmware's boot options, and the two copies of the loader that the first of them start.
 */
import { KeelError } from '@keelos/proto/errors.ts';
import {
  BOOT_ORDER,
  type Committed,
  type FirmwareOptions,
  judgeLadder,
  loaderDamage,
  lostOptions,
  OPTIONS_MAX,
  optionNumber,
  parseBootOrder,
  planLadder,
  possibleOptions,
  type Rung,
  wantedOptions,
  withLoaders,
} from '../core/boot-options.ts';
import type { OptionPartition } from '../core/load-option.ts';
import type { LoaderVerdict } from '../core/loader-copies.ts';
import type { AgentPorts } from '../ports.ts';
import { attemptAsync } from './attempt.ts';
import type { BootState } from './boot-state.ts';
import { hadOptions, rememberLoader } from './loader-copies.ts';
import { espPartition } from './node-facts.ts';
import { readGpt } from './slots.ts';

/** Ports of {@link BootLadder}. */
export type LadderPorts = Pick<AgentPorts, 'files' | 'targetOf' | 'variables' | 'state' | 'log'>;

/** The ladder as it is. */
export interface LadderFacts {
  /** False: the firmware keeps no variables, so there is no ladder. */
  readonly isAvailable: boolean;
  /** In the order that they must have; empty when there is no ladder. */
  readonly rungs: readonly Rung[];
  /** The copies of the loader as they were when they were mended last; undefined: not yet. */
  readonly loaders: LoaderVerdict | undefined;
}

/** The copies of the loader: {@link BootState} has them. */
export type LoaderControl = Pick<BootState, 'mendLoaders'>;

/** The ladder of the node. */
export class BootLadder {
  readonly #ports: LadderPorts;
  readonly #loaders: LoaderControl;
  /** As they were when they were mended last; undefined: not yet in this start of the agent. */
  #seenLoaders: LoaderVerdict | undefined;

  constructor(ports: LadderPorts, loaders: LoaderControl) {
    this.#ports = ports;
    this.#loaders = loaders;
  }

  /**
   * Looks, and changes nothing. Without a committed release any kernel image will do on the last rung.
   *
   * @throws KeelError E_DISK_LAYOUT when the partition cannot be named
   */
  async check(committed?: Committed): Promise<LadderFacts> {
    const loaders = this.#seenLoaders;
    if (!this.#ports.variables.isAvailable) return { isAvailable: false, rungs: [], loaders };
    const partition = await this.#partition();
    const firmware = await this.#options();
    const wanted =
      committed === undefined
        ? possibleOptions(partition, firmware)
        : wantedOptions(partition, committed);
    return {
      isAvailable: true,
      rungs: withLoaders(judgeLadder(firmware, wanted), loaders),
      loaders,
    };
  }

  /**
   * Puts the ladder in order. Only what is wrong is written: first the copies of the loader, which need no firmware that
   * takes variables. What cannot be mended is logged, and keeps nothing else from it.
   *
   * @returns what was damaged, a sentence each. That boot options are not there yet is none on a node that starts for the
   * first time.
   */
  async repair(committed: Committed): Promise<readonly string[]> {
    const { log } = this.#ports;
    const mending = await attemptAsync(log, 'boot loader', () => this.#loaders.mendLoaders());
    const { written, verdict = { kind: 'unknown' } } = mending ?? {};
    const isKnown = hadOptions(this.#ports);
    this.#seenLoaders = verdict;
    const options = await attemptAsync(log, 'boot options', () => this.#repairOptions(committed));
    if (verdict.kind === 'equal') {
      const isInOrder = options?.isInOrder === true;
      rememberLoader({ sha256: verdict.sha256, hadOptions: isInOrder }, this.#ports);
    }
    const damage = [
      written === undefined ? '' : loaderDamage(written),
      isKnown ? (options?.lost ?? '') : '',
    ];
    return damage.filter((one) => one !== '');
  }

  /** @throws KeelError E_DISK_LAYOUT; E_INTERNAL when the firmware refuses a variable */
  async #repairOptions(
    committed: Committed,
  ): Promise<{ readonly lost: string; readonly isInOrder: boolean }> {
    const { variables } = this.#ports;
    if (!variables.isAvailable) return { lost: '', isInOrder: true };
    const wanted = wantedOptions(await this.#partition(), committed);
    const firmware = await this.#options();
    for (const change of planLadder(firmware, wanted)) {
      if (change.kind === 'remove') await variables.remove(change.name);
      else await variables.write(change.name, change);
    }
    const after = judgeLadder(await this.#options(), wanted);
    return {
      lost: lostOptions(judgeLadder(firmware, wanted)),
      isInOrder: after.every(({ isCorrect }) => isCorrect),
    };
  }

  async #options(): Promise<FirmwareOptions> {
    const { variables } = this.#ports;
    const order = await variables.read(BOOT_ORDER);
    const options = new Map<number, Uint8Array>();
    for (const name of await variables.list()) {
      const number = optionNumber(name);
      if (number === undefined || options.size >= OPTIONS_MAX) continue;
      const found = await variables.read(name);
      if (found !== undefined) options.set(number, found.data);
    }
    return { order: order === undefined ? [] : parseBootOrder(order.data), options };
  }

  async #partition(): Promise<OptionPartition> {
    const esp = await espPartition(this.#ports);
    const gpt = esp === undefined ? undefined : await readGpt(this.#ports, esp.disk);
    const found = gpt?.partitions.find(({ number }) => number === esp?.number);
    if (found === undefined) {
      throw new KeelError(
        'E_DISK_LAYOUT',
        'Cannot name EFI system partition: it is not in the table',
      );
    }
    const { number, firstLba, lastLba, guid } = found;
    return { number, firstLba, sectors: lastLba - firstLba + 1, guid };
  }
}
