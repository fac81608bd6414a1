/**
 * Remembers across boots that this boot loader, started by this firmware, has counted a try. A system that the loader did
 * not start, because its entries were gone, sees nothing of it in its own boot: what was seen before still holds then.
 */
import { encodeRecord } from '@keelos/proto/state-record.ts';
import type { CountingProof } from '@keelos/proto/update-record.ts';
import { COUNTING_PROOF_RECORD, UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { countingProofFrom } from '../core/update-record-shapes.ts';
import type { AgentPorts } from '../ports.ts';
import { attempt } from './attempt.ts';
import type { Esp } from './esp.ts';
import { loaderSha256 } from './loader-copies.ts';
import { readRecord } from './update-records.ts';

const FORM = { path: UPDATE_PATHS.counting, kind: COUNTING_PROOF_RECORD, from: countingProofFrom };
/** What the firmware says of itself (Documentation/ABI/testing/sysfs-class-dmi). */
const FIRMWARE_FILES = ['bios_vendor', 'bios_version', 'bios_date'] as const;

/** The proof of a node. */
export class CountingProofs {
  readonly #ports: Pick<AgentPorts, 'state' | 'files' | 'log'>;

  constructor(ports: Pick<AgentPorts, 'state' | 'files' | 'log'>) {
    this.#ports = ports;
  }

  /** The loader was just seen to count, or not to. What cannot be written down is logged, and comes with the next boot. */
  async remember(esp: Esp, isCounting: boolean): Promise<void> {
    const { state, log } = this.#ports;
    const proof = isCounting ? await this.#now(esp) : undefined;
    const known = this.#known();
    attempt(log, 'boot counting not remembered', () => {
      if (proof === undefined) state.remove(UPDATE_PATHS.counting);
      else if (!isSame(known, proof)) {
        state.replace(UPDATE_PATHS.counting, encodeRecord(COUNTING_PROOF_RECORD, proof));
      }
    });
  }

  /** True when the loader that lies there has counted before, with the firmware that is there. */
  async holds(esp: Esp): Promise<boolean> {
    const known = this.#known();
    return known !== undefined && isSame(await this.#now(esp), known);
  }

  /** Undefined when the copies of the loader differ, or the firmware says nothing of itself. */
  async #now(esp: Esp): Promise<CountingProof | undefined> {
    const { files } = this.#ports;
    const said = await Promise.all(
      FIRMWARE_FILES.map((name) => files.readText(`/sys/class/dmi/id/${name}`)),
    );
    const firmware = said.map((text) => text?.trim() ?? '').join(' / ');
    const sha256 = await loaderSha256(esp);
    return said.every((text) => text === undefined) || sha256 === undefined
      ? undefined
      : { loaderSha256: sha256, firmware };
  }

  #known(): CountingProof | undefined {
    return attempt(this.#ports.log, 'boot counting before not known', () =>
      readRecord(this.#ports, FORM),
    );
  }
}

function isSame(a: CountingProof | undefined, b: CountingProof): boolean {
  return a?.loaderSha256 === b.loaderSha256 && a.firmware === b.firmware;
}
