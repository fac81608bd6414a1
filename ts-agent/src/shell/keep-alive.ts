/** Tells PID 1 that the agent does not hang. When it falls silent, PID 1 kills it and starts another. */
import { AGENT_NAME } from '@keelos/proto/init-control.ts';
import type { AgentPorts } from '../ports.ts';
import { replyError } from '../sys/init-client.ts';

/** Between two words; PID 1 waits for six of them (ts-init/src/core/services.data.ts). */
export const KEEP_ALIVE_MS = 30_000;

/** One for each agent. What it tells is that the agent's loop goes round: a timer of it sends the word. */
export class KeepAlive {
  readonly #ports: Pick<AgentPorts, 'init' | 'log'>;
  #timer: NodeJS.Timeout | undefined;
  #reported = '';

  constructor(ports: Pick<AgentPorts, 'init' | 'log'>) {
    this.#ports = ports;
  }

  /** The first word at once. */
  start(): void {
    void this.tell();
    this.#timer = setInterval(() => void this.tell(), KEEP_ALIVE_MS);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Never rejects: a PID 1 that cannot be asked is told once for each reason. */
  async tell(): Promise<void> {
    try {
      const reply = await this.#ports.init.request({ op: 'keepAlive', service: AGENT_NAME });
      if (reply.type === 'error') throw replyError(reply);
      this.#reported = '';
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      if (reason !== this.#reported) this.#ports.log(`PID 1 not told: ${reason}`);
      this.#reported = reason;
    }
  }
}
