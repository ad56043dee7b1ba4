// The two ways a kernel fails its host: an errno, which is an answer, and a panic, which is a bug.
import * as errnoNumbers from '../assembly/uapi/errno.ts';

const NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(errnoNumbers)) {
  if (!NAMES.has(value)) NAMES.set(value, name);
}

/** Name of an error number (`EINVAL`), or its decimal when there is none. */
export function errnoName(errno: number): string {
  return NAMES.get(Math.abs(errno)) ?? String(errno);
}

/** A call that failed: what a C program would find in errno. */
export class Errno extends Error {
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;

  constructor(errno: number, syscall: string) {
    super(`${errnoName(errno)}: ${syscall}`);
    this.name = 'Errno';
    this.errno = Math.abs(errno);
    this.code = errnoName(errno);
    this.syscall = syscall;
  }
}

/** Reasons of a BUG in the kernel, by number (assembly/lib/bug.ts). */
const BUGS = [
  'no reason given',
  'a list is corrupt',
  'a reference was taken to a dead object',
  'a reference count fell below zero',
  'locks were taken in the wrong order',
  'a lock was taken twice',
  'a lock was released that was not held',
  'an object was freed twice',
  'a task is in an impossible state',
];

/** The kernel stopped on a broken invariant. The instance is dead: make a new one. */
export class KernelPanic extends Error {
  readonly reason: string;

  constructor(bug: number, cause: unknown) {
    const reason = BUGS[bug] ?? `reason ${bug}`;
    super(`kernel panic: ${reason}`, { cause });
    this.name = 'KernelPanic';
    this.reason = reason;
  }
}
