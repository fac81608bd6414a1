/** The agent on a node: the real ports. */
import { randomBytes } from 'node:crypto';
import { API_PORT, NODE_PATHS } from '@keelos/proto/node-paths.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { VERIFIER_NAME } from '@keelos/proto/verifier.ts';
import { createAgent } from './server.ts';
import { bundleReader } from './sys/bundle-reader.ts';
import { systemClock } from './sys/clock.ts';
import { consoleWriter } from './sys/console.ts';
import { deltaReader } from './sys/delta-reader.ts';
import { deviceMapperTarget } from './sys/device-mapper.ts';
import { linuxFirmwareVariables } from './sys/firmware-variables.ts';
import { walkImage } from './sys/image-files.ts';
import { imageVerifier } from './sys/image-verifier.ts';
import { initClient } from './sys/init-client.ts';
import { waitForInit } from './sys/init-ready.ts';
import { linuxKernelFiles } from './sys/kernel-files.ts';
import { kernelLog, warnKernelLog } from './sys/kmsg.ts';
import { linuxAddresses } from './sys/network.ts';
import { apiReacher } from './sys/reach-api.ts';
import { scratchFile } from './sys/scratch-file.ts';
import { diskStateStore } from './sys/state-store.ts';
import { udpExchange } from './sys/udp.ts';

/** Runs the agent until PID 1 ends it. A fault ends the process with a message; PID 1 starts it again. */
export async function main(): Promise<void> {
  await waitForInit(NODE_PATHS.initSocket);
  const log = (line: string) => process.stderr.write(`${line}\n`);
  const verifier = {
    program: { executable: process.execPath, argv0: VERIFIER_NAME, args: [] },
    log: (line: string) => {
      warnKernelLog(NODE_PATHS.kmsg, line);
      log(line);
    },
  };
  const agent = await createAgent(
    {
      clock: systemClock,
      files: linuxKernelFiles,
      // In memory mode PID 1 has mounted a tmpfs at /var; what cannot be written stays in this process.
      state: diskStateStore,
      init: initClient(NODE_PATHS.initSocket),
      kernelLog: kernelLog(NODE_PATHS.kmsg),
      addresses: linuxAddresses,
      writeConsole: consoleWriter({
        active: '/sys/class/tty/console/active',
        devices: '/dev',
        fallback: NODE_PATHS.console,
      }),
      walkImage,
      verifyImage: imageVerifier(verifier),
      ...bundleReader(verifier),
      ...deltaReader(verifier),
      deltaFile: scratchFile(UPDATE_PATHS.delta),
      kernelFile: scratchFile(UPDATE_PATHS.kernel),
      targetOf: deviceMapperTarget,
      udp: udpExchange,
      // The port is open before these are needed: see server.ts.
      httpSource: async (options) => (await import('./sys/http-source.ts')).httpSource(options),
      reachApi: apiReacher(verifier),
      askProbe: async (...call) => (await import('./sys/probe.ts')).askProbe(...call),
      knock: async (...call) => (await import('./sys/probe.ts')).knock(...call),
      openDevice: async (...call) =>
        (await import('./sys/block-device.ts')).openBlockDevice(...call),
      variables: linuxFirmwareVariables(),
      random: randomBytes,
      log,
    },
    { host: '::', port: API_PORT },
  );
  const { promise, resolve } = Promise.withResolvers<void>();
  process.once('SIGTERM', resolve);
  await promise;
  await agent.close();
}
