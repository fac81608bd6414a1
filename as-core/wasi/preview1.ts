// The calls of WASI preview 1 that keel-verify makes: https://github.com/WebAssembly/WASI, legacy/preview1/docs.md.
// Each returns an errno, 0 for done.

// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "args_sizes_get")
export declare function argsSizesGet(count: usize, bytes: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "args_get")
export declare function argsGet(pointers: usize, bytes: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_prestat_get")
export declare function fdPrestatGet(fd: i32, prestat: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_prestat_dir_name")
export declare function fdPrestatDirName(fd: i32, name: usize, length: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "path_open")
export declare function pathOpen(
  folder: i32,
  lookup: i32,
  path: usize,
  length: usize,
  create: i32,
  rights: u64,
  inherited: u64,
  flags: i32,
  fd: usize,
): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_filestat_get")
export declare function fdFilestatGet(fd: i32, filestat: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_read")
export declare function fdRead(fd: i32, pieces: usize, count: usize, done: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_pread")
export declare function fdPread(fd: i32, pieces: usize, count: usize, at: u64, done: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "fd_write")
export declare function fdWrite(fd: i32, pieces: usize, count: usize, done: usize): i32;
// @ts-expect-error: decorator
@external("wasi_snapshot_preview1", "proc_exit")
export declare function procExit(code: i32): void;

/** Errno values with a text of their own in `file.ts`. */
export const ERRNO_ACCES: i32 = 2;
export const ERRNO_BADF: i32 = 8;
export const ERRNO_ISDIR: i32 = 31;
export const ERRNO_NOENT: i32 = 44;
export const ERRNO_NOTCAPABLE: i32 = 76;

/** Rights: read, seek, tell, filestat_get. */
export const RIGHTS_READ: u64 = (1 << 1) | (1 << 2) | (1 << 5) | (1 << 21);
/** Follow a symbolic link at the end of a path. */
export const LOOKUP_FOLLOW: i32 = 1;
