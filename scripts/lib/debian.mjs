// Packages of a Debian release other than the machine's own. The mirror's address comes from the machine's apt
// configuration and only the suite changes; lists and cache are our own, so the machine's apt stays as it is.

import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cacheRoot, withLock } from './cache.mjs';
import { exec } from './exec.mjs';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const LISTS_FRESH_MS = 12 * 3600_000;
const UPDATE_TIMEOUT_MS = 5 * 60_000;
const DOWNLOAD_TIMEOUT_MS = 30 * 60_000;

/**
 * @typedef {object} DebianLock
 * @property {string} suite codename of the release, for example `trixie`
 * @property {Record<string, { version: string, sha256: string }>} packages
 */

/**
 * @typedef {object} FetchedDeb
 * @property {string} file absolute path of the .deb
 * @property {string} version
 * @property {string} sha256
 */

/** @typedef {{ name: string, locked: string, taken: string }} Substitution */

/** @typedef {{ uri: string, release: string, component: string, label: string }} AptSource */

/**
 * The sources file of the second suite, from the lines of `apt-get indextargets`. Pure.
 *
 * @param {readonly AptSource[]} sources what the machine itself uses
 * @param {string} suite
 * @param {string | undefined} keyring path for Signed-By
 * @returns {string} deb822 text
 * @throws {Error} when no source is Debian's
 */
export function renderSources(sources, suite, keyring) {
  const main = new Set();
  const security = new Set();
  for (const { uri, label } of sources) {
    // Without downloaded lists the label is unknown, and the path is what every mirror has in common.
    if (label === 'Debian' || (label === '' && /\/debian\/?$/.test(uri))) main.add(uri);
    if (label === 'Debian-Security' || (label === '' && /\/debian-security\/?$/.test(uri)))
      security.add(uri);
  }
  if (main.size === 0)
    throw new Error('Cannot find a Debian mirror in the machine’s apt configuration');
  const signedBy = keyring === undefined ? '' : `Signed-By: ${keyring}\n`;
  /** @param {Set<string>} uris @param {string} suites */
  const stanza = (uris, suites) =>
    `Types: deb\nURIs: ${[...uris].join(' ')}\nSuites: ${suites}\nComponents: main\n${signedBy}`;
  const stanzas = [stanza(main, `${suite} ${suite}-updates`)];
  if (security.size > 0) stanzas.push(stanza(security, `${suite}-security`));
  return stanzas.join('\n');
}

/**
 * Reads the lines of `apt-get indextargets`. Pure.
 * @param {string} text
 * @returns {AptSource[]}
 */
export function parseIndexTargets(text) {
  const sources = [];
  for (const line of text.split('\n')) {
    const [uri, release, component, label] = line.split('|');
    if (!uri || !release || !component || label === undefined) continue;
    sources.push({ uri, release, component, label: label.startsWith('$(') ? '' : label });
  }
  return sources;
}

/**
 * An apt of its own for one suite.
 * @param {string} suite
 */
