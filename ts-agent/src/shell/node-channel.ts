/** Channels of this node: one that it follows, and any that an operator asks about. */
import { KeelError } from '@keelos/proto/errors.ts';
import { channelSubject } from '../core/channel-release.ts';
import { checkChannelName } from '../core/followed-channel.ts';
import type { AgentPorts } from '../ports.ts';
import type { UpdateSource } from '../sys/update-source.ts';
import { bundleSource } from './bundle-source.ts';
import { ChannelFollower } from './channel-follower.ts';
import { type NewestRelease, readNewest } from './channel-reader.ts';
import type { NodeConfigStore } from './node-config-store.ts';
import { rootHash } from './node-facts.ts';
import type { UpdateEngine } from './update-engine.ts';
import type { UpdateFacts } from './update-ports.ts';

/** What it works with. */
export interface ChannelParts {
  readonly ports: AgentPorts;
  readonly configuration: Pick<NodeConfigStore, 'config'>;
  readonly engine: Pick<UpdateEngine, 'start' | 'progress' | 'history'>;
  readonly arch: UpdateFacts['arch'];
}

/** The newest release of a channel, and where its bundle comes from. */
export interface ChannelRelease {
  readonly newest: NewestRelease;
  /** True when it runs. */
  readonly isRunning: boolean;
  /** Opens nothing before it is asked to. */
  source(): Promise<UpdateSource>;
}

/** Both uses of channels. */
export class NodeChannel {
  readonly follower: ChannelFollower;
  readonly #parts: ChannelParts;

  constructor(parts: ChannelParts) {
    this.#parts = parts;
    const { ports, configuration, engine, arch } = parts;
    const settings = { configuration, caPem: '' };
    this.follower = new ChannelFollower(ports, {
      newest: (followed, signal) => readNewest(followed, { ports, settings, arch, signal }),
      start: async (newest, followed) => {
        const { policy, channel } = followed;
        const { sha256 } = newest.release.bundle;
        const options = {
          sha256,
          policy,
          isDryRun: false,
          isRebootLeft: false,
          retryFailed: false,
        };
        await engine.start(await this.#source(newest, ''), options, channelSubject(channel));
      },
      history: () => engine.history.entries(),
    });
  }

  /**
   * The newest release of a channel.
   *
   * @param wish.url of the directory; empty: that of the channel that is followed
   * @throws KeelError as readNewest; E_INVALID_ARGUMENT when there is no directory
   */
  async look(
    wish: { readonly url: string; readonly channel: string; readonly caPem: string },
    signal: AbortSignal,
  ): Promise<ChannelRelease> {
    const { ports, configuration, arch } = this.#parts;
    const { caPem, channel } = wish;
    checkChannelName(channel);
    const url = wish.url === '' ? this.follower.state.followed?.url : wish.url;
    if (url === undefined) {
      const reason = 'no directory is given, and the node follows no channel';
      throw new KeelError('E_INVALID_ARGUMENT', `Cannot look at channel ${channel}: ${reason}`);
    }
    const settings = { configuration, caPem };
    const newest = await readNewest({ url, channel }, { ports, settings, arch, signal });
    const isRunning = newest.release.rootHash === (await rootHash(ports.files));
    return { newest, isRunning, source: () => this.#source(newest, caPem) };
  }

  #source({ bundleUrl }: NewestRelease, caPem: string): Promise<UpdateSource> {
    const { ports, configuration, engine } = this.#parts;
    return bundleSource(
      { url: bundleUrl, deltaUrl: '', caPem },
      { ports, configuration, progress: engine.progress },
    );
  }
}
