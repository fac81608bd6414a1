/**
 * Bugs that are planted in the agent to see whether a sweep finds them. Each changes a few words of one module and leaves
 * everything else as it is; all of them pass every test that does not cut the power or spoil a write.
 */
import type { SourceEdit } from './agent-variants.ts';

/** A bug. */
export interface PlantedBug {
  readonly name: string;
  readonly edits: readonly SourceEdit[];
  /** Scenario in which it shows. */
  readonly scenario: string;
  /** What the sweep says of it. */
  readonly found: RegExp;
}

/** All of them. */
export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: 'no flush at the end of the root',
    edits: [
      {
        file: 'shell/root-copy.ts',
        find: '  await pending;\n  await slotWrite(device.flush());',
        replace: '  await pending;',
      },
    ],
    scenario: 'an update that is committed',
    found: /the root of 2\.0\.0 is not whole/,
  },
  {
    name: 'a file gets its name before the tables have its clusters',
    edits: [
      {
        file: 'shell/esp.ts',
        find: `      await this.#replaceTable(withChain(this.#volume.table, clusters));
      const firstCluster`,
        replace: '      const firstCluster',
      },
      {
        file: 'shell/esp.ts',
        find: 'await this.#addRecord(folder, { name, isDirectory: false, firstCluster, sizeBytes });',
        replace: `await this.#addRecord(folder, { name, isDirectory: false, firstCluster, sizeBytes });
          await this.#replaceTable(withChain(this.#volume.table, clusters));`,
      },
    ],
    scenario: 'an update that is committed',
    found: /its chain has no end|clusters for/,
  },
  {
    name: 'both partition tables written before either is flushed',
    edits: [
      {
        file: 'shell/slot-guid.ts',
        find: '    await disk.flush();\n  }',
        replace: '  }\n  await disk.flush();',
      },
    ],
    scenario: 'an update that is committed',
    found: /Cannot read partition table/,
  },
  {
    name: 'armed before the partition has its GUID',
    edits: [
      {
        file: 'core/update-transitions.ts',
        find: "['writing', 'done', 'verifying', 'verify-root', 'name-slot']",
        replace: "['writing', 'done', 'verifying', 'verify-root']",
      },
      {
        file: 'core/update-transitions.ts',
        find: "['arming', 'done', 'armed', 'forget-resume']",
        replace: "['arming', 'done', 'armed', 'name-slot', 'forget-resume']",
      },
    ],
    scenario: 'an update that is committed',
    found: /no partition has the GUID of 2\.0\.0/,
  },
  {
    name: 'the slot is written before its old entry is gone',
    edits: [
      {
        file: 'core/update-transitions.ts',
        find: "['checking', 'done', 'disarming', 'open-history', 'disarm']",
        replace: "['checking', 'done', 'disarming', 'open-history']",
      },
      {
        file: 'core/update-transitions.ts',
        find: "['verifying', 'done', 'placing', 'place-kernel-image']",
        replace: "['verifying', 'done', 'placing', 'disarm', 'place-kernel-image']",
      },
    ],
    scenario: 'a second update over what the first has left',
    found: /the root of 1\.0\.0 is not whole/,
  },
  {
    name: 'the slot is read back from the page cache',
    edits: [
      {
        file: 'shell/installer.ts',
        find: "await slotRead('read', device.dropCache());",
        replace: '',
      },
    ],
    scenario: 'a drive that writes something else into the slot',
    found: /the install ended with armed/,
  },
  {
    name: 'the kernel image is not read back',
    edits: [
      {
        file: 'shell/boot-state.ts',
        find: 'if (found === image.sha256) return;',
        replace: 'return;',
      },
    ],
    scenario: 'a drive that writes something else for the kernel image',
    found: /the install ended with armed/,
  },
  {
    name: 'the counter of a trial is left in place when it is committed',
    edits: [
      {
        file: 'shell/committer.ts',
        find: 'await this.#ports.boot.commit(trial.sequence);',
        replace: '',
      },
    ],
    scenario: 'an update that is committed',
    found: /is next, and does not start|the history says|has not got its tries back/,
  },
  {
    name: 'tries are not put back',
    edits: [
      {
        file: 'shell/boot-state.ts',
        find: 'await perform(esp, planPutBack(await this.#picture(esp)));',
        replace: '',
      },
    ],
    scenario: 'the first boot',
    found: /has not got its tries back/,
  },
  {
    name: 'a rename takes the old name away before it writes the new one',
    edits: [
      {
        file: 'shell/esp.ts',
        find: `newName);
      if (states !== undefined) return this.#replaceFolder(folder, states);`,
        replace: `newName);
      if (states !== undefined) {
          await this.#replaceFolder(folder, withoutRecord(folder.bytes, record));
          const emptied = await this.#volume.folder(path.split('/').slice(0, -1).join('/'));
          if (emptied !== undefined) await this.#addRecord(emptied, { ...record, name: newName });
          return;
        }`,
      },
    ],
    scenario: 'a second update over what the first has left',
    found: /a committed release gave way/,
  },
  {
    name: 'records are renamed into place before they are synced',
    edits: [{ file: 'sys/state-store.ts', find: '    calls.sync(file);', replace: '' }],
    scenario: 'an update that is committed',
    found: /E_RECORD_DAMAGED|Cannot read .* record/,
  },
  {
    name: 'armed before the trial is recorded',
    edits: [
      {
        file: 'shell/installer.ts',
        find: '    keepTrial(this.#ports, trial);',
        replace: '',
      },
      {
        file: 'shell/installer.ts',
        find: "'forget-resume': async () => forgetResume(ports),",
        replace:
          "'forget-resume': async ({ trial }) => { if (trial !== undefined) keepTrial(ports, trial); forgetResume(ports); },",
      },
    ],
    scenario: 'an update whose trial never gets healthy',
    found: /3\.0\.0 was tried, and is not remembered/,
  },
  {
    name: 'the trial record is forgotten before the history is closed',
    edits: [
      {
        file: 'shell/trial-ledger.ts',
        find: '    const found = findTrialEvidence(this.#ports, record);\n    const entry',
        replace:
          '    const found = findTrialEvidence(this.#ports, record);\n    forgetTrial(this.#ports);\n    const entry',
      },
    ],
    scenario: 'an update whose trial never gets healthy',
    found: /the trial of 3\.0\.0 is told as failed/,
  },
  {
    name: 'the ladder of boot options is not made',
    edits: [
      {
        file: 'shell/boot-ladder.ts',
        find: 'for (const change of planLadder(firmware, wanted)) {',
        replace: 'for (const change of planLadder(firmware, wanted).slice(0, 0)) {',
      },
    ],
    scenario: 'an update whose kernel image cannot be loaded',
    found: /the node is stuck: nothing to start/,
  },
  {
    name: 'a damaged loader is not written anew',
    edits: [
      {
        file: 'shell/loader-copies.ts',
        find: "if (found.kind !== 'damaged') return",
        replace: "if (found.kind !== 'damaged' || found.copy === 0) return",
      },
    ],
    scenario: 'a first loader that is damaged',
    found: /the node is stuck: nothing to start/,
  },
];
