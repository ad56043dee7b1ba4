// This kernel by its typed exports: calls of numbers alone, without a frame.
import * as C from '../../assembly/uapi/sched.ts';
import type { Kernel } from '../kernel.ts';
import { KernelMachine, THREAD_FLAGS } from './kernel-machine.ts';

const WNOHANG = 1;
const SIGUSR1 = 10;
const SIGCHLD = 17;
const NAME_BYTES = 24;

export class DirectMachine extends KernelMachine {
  readonly #x: Kernel['exports'];
  readonly #name: number;

  constructor(kernel: Kernel) {
    super(kernel);
    this.#x = kernel.exports;
    this.#name = kernel.exports.host_alloc(NAME_BYTES) >>> 0;
    kernel.refresh();
    kernel.u8.set(new TextEncoder().encode('bench\0'), this.#name);
  }

  override fork(tid: number): number {
    return this.#x.call_fork(tid);
  }
  override thread(tid: number): number {
    return this.#x.call_clone(tid, THREAD_FLAGS);
  }
  override newpid(tid: number): number {
    return this.#x.call_clone(tid, C.CLONE_NEWPID | SIGCHLD);
  }
  override end(tid: number, code: number): void {
    this.#x.call_exit_group(tid, code);
  }
  override endThread(tid: number): void {
    this.#x.call_exit(tid, 0);
  }
  override wait(tid: number, pid: number): number {
    return this.#x.call_wait4(tid, pid, WNOHANG);
  }
  override create(tid: number): number {
    return this.#x.call_container_create(tid, this.#name, 0);
  }
  override close(tid: number, fd: number): void {
    this.#x.call_close(tid, fd);
  }
  override enter(tid: number, fd: number): number {
    return this.#x.call_fork_into_container(tid, fd);
  }
  override kill(tid: number, pid: number): number {
    return this.#x.call_kill(tid, pid, SIGUSR1);
  }
  override getppid(tid: number): number {
    return this.#x.call_getppid(tid);
  }
}
