/** osctl get boot, image-files, mounts, processes, security */
import { formatBytes } from '@keelos/proto/byte-text.ts';
import {
  type BootStep,
  DiagnosticsService,
  FileType,
  FileTypeSchema,
  GetBootTimingResponseSchema,
  GetSecurityResponseSchema,
  type ListImageFilesResponse,
  ListImageFilesResponseSchema,
  ListMountsResponseSchema,
  ListProcessesResponseSchema,
  type Mount,
  type Process,
} from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { enumName, type PlainObject, toPlain } from '../core/plain.ts';
import { type Column, factLines, tableLines } from '../core/render.ts';
import { type Command, withNode } from '../shell/invocation.ts';

const MICROSECONDS = 1_000_000;
/** An image has some hundred files; a node that sends more than this is not answering the question. */
const IMAGE_FILES_MAX = 200_000;

const MOUNT_COLUMNS: Column<Mount>[] = [
  { header: 'mount point', value: (mount) => mount.mountPoint },
  { header: 'type', value: (mount) => mount.type },
  { header: 'source', value: (mount) => mount.source },
  { header: 'options', value: (mount) => mount.options.join(',') },
];

const PROCESS_COLUMNS: Column<Process>[] = [
  { header: 'pid', value: (process) => String(process.pid), align: 'right' },
  { header: 'parent', value: (process) => String(process.parentPid), align: 'right' },
  { header: 'rss', value: (process) => formatBytes(process.rssBytes), align: 'right' },
  { header: 'pss', value: (process) => formatBytes(process.pssBytes), align: 'right' },
  { header: 'command', value: (process) => process.command },
];

/** Permission bits as people write them: "0755". */
function modeText({ mode }: ListImageFilesResponse): string {
  return mode.toString(8).padStart(4, '0');
}

/** A file as plain data, with its mode as the table shows it. */
function fileData(file: ListImageFilesResponse): PlainObject {
  return { ...toPlain(ListImageFilesResponseSchema, file), mode: modeText(file) };
}

const FILE_COLUMNS: Column<ListImageFilesResponse>[] = [
  { header: 'mode', value: modeText },
  { header: 'type', value: (file) => enumName(FileTypeSchema, file.type) },
  {
    header: 'size',
    value: (file) => (file.type === FileType.REGULAR ? String(file.sizeBytes) : ''),
    align: 'right',
  },
  {
    header: 'path',
    value: (file) => (file.linkTarget === '' ? file.path : `${file.path} -> ${file.linkTarget}`),
  },
];

const BOOT_COLUMNS: Column<BootStep>[] = [
  {
    header: 'seconds',
    value: (step) => (Number(step.monotonicUs) / MICROSECONDS).toFixed(3),
    align: 'right',
  },
  { header: 'step', value: (step) => step.name },
];

const mounts: Command = {
  name: 'mounts',
  summary: "Show the node's mounts with their options",
  examples: [{ command: 'osctl get mounts', does: 'In mount order' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(DiagnosticsService.method.listMounts, {});
      const data = toPlain(ListMountsResponseSchema, answer);
      return { view: { data, lines: tableLines(MOUNT_COLUMNS, answer.mounts) } };
    }),
};

const processes: Command = {
  name: 'processes',
  summary: "Show the node's processes with their memory",
  examples: [
    { command: 'osctl get processes', does: 'Kernel threads are left out' },
    {
      command: "osctl get processes -o json | jq '[.processes[].pssBytes] | add'",
      does: 'Memory of all processes together',
    },
  ],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(DiagnosticsService.method.listProcesses, {});
      const data = toPlain(ListProcessesResponseSchema, answer);
      return { view: { data, lines: tableLines(PROCESS_COLUMNS, answer.processes) } };
    }),
};

const imageFiles: Command = {
  name: 'image-files',
  summary: "Show every file of the node's root file system",
  examples: [{ command: 'osctl get image-files', does: 'Mode, type, size and path of each file' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const files: ListImageFilesResponse[] = [];
      for await (const file of client.stream(DiagnosticsService.method.listImageFiles, {})) {
        if (files.length >= IMAGE_FILES_MAX) throw new RangeError('too many files in the image');
        files.push(file);
      }
      const data = { files: files.map(fileData) };
      return { view: { data, lines: tableLines(FILE_COLUMNS, files) } };
    }),
};

const security: Command = {
  name: 'security',
  summary: 'Show what protects the running kernel and root',
  examples: [{ command: 'osctl get security -o yaml', does: 'Lockdown, modules, root, verity' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(DiagnosticsService.method.getSecurity, {});
      const root = `${answer.rootType} on ${answer.rootDevice}`;
      const lines = factLines([
        ['lockdown', answer.lockdown],
        ['security modules', answer.securityModules.join(', ')],
        ['root', `${root}, ${answer.rootReadOnly ? 'read-only' : 'WRITABLE'}`],
        ['root target', answer.rootTarget],
        ['root hash', answer.rootHash],
        ['command line', answer.commandLine],
      ]);
      return { view: { data: toPlain(GetSecurityResponseSchema, answer), lines } };
    }),
};

const boot: Command = {
  name: 'boot',
  summary: 'Show when each step of this boot was reached',
  examples: [{ command: 'osctl get boot', does: 'Seconds since the kernel started' }],
  run: (invocation) =>
    withNode(invocation, async ({ client }) => {
      const answer = await client.call(DiagnosticsService.method.getBootTiming, {});
      const data = toPlain(GetBootTimingResponseSchema, answer);
      return { view: { data, lines: tableLines(BOOT_COLUMNS, answer.steps) } };
    }),
};

/** The commands. */
export const diagnosticsCommands: readonly Command[] = [
  boot,
  imageFiles,
  mounts,
  processes,
  security,
];
