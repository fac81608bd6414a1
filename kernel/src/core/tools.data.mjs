// What a kernel build needs on the machine. Plain JavaScript: the scripts that run before `npm ci` read it too.

/**
 * @type {ReadonlyArray<{ package: string, why: string, command?: string, file?: string }>}
 */
export const kernelTools = [
  { command: 'gcc', package: 'gcc', why: 'compiles the kernel' },
  { command: 'make', package: 'make', why: 'drives the kernel build' },
  { command: 'ld', package: 'binutils', why: 'links the kernel' },
  {
    file: '/usr/include/stdio.h',
    package: 'libc6-dev',
    why: 'headers for the kernel’s build programs',
  },
  { command: 'bc', package: 'bc', why: 'computes a header of time constants in the kernel build' },
  {
    command: 'bison',
    package: 'bison',
    why: 'makes the parser of the kernel’s configuration language',
  },
  {
    command: 'flex',
    package: 'flex',
    why: 'makes the scanner of the kernel’s configuration language',
  },
  { command: 'perl', package: 'perl', why: 'runs scripts of the kernel build' },
  {
    file: '/usr/include/gelf.h',
    package: 'libelf-dev',
    why: 'objtool reads and writes the kernel’s objects',
  },
  { command: 'xz', package: 'xz-utils', why: 'unpacks the kernel source' },
  { command: 'zstd', package: 'zstd', why: 'compresses the kernel image' },
  { command: 'flock', package: 'util-linux', why: 'keeps two builds apart' },
];
