/** Channels on a node: read, followed, and asked about over the API. */
import assert from 'node:assert/strict';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { CHANNEL_TRUST_FILE } from '@keelos/proto/bundle.ts';
import { encodeTrust } from '@keelos/proto/bundle-writer.ts';
import type { Channel } from '@keelos/proto/channel.ts';
import { type ErrorCode, KeelError } from '@keelos/proto/errors.ts';
import { UpdatePhase, UpdateService } from '@keelos/proto/gen/keel/v1/update_pb.js';
import type { HistoryEntry } from '@keelos/proto/update-record.ts';
import { UPDATE_PATHS } from '@keelos/proto/update-record.ts';
import { ChannelFollower, type FollowedReleases } from '@keelos/ts-agent/shell/channel-follower.ts';
import { readNewest } from '@keelos/ts-agent/shell/channel-reader.ts';
import { openEntry } from '@keelos/ts-agent/shell/update-history.ts';
import { rememberFailedRoot } from '@keelos/ts-agent/shell/update-records.ts';
import {
  sampleChannel,
  sampleKey,
  sampleRelease,
  signedChannel,
} from '../../proto/test/channel-samples.ts';
import { failureCode, Openings, TestClient } from './agent-fixture.ts';
import { makeCertificate } from './openssl-certificates.ts';
import { fails, NEW, POLICY } from './update-wishes.ts';
import { MemorySource, madeBundle, UpdateWorld } from './update-world.ts';

const DIRECTORY = 'https://u.example/keelos?site=a';
const KEY = sampleKey('channel');
const BUNDLE = madeBundle(NEW);
const NEVER = new AbortController().signal;
const HOUR_MS = 3_600_000;

/** A node whose image trusts the key of channels, and a server with one channel. */
class ChannelLab {
  readonly node = new UpdateWorld();
  readonly urls: string[] = [];
  /** What the server has under the name of the channel. */
  file: Buffer | KeelError;

  constructor() {
    const { world } = this.node;
    world.files.files.set(CHANNEL_TRUST_FILE, encodeTrust(KEY.trust));
    this.file = this.made();
    world.httpSource = async ({ url }) => {
      this.urls.push(url);
      const { pathname } = new URL(url);
      const bytes = pathname.endsWith('.json') ? this.file : BUNDLE.bytes;
      if (pathname.endsWith('.kdelta') || bytes instanceof KeelError) {
        const source = new MemorySource(Buffer.alloc(1));
        source.open = () =>
          Promise.reject(
            bytes instanceof KeelError ? bytes : new KeelError('E_SOURCE_REFUSED', '404'),
          );
        return source;
      }
      return new MemorySource(bytes);
    };
  }

  /** The file of a channel that ends in a month, with the bundle as its newest release. */
  made(of: Partial<Channel> = {}): Buffer {
    const publishedAt = Math.floor(this.node.world.clock.nowMs() / 1000);
    const release = sampleRelease({
      ...{ version: '0.2.0', number: 7, rootHash: NEW.rootHash },
      bundle: { sha256: BUNDLE.sha256, size: BUNDLE.bytes.length },
    });
    const life = { publishedAt, expiresAt: publishedAt + 30 * 86_400 };
    return signedChannel(sampleChannel({ ...life, releases: [release], ...of }), [KEY]);
  }

  newest(channel = 'stable') {
    return readNewest(
      { url: DIRECTORY, channel },
      {
        ports: this.node.world.ports(),
        settings: { configuration: { config: undefined }, caPem: '' },
        arch: 'x86_64',
        signal: NEVER,
      },
    );
  }
}

describe('a channel, read by a node', () => {
  it('gives its newest release, and where its bundle lies', async () => {
    const lab = new ChannelLab();
    const { release, bundleUrl } = await lab.newest();
    assert.equal(release.version, '0.2.0');
    const place = 'https://u.example/keelos/releases/0.2.0/keelos-0.2.0-x86_64.squashfs?site=a';
    assert.equal(bundleUrl, place);
    assert.deepEqual(lab.urls, ['https://u.example/keelos/channels/stable.json?site=a']);
  });

  it('is refused: another one, an older one, an expired one, one that nobody trusted signed', async () => {
    const table: [string, ErrorCode, (lab: ChannelLab) => void][] = [
      [
        'no file',
        'E_SOURCE_REFUSED',
        (lab) => (lab.file = new KeelError('E_SOURCE_REFUSED', '404')),
      ],
      ['no JSON', 'E_CHANNEL_MALFORMED', (lab) => (lab.file = Buffer.from('<html>'))],
      ['too long', 'E_CHANNEL_MALFORMED', (lab) => (lab.file = Buffer.alloc(600_000, 0x20))],
      [
        'another channel',
        'E_CHANNEL_REPLAYED',
        (lab) => (lab.file = lab.made({ channel: 'edge' })),
      ],
      [
        'no trust file',
        'E_NO_TRUST',
        ({ node }) => node.world.files.files.delete(CHANNEL_TRUST_FILE),
      ],
      [
        'another key',
        'E_SIGNATURE_WRONG',
        ({ node }) =>
          node.world.files.files.set(CHANNEL_TRUST_FILE, encodeTrust(sampleKey('x').trust)),
      ],
      ['expired', 'E_CHANNEL_EXPIRED', ({ node }) => node.world.clock.advance(31 * 86_400_000)],
      ['no release for it', 'E_NOT_FOUND', (lab) => (lab.file = lab.made({ releases: [] }))],
      ['no disk', 'E_STATE_FULL', ({ node }) => (node.world.state.writeFailure = 'ENOSPC')],
    ];
    for (const [name, code, spoil] of table) {
      const lab = new ChannelLab();
      spoil(lab);
      await assert.rejects(lab.newest(), fails(code), name);
    }
  });

  it('remembers what it saw, also over a restart: no older file, and no other of that number', async () => {
    const lab = new ChannelLab();
    await lab.newest();
    lab.file = lab.made({ number: 9 });
    await lab.newest();
    await lab.newest();
    for (const change of [{ number: 8 }, { number: 9, releases: [] }]) {
      lab.file = lab.made(change);
      await assert.rejects(lab.newest(), fails('E_CHANNEL_REPLAYED'));
    }
    // What cannot be read is not believed to have been nothing for long: it is set aside, and told in the log.
    lab.node.world.state.files.set(UPDATE_PATHS.channelsSeen, Buffer.from('x'));
    lab.file = lab.made({ number: 8 });
    await lab.newest();
    assert.match(lab.node.world.logged.join(), /record set aside/);
  });
});

