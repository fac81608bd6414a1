#!/usr/bin/env node
import { runOnPinnedNode } from '../../scripts/lib/pinned-node.mjs';

process.exitCode = await runOnPinnedNode('image/src/main.ts', process.argv.slice(2));
