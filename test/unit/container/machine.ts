// Drives a kernel through the container calls: one method per call, guest memory at USER.
import * as U from '../../../assembly/uapi/container.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { type Memory, trap, USER, words } from '../trap.ts';
import { createKernel, DISP_BLOCKED, DISP_DONE } from '../../../host/index.ts';
import type { BootConfig, Kernel, KernelTarget } from '../../../host/index.ts';

export { USER, words } from '../trap.ts';
export const SLEEPS = 'sleeps';
export const GONE = 'gone';
export const TARGETS: readonly KernelTarget[] = ['release', 'debug', 'smp'];
export const ALL_NS =
  U.CONTAINER_NEW_FS_NS |
  U.CONTAINER_NEW_CGROUP_NS |
  U.CONTAINER_NEW_UTS_NS |
  U.CONTAINER_NEW_IPC_NS |
  U.CONTAINER_NEW_PID_NS |
  U.CONTAINER_NEW_NET_NS;

export type Result = number | typeof SLEEPS | typeof GONE;

export const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);

export class Machine {
  readonly k: Kernel;
  /** what the last call left at USER */
  out: Uint8Array = new Uint8Array();

  constructor(k: Kernel) {
    this.k = k;
  }

  call(tid: number, op: number, args: (number | bigint)[] = [], memory?: Memory): Result {
    const done = trap(this.k, tid, op, args, memory);
    if (done.kind !== 'done') return done.kind === 'sleeps' ? SLEEPS : GONE;
    if (done.out) this.out = done.out;
    return done.result;
  }

  /** container_create; throws where the call fails. */
  create(tid: number, name: string, flags = 0): number {
    return fine(this.tryCreate(tid, name, flags));
  }

  tryCreate(tid: number, name: string, flags = 0): Result {
    return this.call(tid, OP.OP_CONTAINER_CREATE, [USER, flags], text(name));
  }

  enter(tid: number, fd: number): number {
    return fine(this.tryEnter(tid, fd));
  }

  tryEnter(tid: number, fd: number): Result {
    return this.call(tid, OP.OP_FORK_INTO_CONTAINER, [fd]);
  }

  /** container_wait with a status word at USER. */
  containerWait(tid: number, fd: number, options = 0): Result {
    return this.call(tid, OP.OP_CONTAINER_WAIT, [fd, USER, options, 0], 4);
  }

  containerKill(tid: number, fd: number, initOnly: number, sig: number): Result {
    return this.call(tid, OP.OP_CONTAINER_KILL, [fd, initOnly, sig]);
  }

  open(tid: number, id: number, flags = 0): Result {
    return this.call(tid, OP.OP_CONTAINER_OPEN, [id, flags]);
  }

  /** poll of one descriptor: revents, or SLEEPS. */
  poll(tid: number, fd: number, events: number, timeout = 0): Result {
    const r = this.call(tid, OP.OP_POLL, [USER, 1, timeout], words(fd, events));
    return typeof r === 'number' && r >= 0 ? this.word(1) >>> 16 : r;
  }

  fork(tid: number): number {
    return fine(this.call(tid, OP.OP_FORK));
  }

  clone(tid: number, flags: number): Result {
    return this.call(tid, OP.OP_CLONE, [flags, 0, 0, 0, 0]);
  }

  close(tid: number, fd: number): Result {
    return this.call(tid, OP.OP_CLOSE, [fd]);
  }

  exit(tid: number, code = 0): Result {
    return this.call(tid, OP.OP_EXIT_GROUP, [code]);
  }

  wait(tid: number, child: number): Result {
    return this.call(tid, OP.OP_WAIT4, [child, USER, 0, 0], 4);
  }

  kill(tid: number, target: number, sig: number): Result {
    return this.call(tid, OP.OP_KILL, [target, sig]);
  }

  /** A child of `tid` with other ids and no capability. */
  user(uid: number, tid = 1): number {
    const child = this.fork(tid);
    this.call(child, OP.OP_SETRESGID, [uid, uid, uid]);
    this.call(child, OP.OP_SETRESUID, [uid, uid, uid]);
    return child;
  }

  /** The sleeping call of `tid` goes on: its result, or SLEEPS. */
  resume(tid: number): Result {
    const frame = this.k.frameOf(tid);
    const disposition = this.k.resume(tid);
    if (disposition === DISP_BLOCKED) return SLEEPS;
    if (disposition !== DISP_DONE) throw new Error(`disposition ${disposition}`);
    this.out = frame!.output(USER, 4) ?? new Uint8Array();
    return frame!.result;
  }

  /** 32-bit word `i` of what the last call left at USER. */
  word(i: number): number {
    return new DataView(this.out.buffer, this.out.byteOffset).getInt32(i * 4, true);
  }

  state(tid: number): string | undefined {
    return this.k.task(tid)?.state;
  }

  container(name: string) {
    return this.k.containers().find((c) => c.name === name);
  }
}

export function fine(result: Result): number {
  if (typeof result !== 'number' || result < 0) throw new Error(`the call gives ${result}`);
  return result;
}

export async function machine(target: KernelTarget = 'debug', boot?: BootConfig): Promise<Machine> {
  return new Machine(await createKernel(boot ? { target, boot } : { target }));
}
