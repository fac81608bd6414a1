/** DiagnosticsService: what happens inside the node. */
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { KeelError } from '@keelos/proto/errors.ts';
import type { DiagnosticsService } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { FileType, LogStream } from '@keelos/proto/gen/keel/v1/diagnostics_pb.js';
import { chosenWord } from '../core/proc-text.ts';
import type { Node } from '../node.ts';
import type { ServiceMethods } from '../shell/calls.ts';
import { kernelLogRecords } from '../shell/kernel-log-stream.ts';
import { bootReport, mounts, rootFacts, rootHash, trimmedText } from '../shell/node-facts.ts';
import { listProcesses } from '../shell/processes.ts';
import { SlotVerifier } from '../shell/slot-verifier.ts';
import { verifySlotResponse, wantedSlot } from './slot-messages.ts';

const FILE_TYPES = {
  regular: FileType.REGULAR,
  directory: FileType.DIRECTORY,
  symlink: FileType.SYMLINK,
  other: FileType.OTHER,
} as const;
const STREAMS = { stdout: LogStream.STDOUT, stderr: LogStream.STDERR } as const;
const SERVICE_NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

/** Methods over `node`. */
export function diagnosticsMethods(node: Node): ServiceMethods<typeof DiagnosticsService> {
  const { ports, limits, engine } = node;
  const { files } = ports;
  const logSlots = new LogSlots(limits.logStreamsMax);
  const slotVerifier = new SlotVerifier(ports, () => engine.status());
  return {
    async *streamKernelLog(request, { signal }) {
      using _slot = logSlots.take();
      const choice = { isFollowed: request.follow, tailLines: request.tailLines };
      yield* kernelLogRecords(ports.kernelLog, choice, signal);
    },
    async *streamServiceLog(request, { signal }) {
      using _slot = logSlots.take();
      const { service, follow, tailLines } = request;
      if (!SERVICE_NAME.test(service)) {
        throw new KeelError(
          'E_INVALID_ARGUMENT',
          'Cannot read the log: a service has a name of lower-case letters, digits and dashes',
        );
      }
      const choice = { service, follow, ...(tailLines === undefined ? {} : { tailLines }) };
      for await (const line of ports.init.readLog({ op: 'readLog', ...choice }, signal)) {
        yield { time: timestampFromMs(line.timeMs), stream: STREAMS[line.stream], line: line.line };
      }
    },
    async listProcesses(_, { signal }) {
      return { processes: await listProcesses(files, signal) };
    },
    async listMounts() {
      return {
        mounts: (await mounts(files)).map((mount) => ({
          mountPoint: mount.mountPoint,
          type: mount.type,
          source: mount.source,
          options: [...mount.options],
          superOptions: [...mount.superOptions],
        })),
      };
    },
    async *listImageFiles(_, { signal }) {
      for await (const file of ports.walkImage('/', signal)) {
        yield {
          path: file.path,
          type: FILE_TYPES[file.type],
          mode: file.mode,
          sizeBytes: BigInt(file.sizeBytes),
          linkTarget: file.linkTarget,
          magic: file.magic,
        };
      }
    },
    getSecurity: () => security(node),
    async getBootTiming() {
      const { steps } = await bootReport(files);
      return {
        steps: steps.map(({ name, monotonicUs }) => ({ name, monotonicUs: BigInt(monotonicUs) })),
      };
    },
    async *verifySlot({ slot }, { signal }) {
      for await (const step of slotVerifier.verify(wantedSlot(slot), signal)) {
        yield verifySlotResponse(step);
      }
    },
  };
}

async function security({ ports }: Node) {
  const { files } = ports;
  const root = await rootFacts(ports);
  const modules = await trimmedText(files, '/sys/kernel/security/lsm');
  return {
    lockdown: chosenWord(await trimmedText(files, '/sys/kernel/security/lockdown')),
    securityModules: modules === '' ? [] : modules.split(','),
    commandLine: await trimmedText(files, '/proc/cmdline'),
    rootType: root.type,
    rootDevice: root.device,
    rootTarget: root.target,
    rootHash: await rootHash(files),
    rootReadOnly: root.isReadOnly,
  };
}

/** Bounds the log streams that are open at the same time. */
class LogSlots {
  #free: number;
  readonly #max: number;

  constructor(max: number) {
    this.#free = max;
    this.#max = max;
  }

  /** Takes a slot until it is disposed of. @throws KeelError E_LIMIT_EXCEEDED */
  take(): Disposable {
    if (this.#free === 0) {
      throw new KeelError(
        'E_LIMIT_EXCEEDED',
        `Cannot open the log: ${this.#max} log streams are open, the limit`,
      );
    }
    this.#free -= 1;
    return {
      [Symbol.dispose]: () => {
        this.#free += 1;
      },
    };
  }
}
