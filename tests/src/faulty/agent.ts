/** An agent that fails on purpose, as `KEEL_FAULT=…` on the kernel's command line says. */
import { readFileSync } from 'node:fs';
import os from 'node:os';
import { main as realMain } from '@keelos/ts-agent/main.ts';

/** What takes the place of the `main` of the agent. */
export async function main(): Promise<void> {
  const fault = /\bKEEL_FAULT=([a-z-]+)/.exec(readFileSync('/proc/cmdline', 'utf8'))?.[1];
  if (fault === 'agent-dies') throw new Error('this release dies on purpose');
  // It answers, and its check of the network never passes.
  if (fault === 'agent-unhealthy') os.networkInterfaces = () => ({});
  await realMain();
}
