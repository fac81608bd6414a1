// Keys that sign updates of test nodes and of quickstart's: made on this machine when they are first wanted, kept in the
// cache for nobody else to read, and trusted by no image but those that are built here for a test.

import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makeTrust } from '../../image/src/core/trust.ts';
import { makeKeyFiles, writeTrust } from '../../image/src/sys/key-files.ts';
import { encodeTrust } from '../../proto/src/bundle-writer.ts';
import { cacheRoot, withLock } from './cache.mjs';

const NAMES = /** @type {const} */ (['test-1', 'test-2']);
const CHANNEL_NAME = 'test-channel';

/** One signature, the first epoch. */
const ONE = { threshold: 1, epoch: 1 };

/**
 * Files of the keys: a trust file that wants one signature of two keys, in epoch 1, and the private halves. The trust
 * file is written last: while it is there, the keys are. For channels there is a key and a trust file of their own.
 *
 * @returns {Promise<{ trustFile: string, keyFile: string, secondKeyFile: string, channelTrustFile: string,
 *   channelKeyFile: string }>}
 */
export async function testKeys() {
  const dir = join(cacheRoot(), 'test-keys');
  const trustFile = join(dir, 'trust.json');
  const keyOf = (/** @type {string} */ name) => join(dir, `${name}.key`);
  const channelTrustFile = join(dir, 'channel-trust.json');
  const files = {
    ...{ trustFile, keyFile: keyOf(NAMES[0]), secondKeyFile: keyOf(NAMES[1]) },
    ...{ channelTrustFile, channelKeyFile: keyOf(CHANNEL_NAME) },
  };
  // A folder of before there were channels has one of the two.
  const areThere = () => existsSync(trustFile) && existsSync(channelTrustFile);
  if (areThere()) return files;
  await withLock(join(cacheRoot(), '.test-keys.lock'), async () => {
    if (areThere()) return;
    // What an interrupted run left.
    await rm(dir, { recursive: true, force: true });
    const keys = [];
    for (const name of NAMES) keys.push((await makeKeyFiles({ dir, name, notAfter: 0 })).key);
    const { key } = await makeKeyFiles({ dir, name: CHANNEL_NAME, notAfter: 0 });
    await writeTrust(channelTrustFile, encodeTrust(makeTrust({ keys: [key], ...ONE })));
    await writeTrust(trustFile, encodeTrust(makeTrust({ keys, ...ONE })));
  });
  return files;
}
