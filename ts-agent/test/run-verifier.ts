/** Runs the process that verifies from its source. */
import { main } from '@keelos/ts-agent/verifier.ts';

await main();