describe('a channel that is followed', () => {
  const followed = {
    ...{ url: DIRECTORY, channel: 'stable', everySeconds: 3600, isCheckOnly: false },
    ...{ policy: POLICY, who: 'CN=alice' },
  };
  const release = sampleRelease({ version: '0.2.0', rootHash: NEW.rootHash });
  const follow = (of: Partial<FollowedReleases> = {}) => {
    const node = new UpdateWorld();
    const { world } = node;
    const begun: string[] = [];
    const looks: number[] = [];
    const history: HistoryEntry[] = [];
    const ports = world.ports();
    const follower = new ChannelFollower(ports, {
      newest: async () => {
        looks.push(world.clock.monotonicMs());
        return { release, bundleUrl: 'https://u.example/b', listed: [] };
      },
      start: async ({ release: { version } }) => void begun.push(version),
      history: () => history,
      ...of,
    });
    return { world, follower, begun, looks, history, ports };
  };

  it('is looked at soon, then about every hour, and a newer release is installed', async () => {
    const { world, follower, begun, looks } = follow();
    await follower.look();
    assert.deepEqual(looks, []);
    follower.set(followed);
    const startMs = world.clock.monotonicMs();
    for (let minute = 0; minute < 10 * 60; minute += 1) {
      await follower.look();
      world.clock.advance(60_000);
    }
    assert.equal(looks[0], startMs);
    const waits = looks.slice(1).map((at, index) => at - (looks[index] ?? 0));
    assert.ok(waits.length >= 7 && waits.length <= 12, String(waits));
    for (const wait of waits) assert.ok(wait >= 0.8 * HOUR_MS && wait <= 1.2 * HOUR_MS + 60_000);
    assert.ok(new Set(waits).size > 1, 'drawn anew each time');
    assert.equal(begun.length, looks.length);
    assert.equal(follower.state.result, 'The install of 0.2.0 has begun.');
  });

  it('is not installed when it runs, has failed before, or is only to be checked', async () => {
    const runs = follow();
    runs.world.files.files.set('/proc/cmdline', `${NEW.commandLine}\n`);
    runs.follower.set(followed);
    await runs.follower.look();
    assert.equal(runs.follower.state.isUpToDate, true);
    const bad = follow();
    rememberFailedRoot(bad.ports, { ...release, rootHash: NEW.rootHash, atMs: 1, cause: 'red' });
    bad.follower.set(followed);
    await bad.follower.look();
    assert.equal(bad.follower.state.errorCode, 'E_RELEASE_FAILED_BEFORE');
    const checked = follow();
    checked.follower.set({ ...followed, isCheckOnly: true });
    await checked.follower.look();
    assert.equal(checked.follower.state.result, '0.2.0 can be installed.');
    assert.deepEqual([...runs.begun, ...bad.begun, ...checked.begun], []);
  });

  it('does not undo what an operator did, until the channel is set anew', async () => {
    const { world, follower, begun, history } = follow();
    follower.set(followed);
    world.clock.advance(1_000);
    const left = { slot: 'b', version: '0.2.0', rootHash: NEW.rootHash } as const;
    history.push({
      ...openEntry(
        {
          ...{ id: 'r1', kind: 'rollback', who: 'CN=bob', reason: '' },
          ...{ from: left, to: { slot: 'a', version: '0.1.0', rootHash: 'ab'.repeat(32) } },
        },
        world.clock.nowMs(),
      ),
      outcome: 'committed',
      endedMs: world.clock.nowMs(),
    });
    await follower.look();
    assert.deepEqual(begun, []);
    const told = /^0\.2\.0 is not installed: rollback r1 to 0\.1\.0 by "CN=bob" left it\. A newer/;
    assert.match(follower.state.result, told);
    world.clock.advance(1_000);
    follower.set(followed);
    await follower.look();
    assert.deepEqual(begun, ['0.2.0']);
  });

  it('waits for a clock that is believed, and tells what a look has failed for', async () => {
    const { world, follower, looks } = follow();
    world.boot({ clock: { source: 'floor', trusted: false, rtcMs: 0, problem: '' } });
    follower.set(followed);
    await follower.look();
    assert.deepEqual(looks, []);
    assert.match(follower.state.result, /the clock of the node is not believed/);
    const failing = follow({
      newest: () => Promise.reject(new KeelError('E_SOURCE_UNREACHABLE', 'Cannot reach u.example')),
    });
    failing.follower.set(followed);
    await failing.follower.look();
    const { errorCode, result, nextMs } = failing.follower.state;
    assert.deepEqual([errorCode, result], ['E_SOURCE_UNREACHABLE', 'Cannot reach u.example.']);
    assert.ok((nextMs ?? 0) > failing.world.clock.nowMs());
  });

  it('survives a restart, and is not looked at at once then; ended, it is forgotten', async () => {
    const { world, follower, ports } = follow();
    follower.set(followed);
    const looks: number[] = [];
    const again = new ChannelFollower(ports, {
      newest: async () => {
        looks.push(1);
        return { release, bundleUrl: '', listed: [] };
      },
      start: async () => undefined,
      history: () => [],
    });
    assert.deepEqual(again.state.followed, follower.state.followed);
    again.start();
    await again.look();
    assert.deepEqual(looks, []);
    world.clock.advance(1.2 * HOUR_MS);
    await again.look();
    again.close();
    assert.deepEqual(looks, [1]);
    again.set(undefined);
    assert.equal(new ChannelFollower(ports, {} as FollowedReleases).state.followed, undefined);
  });

  it('is told of no more once another is set, also while its install begins', async () => {
    const begun = Promise.withResolvers<void>();
    const { follower } = follow({ start: () => begun.promise });
    follower.set(followed);
    const look = follower.look();
    // The install begins behind some turns of the event loop.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((next) => setImmediate(next));
    follower.set({ ...followed, channel: 'edge' });
    begun.resolve();
    await look;
    const { result, newestVersion, lookedMs } = follower.state;
    assert.deepEqual([result, newestVersion, lookedMs], ['', '', undefined]);
  });

  it('is refused with a time, a name or a URL that cannot be', () => {
    const { follower } = follow();
    for (const change of [
      { everySeconds: 59 },
      { everySeconds: 7 * 86_400 + 1 },
      { everySeconds: 60.5 },
      { channel: '../stable' },
      { url: 'ftp://u.example' },
    ]) {
      assert.throws(() => follower.set({ ...followed, ...change }), fails('E_INVALID_ARGUMENT'));
    }
    assert.equal(follower.state.followed, undefined);
  });
});

