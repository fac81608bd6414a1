// Installs the tools that a step needs, and says which and why before it does.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { exec } from './exec.mjs';

const SYSTEM_PATHS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const UPDATE_TIMEOUT_MS = 5 * 60_000;
const INSTALL_TIMEOUT_MS = 20 * 60_000;

/**
 * One thing that must be on the machine: a command on the path (or in an sbin folder), or a file.
 * @typedef {{ package: string, why: string, command?: string, file?: string }} Tool
 */

/**
 * Where a command is, looking in the sbin folders too: a user's path often lacks them.
 * @param {string} name
 * @returns {string | undefined} absolute path
 */
export function findCommand(name) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_PATHS];
  return folders
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

/**
 * The tools that are not there.
 * @param {readonly Tool[]} tools
 * @returns {Tool[]}
 */
export function missingTools(tools) {
  return tools.filter((tool) => {
    if (tool.command !== undefined) return findCommand(tool.command) === undefined;
    if (tool.file !== undefined) return !existsSync(tool.file);
    throw new TypeError(`The tool of package ${tool.package} names neither a command nor a file`);
  });
}

/**
 * Installs what is missing with apt-get, as root or through sudo.
 *
 * @param {readonly Tool[]} tools
 * @param {{ say?: (line: string) => void }} [options] where the lines for people go; stderr when absent
 * @returns {Promise<{ installed: string[] }>} the packages that were installed
 * @throws {Error} when something is missing and cannot be installed, with the command that would
 */
export async function ensureTools(tools, options = {}) {
  const say = options.say ?? ((line) => void process.stderr.write(`${line}\n`));
  const missing = missingTools(tools);
  if (missing.length === 0) return { installed: [] };

  const packages = [...new Set(missing.map((tool) => tool.package))].sort();
  for (const name of packages) {
    const why = missing.filter((tool) => tool.package === name).map((tool) => tool.why);
    say(`  installing ${name}: ${[...new Set(why)].join('; ')}`);
  }
  const byHand = `apt-get install ${packages.join(' ')}`;
  if (findCommand('apt-get') === undefined) {
    throw new Error(
      `Cannot install ${packages.join(', ')}: this is not a Debian system (no apt-get)`,
    );
  }
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && findCommand('sudo') === undefined) {
    throw new Error(
      `Cannot install packages: not root, and sudo is not there. As root run: ${byHand}`,
    );
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  /**
   * @param {string[]} args
   * @param {number} timeoutMs
   */
  const aptGet = (args, timeoutMs) =>
    isRoot
      ? exec('apt-get', args, { env, timeoutMs })
      : exec('sudo', ['env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args], {
          terminal: true,
          timeoutMs,
        });

  try {
    await aptGet(['update', '--quiet'], UPDATE_TIMEOUT_MS);
  } catch (error) {
    // One broken third-party source fails the whole update; the packages may be known all the same.
    say(
      `  apt-get update failed, going on with the package lists that are there: ${firstLines(error)}`,
    );
  }
  const install = ['install', '--yes', '--quiet', '--no-install-recommends', ...packages];
  try {
    await aptGet(['-o', 'DPkg::Lock::Timeout=300', ...install], INSTALL_TIMEOUT_MS);
  } catch (cause) {
    throw new Error(
      `Cannot install ${packages.join(', ')}. As root run: ${byHand}\n${firstLines(cause)}`,
      { cause },
    );
  }
  const still = missingTools(missing);
  if (still.length > 0) {
    const names = still.map((tool) => tool.command ?? tool.file).join(', ');
    throw new Error(`Cannot find ${names}, although ${packages.join(', ')} is installed`);
  }
  return { installed: packages };
}

/** @param {unknown} error */
function firstLines(error) {
  return error instanceof Error ? error.message.split('\n').slice(0, 12).join('\n') : String(error);
}
