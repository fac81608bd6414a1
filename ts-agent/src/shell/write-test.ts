/** Whether the state partition takes data, tried seldom: who watches the health must not wear out the disk. */
import { NODE_PATHS } from '@keelos/proto/node-paths.ts';
import type { AgentPorts } from '../ports.ts';

/** A write that worked is not tried again for this long. One that failed is: it wears nothing, and may work again. */
export const WRITE_TEST_MS = 60_000;
const PATH = `${NODE_PATHS.stateDir}/write-test`;

/** The test and when it worked last. */
export class WriteTest {
  readonly #ports: Pick<AgentPorts, 'state' | 'clock'>;
  #workedAtMs: number | undefined;

  constructor(ports: Pick<AgentPorts, 'state' | 'clock'>) {
    this.#ports = ports;
  }

  /** Why a file could not be written and synced; empty when it could, now or within the last minute. */
  async problem(): Promise<string> {
    const { state, clock } = this.#ports;
    const nowMs = clock.monotonicMs();
    if (this.#workedAtMs !== undefined && nowMs - this.#workedAtMs < WRITE_TEST_MS) return '';
    this.#workedAtMs = undefined;
    try {
      await state.probe(PATH);
    } catch (cause) {
      return cause instanceof Error ? cause.message : String(cause);
    }
    this.#workedAtMs = nowMs;
    return '';
  }
}
