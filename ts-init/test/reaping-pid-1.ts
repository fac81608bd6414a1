// Runs as PID 1 of a namespace: starts children that leave orphans behind, and shows what became of both.
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseProcessStat } from '../src/core/process-stat.ts';
import { reapOrphans } from '../src/shell/reaper.ts';
import { linuxFiles } from '../src/sys/files.ts';
import { createLinuxProcesses } from '../src/sys/processes.ts';
import { listenSignals } from '../src/sys/signals.ts';
import { linuxSyscalls } from '../src/sys/syscalls.ts';
import { createFakeMachine } from './fake-machine.ts';

const CHILDREN = 20;
const WAIT_MS = 10_000;

const processes = createLinuxProcesses();
const machine = { ...createFakeMachine(), processes, files: linuxFiles, syscalls: linuxSyscalls };
let orphansSeen = 0;
const reap = () => {
  orphansSeen += reapOrphans(machine).length;
};
listenSignals({ leave() {}, child: reap });

const exits: string[] = [];
for (let count = 0; count < CHILDREN; count += 1) {
  processes.spawn(
    {
      executable: '/bin/sh',
      argv0: 'sh',
      // The inner shell is orphaned when the outer one ends, and dies a little later.
      args: ['-c', '(sleep 0.2; exit 5) & exit 7'],
      environment: {},
    },
    { output() {}, outputEnded() {}, exited: (exit) => exits.push(exit) },
  );
}

function zombies(): number {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => {
      try {
        return parseProcessStat(linuxFiles.readText(`/proc/${name}/stat`));
      } catch {
        return undefined;
      }
    })
    .filter((stat) => stat?.state === 'Z').length;
}

const deadline = performance.now() + WAIT_MS;
while ((exits.length < CHILDREN || orphansSeen < CHILDREN) && performance.now() < deadline) {
  await delay(20);
}
await delay(50);
reap();
const result = { pid: process.pid, orphansSeen, zombiesLeft: zombies(), exits };
process.stdout.write(JSON.stringify(result));
