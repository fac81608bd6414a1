/** Everything that the agent touches outside itself. */

import type { OpenBlockDevice } from './sys/block-device.ts';
import type { ReadBundle, ReadChannelHead, ReadTrust } from './sys/bundle-reader.ts';
import type { Clock } from './sys/clock.ts';
import type { WriteConsole } from './sys/console.ts';
import type { ApplyDelta, OpenDelta } from './sys/delta-reader.ts';
import type { TargetOf } from './sys/device-mapper.ts';
import type { FirmwareVariables } from './sys/firmware-variables.ts';
import type { HttpSourceOptions } from './sys/http-source.ts';
import type { WalkImage } from './sys/image-files.ts';
import type { VerifyImage } from './sys/image-verifier.ts';
import type { InitControl } from './sys/init-client.ts';
import type { KernelFiles } from './sys/kernel-files.ts';
import type { KernelLog } from './sys/kmsg.ts';
import type { ListAddresses } from './sys/network.ts';
import type { AskProbe, Knock } from './sys/probe.ts';
import type { ReachApi } from './sys/reach-api.ts';
import type { ScratchFile } from './sys/scratch-file.ts';
import type { StateStore } from './sys/state-store.ts';
import type { UdpExchange } from './sys/udp.ts';
import type { UpdateSource } from './sys/update-source.ts';

/** The ports; main.ts gives the real ones, tests give fakes or real ones over temporary directories. */
export interface AgentPorts {
  readonly clock: Clock;
  readonly files: KernelFiles;
  /** Records on the state partition, or on the tmpfs that PID 1 mounts when there is none to mount. */
  readonly state: StateStore;
  readonly init: InitControl;
  readonly kernelLog: KernelLog;
  readonly addresses: ListAddresses;
  readonly writeConsole: WriteConsole;
  readonly walkImage: WalkImage;
  readonly verifyImage: VerifyImage;
  readonly readBundle: ReadBundle;
  readonly readTrust: ReadTrust;
  readonly readChannelHead: ReadChannelHead;
  readonly openDelta: OpenDelta;
  readonly applyDelta: ApplyDelta;
  /** Where a delta is kept while it is applied. */
  readonly deltaFile: ScratchFile;
  /** For the unpacked kernel that a delta patches. */
  readonly kernelFile: ScratchFile;
  readonly targetOf: TargetOf;
  readonly udp: UdpExchange;
  /** Servers with bundles. */
  readonly httpSource: (options: HttpSourceOptions) => Promise<UpdateSource>;
  readonly reachApi: ReachApi;
  readonly askProbe: AskProbe;
  readonly knock: Knock;
  /** Partitions and disks, for what an update writes. */
  readonly openDevice: OpenBlockDevice;
  /** EFI variables. */
  readonly variables: FirmwareVariables;
  /** Cryptographically strong random bytes. */
  readonly random: (count: number) => Uint8Array;
  /** The agent's own log, one line. Never a secret. */
  readonly log: (line: string) => void;
}
