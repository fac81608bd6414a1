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
import type { AgentPorts } from '../ports.ts';
import { attemptAsync } from './attempt.ts';
import type { BootState } from './boot-state.ts';
import { espPartition } from './node-facts.ts';
import { readGpt } from './slots.ts';

/** Ports of {@link BootLadder}. */
export type LadderPorts = Pick<AgentPorts, 'files' | 'targetOf' | 'variables' | 'log'>;

/** The ladder as it is. */
export interface LadderFacts {
  /** False: the firmware keeps no variables, so there is no ladder. */
  readonly isAvailable: boolean;
  /** In the order that they must have; empty when there is no ladder. */
  readonly rungs: readonly Rung[];
}

/** The ladder after it was mended. */
export interface LadderRepair extends LadderFacts {
  /**
   * What was damaged, a sentence each. That boot options are not there yet is none on a node that starts for the first
   * time.
   */
  readonly damage: readonly string[];
}

/** The copies of the loader: {@link BootState} has them. */
export type LoaderControl = Pick<BootState, 'loaders' | 'mendLoaders' | 'rememberLoader'>;

/** The ladder of the node. */
export class BootLadder {
  readonly #ports: LadderPorts;
  readonly #loaders: LoaderControl;

  constructor(ports: LadderPorts, loaders: LoaderControl) {
    this.#ports = ports;
    this.#loaders = loaders;
  }

  /**
   * Looks, and changes nothing. Without a committed release any kernel image will do on the last rung.
   *
   * @throws KeelError E_DISK_LAYOUT when the partition cannot be named; E_ESP_DAMAGED
   */
  async check(committed?: Committed): Promise<LadderFacts> {
    if (!this.#ports.variables.isAvailable) return { isAvailable: false, rungs: [] };
    const partition = await this.#partition();
    const firmware = await this.#options();
    const wanted =
      committed === undefined
        ? possibleOptions(partition, firmware)
        : wantedOptions(partition, committed);
    const rungs = withLoaders(judgeLadder(firmware, wanted), await this.#loaders.loaders());
    return { isAvailable: true, rungs };
  }

  /**
   * Puts the ladder in order, and looks again. Only what is wrong is written: first the copies of the loader, which need
   * no firmware that takes variables.
   *
   * @throws KeelError E_DISK_LAYOUT, E_ESP_DAMAGED, E_ESP_FULL; E_INTERNAL when the firmware refuses a variable
   */
  async repair(committed: Committed): Promise<LadderRepair> {
    const { variables, log } = this.#ports;
    const mending = await attemptAsync(log, 'boot loader', () => this.#loaders.mendLoaders());
    const { written, wasKnown = false, verdict = { kind: 'unknown' } } = mending ?? {};
    const damage = written === undefined ? [] : [loaderDamage(written)];
    const remember = () => {
      if (verdict.kind === 'equal') this.#loaders.rememberLoader(verdict.sha256);
    };
    if (!variables.isAvailable) {
      remember();
      return { isAvailable: false, rungs: [], damage };
    }
    const wanted = wantedOptions(await this.#partition(), committed);
    const firmware = await this.#options();
    const lost = lostOptions(judgeLadder(firmware, wanted));
    if (wasKnown && lost !== '') damage.push(lost);
    for (const change of planLadder(firmware, wanted)) {
      if (change.kind === 'remove') await variables.remove(change.name);
      else await variables.write(change.name, change);
    }
    const rungs = judgeLadder(await this.#options(), wanted);
    remember();
    return { isAvailable: true, rungs: withLoaders(rungs, verdict), damage };
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
