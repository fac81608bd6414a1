/**
 * Memory of our own processes on an idle node: their proportional set size, from /proc/<pid>/smaps_rollup through the API.
 */
import { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { TestNode } from '@keelos/tests/test-node.ts';
import { type Figure, figure } from './report.ts';

/** Pages that were needed at start are given back a little later. */
const IDLE_MS = 20_000;

/** `runs` looks at one idle node, {@link IDLE_MS} apart. */
export async function memory(runs: number): Promise<Figure[]> {
  const values: Record<'init' | 'agent' | 'init-and-agent', number[]> = {
    init: [],
    agent: [],
    'init-and-agent': [],
  };
  const node = await TestNode.boot('bench-memory');
  try {
    const enrolled = await node.bootstrap();
    if (enrolled.exitCode !== 0) throw new Error(enrolled.stderr);
    for (let run = 0; run < runs; run++) {
      await new Promise((done) => setTimeout(done, IDLE_MS));
      const client = await node.enrolledClient();
      const { processes } = await client.unary(DiagnosticsService.method.listProcesses);
      client.close();
      const bytes = (isInit: boolean) =>
        processes
          .filter((process) => (process.pid === 1) === isInit)
          .reduce((total, process) => total + Number(process.pssBytes), 0);
      values.init.push(bytes(true));
      values.agent.push(bytes(false));
      values['init-and-agent'].push(bytes(true) + bytes(false));
    }
  } finally {
    await node.destroy();
  }
  return Object.entries(values).map(([name, each]) =>
    figure({ bench: 'memory', name: `pss-${name}`, unit: 'bytes', better: 'lower', values: each }),
  );
}
