/** What the update server counts, as Prometheus reads it (text format 0.0.4). Pure. */

/** Kind and help of every metric. */
export const METRICS = {
  keel_serve_requests_total: ['counter', 'Requests that were answered, by status.'],
  keel_serve_sent_bytes_total: ['counter', 'Bytes of bodies that were handed to the system.'],
  keel_serve_refused_total: ['counter', 'Connections and requests that were cut off, by reason.'],
  keel_serve_connections: ['gauge', 'Open connections.'],
  keel_serve_block_reads_total: [
    'counter',
    'Blocks of files that were asked for: from memory or disk.',
  ],
  keel_serve_block_memory_bytes: ['gauge', 'Blocks of files in memory.'],
  keel_serve_delta_generations_total: ['counter', 'Deltas that were made on demand, by outcome.'],
  keel_serve_delta_generation_seconds_total: ['counter', 'Time that this took.'],
  keel_serve_delta_waiting: ['gauge', 'Deltas that wait to be made, and the one that is.'],
  keel_serve_delta_cache_bytes: ['gauge', 'Deltas on demand that are kept.'],
  keel_serve_delta_cache_evictions_total: ['counter', 'Deltas that gave way to others.'],
  keel_serve_log_lines_dropped_total: [
    'counter',
    'Lines of the access log that nobody took in time.',
  ],
  keel_serve_channel_number: ['gauge', 'Number of the metadata of a channel.'],
  keel_serve_channel_expires_seconds: [
    'gauge',
    'When the metadata of a channel ends, Unix seconds.',
  ],
} as const satisfies Readonly<Record<string, readonly [kind: string, help: string]>>;

/** Name of a metric. */
export type MetricName = keyof typeof METRICS;

/** One value. `label` is what its one label says, when it has one. */
export interface Sample {
  readonly name: MetricName;
  readonly label?: readonly [name: string, value: string];
  readonly value: number;
}

/** Counts by metric and label. Labels come from a fixed set, so there are never many. */
export class Counters {
  readonly #values = new Map<string, Sample>();

  /** Adds to a counter. */
  add(name: MetricName, amount: number, label?: Sample['label']): void {
    const key = `${name} ${label?.join('=') ?? ''}`;
    const value = (this.#values.get(key)?.value ?? 0) + amount;
    this.#values.set(key, { name, value, ...(label === undefined ? {} : { label }) });
  }

  /** All counters so far. */
  samples(): Sample[] {
    return [...this.#values.values()];
  }
}

/** The page at /metrics. */
export function metricsText(samples: readonly Sample[]): string {
  const lines = Object.entries(METRICS).flatMap(([name, [kind, help]]) => {
    const own = samples.filter((sample) => sample.name === name);
    if (own.length === 0) return [];
    return [`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`, ...own.map(sampleLine)];
  });
  return `${lines.join('\n')}\n`;
}

function sampleLine({ name, label, value }: Sample): string {
  if (label === undefined) return `${name} ${value}`;
  const text = label[1].replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
  return `${name}{${label[0]}="${text}"} ${value}`;
}
