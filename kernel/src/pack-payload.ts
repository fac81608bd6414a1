// Stands in the place of the zstd command in a kernel build: packs standard input to standard output, whatever is asked for.

import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { packKernel } from '@keelos/as-core/kernel-packing.ts';

const kernel = await buffer(process.stdin);
await pipeline(packKernel([kernel], kernel.length), process.stdout);