async function openSuite(suite) {
  const root = join(cacheRoot(), 'apt', suite);
  for (const folder of ['parts', 'lists/partial', 'cache/archives/partial']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  const format = '$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(LABEL)';
  const targets = await exec('apt-get', [
    'indextargets',
    '--format',
    format,
    'Created-By: Packages',
  ]);
  const keyring = existsSync(KEYRING) ? KEYRING : undefined;
  const sources = renderSources(parseIndexTargets(targets.stdout), suite, keyring);
  await writeFile(join(root, 'parts', 'suite.sources'), sources);
  await writeFile(join(root, 'status'), '');
  const options = {
    'Dir::Etc::SourceList': '/dev/null',
    'Dir::Etc::SourceParts': join(root, 'parts'),
    'Dir::Etc::Preferences': '/dev/null',
    'Dir::Etc::PreferencesParts': '/dev/null',
    'Dir::State': root,
    'Dir::State::Lists': join(root, 'lists'),
    'Dir::State::Status': join(root, 'status'),
    'Dir::Cache': join(root, 'cache'),
    'Acquire::Retries': '3',
    'Acquire::Languages': 'none',
    // apt's own user cannot enter a private cache folder; without this root's apt warns on each file.
    ...(process.getuid?.() === 0 ? { 'APT::Sandbox::User': 'root' } : {}),
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  return {
    lists: join(root, 'lists'),
    update: async () => {
      await exec('apt-get', [...flags, 'update'], { timeoutMs: UPDATE_TIMEOUT_MS });
      // apt leaves the folder's time alone when nothing has changed.
      await utimes(join(root, 'lists'), new Date(), new Date());
    },
    /** @param {string} name */
    versions: async (name) => {
      const { stdout } = await exec('apt-cache', [...flags, 'madison', name]);
      const rows = stdout.split('\n').map((line) => line.split('|').map((cell) => cell.trim()));
      return rows.filter((row) => row[0] === name).map((row) => row[1] ?? '');
    },
    /** @param {string} name @param {string} version @param {string} dest */
    download: (name, version, dest) =>
      exec('apt-get', [...flags, 'download', `${name}=${version}`], {
        cwd: dest,
        timeoutMs: DOWNLOAD_TIMEOUT_MS,
      }),
  };
}

/**
 * The newest of several Debian versions.
 * @param {readonly string[]} versions at least one
 */
async function newestVersion(versions) {
  let newest = versions[0] ?? '';
  for (const version of versions.slice(1)) {
    const isNewer = await exec('dpkg', ['--compare-versions', version, 'gt', newest]).then(
      () => true,
      () => false,
    );
    if (isNewer) newest = version;
  }
  return newest;
}

/** @param {string} file */
async function sha256File(file) {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/**
 * The .deb files of one package in a folder. apt writes the colon of an epoch as %3a.
 * @param {string} dest @param {string} name
 */
async function debsOf(dest, name) {
  const files = await readdir(dest);
  return files
    .filter((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'))
    .map((file) => join(dest, file));
}

/** @param {string} folder */
async function isFresh(folder) {
  const age = Date.now() - (await stat(folder)).mtimeMs;
  const filled = (await readdir(folder)).some((file) => file.endsWith('InRelease'));
  return filled && age < LISTS_FRESH_MS;
}

/**
 * Puts the packages of a lock file into `dest`. The locked version is tried first and its hash checked; when the
 * mirror has it no more, the newest version of the same name is taken, said loudly on stderr and in `substituted`
 * (apt checks that one against the suite's signed index). Files that are there already are not fetched again.
 *
 * @param {{ lock: DebianLock, dest: string }} options
 * @returns {Promise<{ debs: Record<string, FetchedDeb>, substituted: Substitution[] }>}
 * @throws {Error} when a package is gone, or its bytes are not the locked ones
 */
export async function fetchDebs({ lock, dest }) {
  const folder = resolve(dest);
  await mkdir(folder, { recursive: true });
  /** @type {Record<string, FetchedDeb>} */
  const debs = {};
  /** @type {Substitution[]} */
  const substituted = [];
  /** @type {string[]} */
  const wanted = [];
  for (const [name, { version, sha256 }] of Object.entries(lock.packages)) {
    for (const file of await debsOf(folder, name)) {
      if ((await sha256File(file)) === sha256) debs[name] = { file, version, sha256 };
    }
    if (debs[name] === undefined) wanted.push(name);
  }
  if (wanted.length === 0) return { debs, substituted };

  await withLock(join(cacheRoot(), 'apt', lock.suite, '.lock'), async () => {
    const suite = await openSuite(lock.suite);
    let fresh = false;
    const refresh = async () => {
      if (!fresh) await suite.update();
      fresh = true;
    };
    if (!(await isFresh(suite.lists))) await refresh();
    for (const name of wanted) {
      const locked = lock.packages[name] ?? { version: '', sha256: '' };
      let versions = await suite.versions(name);
      if (!versions.includes(locked.version)) {
        await refresh();
        versions = await suite.versions(name);
      }
      if (versions.length === 0) throw new Error(`Cannot find package ${name} in ${lock.suite}`);
      const isLocked = versions.includes(locked.version);
      const version = isLocked ? locked.version : await newestVersion(versions);
      for (const old of await debsOf(folder, name)) await rm(old);
      await suite.download(name, version, folder);
      const [file] = await debsOf(folder, name);
      if (file === undefined)
        throw new Error(`Cannot find the file of ${name} ${version} after its download`);
      const sha256 = await sha256File(file);
      if (isLocked && sha256 !== locked.sha256) {
        await rm(file);
        throw new Error(
          `Cannot use ${name} ${version}: the lock file names SHA-256 ${locked.sha256}, the mirror's file has ${sha256}`,
        );
      }
      if (!isLocked) {
        substituted.push({ name, locked: locked.version, taken: version });
        process.stderr.write(
          `\n!!! ${name} ${locked.version} is no longer on the mirror: taking ${version} (SHA-256 ${sha256}).\n` +
            '!!! The result is not the one that was tested. Update the lock file.\n\n',
        );
      }
      debs[name] = { file, version, sha256 };
    }
  });
  return { debs, substituted };
}
