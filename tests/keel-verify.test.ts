import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SquashfsImage } from '@keelos/as-core/squashfs.ts';
import { buildHashTree } from '@keelos/as-core/verity.ts';
import { exec } from '../scripts/lib/exec.mjs';
import { installWasmtime } from '../scripts/lib/wasmtime.mjs';

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url));
const MODULE = join(CHECKOUT, 'as-core/build/keel-verify.wasm');
const SALT = '00112233';
const BLOCK_BYTES = 4096;
const TIMEOUT_MS = 60_000;

interface Answer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('keel-verify.wasm', function () {
  this.timeout(TIMEOUT_MS);
  let folder: string;
  let image: string;
  let dataBytes: number;
  let rootHash: string;
  let hosts: ReadonlyMap<string, (...args: readonly string[]) => Promise<Answer>>;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'keel-verify-'));
    image = join(folder, 'root.squashfs');
    await makeImage();
    const python = await installWasmtime();
    const host = join(CHECKOUT, 'as-core/wasi/wasmtime-host.py');
    hosts = new Map([
      [
        'node:wasi',
        (...args) =>
          program(process.execPath, [
            '--no-warnings',
            join(CHECKOUT, 'scripts/keel-verify.mjs'),
            ...args,
          ]),
      ],
      [
        'wasmtime',
        (...args) => program('env', [`PYTHONPATH=${python}`, 'python3', host, MODULE, ...args]),
      ],
    ]);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const program = (name: string, args: readonly string[]): Promise<Answer> =>
    exec(name, args, { anyExit: true, timeoutMs: TIMEOUT_MS });

  /** A SquashFS of every type of file that a test may make without being root, with its hash tree behind it. */
  async function makeImage(): Promise<void> {
    const tree = join(folder, 'tree');
    await mkdir(join(tree, 'deep/er'), { recursive: true });
    await writeFile(join(tree, 'program'), (await readFile(process.execPath)).subarray(0, 700_000));
    await writeFile(join(tree, 'deep/er/small'), 'a few bytes\n');
    await writeFile(join(tree, 'bad\u001b[31mname\\'), 'plays tricks on a terminal\n');
    await writeFile(join(tree, 'holes'), Buffer.alloc(300_000));
    await symlink('../program', join(tree, 'deep/link'));
    await exec('mksquashfs', [
      ...[tree, image, '-comp', 'zstd', '-all-root', '-noappend', '-no-progress', '-quiet'],
      ...[
        '-p',
        '/null c 666 0 0 1 3',
        '-p',
        '/disk b 660 0 0 259 70000',
        '-p',
        '/pipe i 600 0 0 f',
      ],
    ]);
    dataBytes = (await stat(image)).size;
    const fd = openSync(image, 'r');
    try {
      const dataBlocks = dataBytes / BLOCK_BYTES;
      const made = await buildHashTree({ fd, dataBlocks, salt: Buffer.from(SALT, 'hex') });
      rootHash = made.rootHash;
      await writeFile(image, Buffer.concat([await readFile(image), made.tree]));
    } finally {
      closeSync(fd);
    }
  }

  /** The answer that both hosts give. */
  async function both(...args: readonly string[]): Promise<Answer> {
    const answers: Answer[] = [];
    for (const ask of hosts.values()) answers.push(await ask(...args));
    const [first, second] = answers;
    assert.ok(first !== undefined);
    assert.deepEqual(second, first, `the hosts differ: ${args.join(' ')}`);
    return first;
  }

  /** The image with one byte turned, in a file of its own. */
  async function turned(offset: number): Promise<string> {
    const bytes = await readFile(image);
    bytes[offset] = (bytes[offset] ?? 0) ^ 1;
    const file = join(folder, `turned-${offset}`);
    await writeFile(file, bytes);
    return file;
  }

  it('imports WASI preview 1 and nothing else', async () => {
    const module = await WebAssembly.compile(await readFile(MODULE));
    const imports = WebAssembly.Module.imports(module);
    assert.deepEqual([...new Set(imports.map((each) => each.module))], ['wasi_snapshot_preview1']);
    assert.deepEqual(imports.map(({ name }) => name).sort(), [
      'args_get',
      'args_sizes_get',
      'fd_filestat_get',
      'fd_pread',
      'fd_prestat_dir_name',
      'fd_prestat_get',
      'fd_read',
      'fd_write',
      'path_open',
      'proc_exit',
    ]);
  });

  it('sha256: what node:crypto says', async () => {
    const expected = createHash('sha256')
      .update(await readFile(image))
      .digest('hex');
    assert.deepEqual(await both('sha256', image), {
      exitCode: 0,
      stdout: `${expected}  ${image}\n`,
      stderr: '',
    });
  });

  it('verify: what the reader of the node says', async () => {
    const fd = openSync(image, 'r');
    try {
      const opened = await SquashfsImage.open({ fd, sizeBytes: dataBytes });
      const report = opened.verify();
      opened.close();
      const lines = [
        `files ${report.files}`,
        `directories ${report.directories}`,
        `symlinks ${report.symlinks}`,
        `others ${report.others}`,
        `blocks ${report.blocks}`,
        `content-bytes ${report.bytes}`,
        `image-bytes ${report.usedBytes}`,
        'ok',
      ];
      assert.deepEqual(await both('verify', image), {
        exitCode: 0,
        stdout: `${lines.join('\n')}\n`,
        stderr: '',
      });
    } finally {
      closeSync(fd);
    }
  });

  it('list: what the reader of the node says, with names that are safe to print', async () => {
    const fd = openSync(image, 'r');
    try {
      const opened = await SquashfsImage.open({ fd, sizeBytes: dataBytes });
      const lines = [...opened.entries()].map((entry) => {
        const size =
          entry.device === undefined
            ? `${entry.sizeBytes}`
            : `${entry.device.major},${entry.device.minor}`;
        const target = entry.target === undefined ? '' : ` -> ${entry.target}`;
        const path = entry.path.replace('\\', '\\134').replace('\u001b', '\\033');
        const mode = entry.mode.toString(8).padStart(4, '0');
        const letter = {
          directory: 'd',
          file: 'f',
          symlink: 'l',
          'block-device': 'b',
          'character-device': 'c',
          fifo: 'p',
          socket: 's',
        }[entry.type];
        return `${letter} ${mode} ${entry.uid} ${entry.gid} ${size} ${entry.mtimeSeconds} ${path}${target}\n`;
      });
      opened.close();
      const { exitCode, stdout } = await both('list', image);
      assert.equal(stdout, lines.join(''));
      assert.equal(exitCode, 0);
      assert.match(stdout, /^b 0660 0 0 259,70000 \d+ \/disk$/m);
      assert.match(stdout, /^f \d+ 0 0 \d+ \d+ \/bad\\033\[31mname\\134$/m);
      assert.match(stdout, /^l 0777 0 0 10 \d+ \/deep\/link -> \.\.\/program$/m);
    } finally {
      closeSync(fd);
    }
  });

  it('verity: sound, and not against another root hash or salt', async () => {
    const sound = await both('verity', image, '--salt', SALT, '--root-hash', rootHash);
    assert.equal(sound.exitCode, 0, sound.stdout);
    assert.match(
      sound.stdout,
      new RegExp(`^root-hash ${rootHash}\ndata-blocks ${dataBytes / BLOCK_BYTES}\n`),
    );
    assert.match(sound.stdout, /\nbad-blocks 0\nok\n$/);
    const found = await both('verity', image, '--salt', SALT);
    assert.match(found.stdout, new RegExp(`^root-hash ${rootHash} \\(of the image itself`));
    const other = await both('verity', image, '--salt', SALT, '--root-hash', 'ab'.repeat(32));
    assert.equal(other.exitCode, 1);
    assert.match(other.stdout, /^bad block 0 of level \d\n/);
    assert.equal((await both('verity', image, '--root-hash', rootHash)).exitCode, 1);
  });

  it('verity: names the block that a turned byte is in, in the data and in the tree', async () => {
    for (const [offset, block] of [
      [5 * BLOCK_BYTES + 17, 'bad block 5 of level 0'],
      [dataBytes + 1, 'bad block 0 of level'],
    ] as const) {
      const file = await turned(offset);
      const { exitCode, stdout } = await both(
        'verity',
        file,
        '--salt',
        SALT,
        '--root-hash',
        rootHash,
        '--data-blocks',
        `${dataBytes / BLOCK_BYTES}`,
      );
      assert.equal(exitCode, 1);
      assert.ok(stdout.startsWith(block), stdout);
      assert.match(stdout, /\nrefused\n$/);
    }
  });

  it('verify and list: refuse a damaged image with the code of the node', async () => {
    for (const [offset, code] of [
      [0, 'squashfs-magic'],
      [12, 'squashfs-block-size'],
    ] as const) {
      const file = await turned(offset);
      for (const command of ['verify', 'list']) {
        const { exitCode, stdout } = await both(command, file);
        assert.match(stdout, new RegExp(`^refused: ${code} at byte \\d+`));
        assert.equal(exitCode, 1);
      }
    }
  });

  it('tells wrong usage from a file that cannot be read', async () => {
    const wrong = [
      [],
      ['verify'],
      ['turn', image],
      ['sha256', image, image],
      ['verity', image, '--salt'],
      ['verity', image, '--salt', '0'],
      ['verity', image, '--root-hash', '00'],
      ['verity', image, '--data-blocks', '-1'],
      ['verity', image, '--hash-offset', '5'],
      ['verity', image, '--colour', 'red'],
      Array(40).fill('x'),
    ];
    for (const args of wrong) {
      const { exitCode, stdout, stderr } = await both(...args);
      assert.deepEqual([exitCode, stdout], [2, ''], args.join(' '));
      assert.match(stderr, /^keel-verify: .*\nkeel-verify --help tells more\.\n$/);
    }
    for (const command of ['verify', 'list', 'sha256', 'verity']) {
      const { exitCode, stderr } = await both(command, join(folder, 'nothing'));
      assert.equal(exitCode, 3);
      assert.match(stderr, /^keel-verify: cannot read .*nothing: there is no such file\n$/);
    }
    const { exitCode, stdout } = await both('--help');
    assert.equal(exitCode, 0);
    assert.match(stdout, /^Usage: keel-verify COMMAND FILE/);
  });
});
