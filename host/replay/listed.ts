// Calls about memory, time, names and plain files: what nobody asks this kernel to predict.
// The list is fixed; `bulkhead stat` says what share of all others has a predicted field.
import type { Call } from './call.ts';
import type { Replay } from './engine.ts';

/** Whatever they act on. */
const ALWAYS: ReadonlySet<string> = new Set(
  (
    'mmap mmap2 old_mmap munmap mprotect brk mremap madvise mlock munlock msync mincore ' +
    'getrandom futex membarrier clock_gettime clock_gettime64 gettimeofday time nanosleep ' +
    'clock_nanosleep clock_nanosleep_time64 sched_yield getrusage times sysinfo stat ' +
    'stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx access faccessat ' +
    'faccessat2 readlink readlinkat getdents64 statfs statfs64 fstatfs fstatfs64 lseek ' +
    '_llseek fadvise64 fadvise64_64 arch_prctl rseq mbind'
  ).split(' '),
);
/** Where they act on plain files; ioctl on terminals too. */
const ON_PLAIN: ReadonlySet<string> = new Set(
  (
    'read write pread64 pwrite64 readv writev preadv pwritev sendfile sendfile64 splice ' +
    'copy_file_range ioctl'
  ).split(' '),
);
/** Calls between two files: both have to be plain. */
const BETWEEN: Readonly<Record<string, readonly [number, number]>> = {
  sendfile: [0, 1],
  sendfile64: [0, 1],
  splice: [0, 2],
  copy_file_range: [0, 2],
};

/** Are calls of this name listed, always or where they act on plain files? */
export function isListedByFile(name: string): boolean {
  return ALWAYS.has(name) || ON_PLAIN.has(name);
}

export function isAlwaysListed(name: string): boolean {
  return ALWAYS.has(name);
}

/** Is a call one of those that are left to the world by agreement? */
export function isListed(r: Replay, call: Call): boolean {
  if (ALWAYS.has(call.name)) return true;
  if (!ON_PLAIN.has(call.name)) return false;
  const pair = BETWEEN[call.name];
  return pair ? pair.every((i) => r.files.isPlain(call, i)) : r.files.isPlain(call, 0);
}
