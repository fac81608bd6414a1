/**
 * The program in the image. One file, and the name that it was started under says what it is; the parts are loaded
 * on demand, so that PID 1 does not pay for the agent's modules.
 */
import { basename } from 'node:path';

/** Under which name which part starts. */
const PARTS: Readonly<Record<string, () => Promise<{ main(): Promise<void> }>>> = {
  init: () => import('@keelos/ts-init/main.ts'),
  'keel-init': () => import('@keelos/ts-init/main.ts'),
  'keel-agent': () => import('@keelos/ts-agent/main.ts'),
};

const name = basename(process.argv0);
const load = PARTS[name];
if (load === undefined) {
  process.stderr.write(`keel: started as "${name}", known are ${Object.keys(PARTS).join(', ')}\n`);
  process.exitCode = 2;
} else {
  load().then((part) => part.main());
}