describe('the calls about channels', function () {
  this.timeout(30_000);
  const openings = new Openings();
  afterEach(() => openings.closeAll());

  it('install the newest release, follow, show, and end', async () => {
    const lab = new ChannelLab();
    const agent = openings.add(await lab.node.world.start());
    const client = openings.add(new TestClient(agent, makeCertificate()));
    await client.enrol(lab.node.world.token);
    const call = { channel: 'stable', options: { noReboot: true } };
    assert.equal(
      await failureCode(client.call(UpdateService, 'startUpdate', call)),
      'E_INVALID_ARGUMENT',
      'no directory is known',
    );
    const none = await client.call(UpdateService, 'getChannel', {});
    assert.equal(none.state?.channel, '');
    const { state } = await client.call(UpdateService, 'setChannel', {
      ...{ url: DIRECTORY, channel: 'stable', checkOnly: true },
      every: durationFromMs(600_000),
    });
    assert.equal(state?.url, 'https://u.example/keelos');
    assert.equal(state?.every?.seconds, 600n);
    const begun = await client.call(UpdateService, 'startUpdate', call);
    assert.equal(begun.newestVersion, '0.2.0');
    const { id } = begun.status ?? assert.fail('nothing begun');
    for await (const { status } of client.stream(UpdateService, 'watchUpdate', { id })) {
      if (status?.phase !== UpdatePhase.ARMED) continue;
      assert.equal(status.delta, false);
      assert.equal(status.fallbackReason, '404');
      break;
    }
    const twice = { ...call, deltaUrl: 'https://u.example/d.kdelta' };
    assert.equal(
      await failureCode(client.call(UpdateService, 'startUpdate', twice)),
      'E_INVALID_ARGUMENT',
    );
    lab.node.world.files.files.set('/proc/cmdline', `${NEW.commandLine}\n`);
    const runs = await client.call(UpdateService, 'startUpdate', call);
    assert.deepEqual([runs.status, runs.newestVersion], [undefined, '0.2.0']);
    const ended = await client.call(UpdateService, 'setChannel', {});
    assert.equal(ended.state?.channel, '');
  });
});
