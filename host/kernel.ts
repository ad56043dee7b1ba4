// The kernel instance: the only file that calls the module's exports. It owns the memory views,
// the frames and the event ring; everything else of the host goes through this class.
import { EINVAL } from '../assembly/uapi/errno.ts';
import * as F from '../assembly/uapi/frame.ts';
import { NR_OPS } from '../assembly/uapi/op.ts';
import { type BootConfig, bootWords, type CreateOptions, type KernelTarget } from './boot.ts';
import { checkKernel } from './check.ts';
import type { Counts } from './counts.ts';
import { KernelPanic } from './errno.ts';
import { type KernelEvent, readEvent } from './events.ts';
import type { KernelExports } from './exports.ts';
import { Frame, FRAME_BLOCK, type FrameOwner } from './frame.ts';
import { FileViews, type FileView } from './file-views.ts';
import { layout } from './generated/layout.ts';
import { loadModule } from './module.ts';
import { restoreSnapshot, takeSnapshot } from './snapshot.ts';
import { readProc } from './proc.ts';
import { type Answer, answerWords, hookBits, type Hooks } from './upcalls.ts';
import { readUpcalls, type Upcall } from './upcalls.ts';
import { ACTIONS, type SigInfo, type SignalAction } from './signal-action.ts';
import { type ContainerView, type FdView, type TaskView, Views } from './views.ts';

export { DISP_DONE, DISP_BLOCKED, DISP_EXITED } from '../assembly/uapi/frame.ts';
export { DISP_NEED, DISP_UPCALL, DISP_DRAIN } from '../assembly/uapi/frame.ts';
export { DISP_BUSY, DISP_NOT_RUN, DISP_SLEEPS } from '../assembly/uapi/frame.ts';

/** Does the task sleep after this disposition, in its call? */
export const isAsleep = (d: number): boolean => d === F.DISP_BLOCKED || d === F.DISP_UPCALL;

export type { BootConfig, CreateOptions, KernelTarget } from './boot.ts';
export type { SigInfo, SignalAction } from './signal-action.ts';

export class Kernel implements FrameOwner {
  readonly exports: KernelExports;
  readonly memory: WebAssembly.Memory;
  readonly target: KernelTarget;
  u32 = new Uint32Array(0);
  u8 = new Uint8Array(0);
  /** The frame that the next trap() runs. */
  frame: Frame;
  #frames = new Map<number, Frame>();
  #spare: Frame[] = [];
  #compat: boolean[] = [];
  /** readers over tasks, containers and descriptors */
  readonly views: Views;
  /** readers over open files */
  readonly openFiles: FileViews;

  constructor(instance: WebAssembly.Instance, memory: WebAssembly.Memory, target: KernelTarget) {
    this.exports = instance.exports as unknown as KernelExports;
    this.memory = memory;
    this.target = target;
    this.refresh();
    this.frame = undefined as unknown as Frame;
    this.views = new Views(this);
    this.openFiles = new FileViews(this);
  }

  /** Starts the machine. Throws RangeError when there is no memory for it. */
  boot(config: BootConfig = {}): void {
    this.refresh();
    const at = 0x10000 >>> 2;
    this.u32.set(bootWords(config), at);
    if (this.#guard(() => this.exports.boot(0x10000)) !== 0) {
      throw new RangeError('boot failed: not enough memory');
    }
    this.refresh();
    this.#frames.clear();
    this.#spare = [];
    this.#compat = [];
    this.frame = this.#newFrame();
    this.registerTable(Uint16Array.from({ length: NR_OPS }, (_, i) => i));
    if (config.clockNs !== undefined) this.clockSet(config.clockNs);
  }

  /** Memory may have grown: the views follow. */
  refresh(): void {
    if (this.u8.buffer === this.memory.buffer) return;
    this.u8 = new Uint8Array(this.memory.buffer);
    this.u32 = new Uint32Array(this.memory.buffer);
  }

  isCompat(table: number): boolean {
    return this.#compat[table] === true;
  }

  #newFrame(): Frame {
    const spare = this.#spare.pop();
    if (spare) return spare;
    const at = this.exports.host_alloc(FRAME_BLOCK) >>> 0;
    if (!at) throw new RangeError('the kernel has no memory left for a frame');
    this.refresh();
    return new Frame(this, at);
  }

  /** Runs an export; a wasm trap becomes a KernelPanic with the kernel's reason. */
  #guard<T>(run: () => T): T {
    try {
      return run();
    } catch (cause) {
      if (!(cause instanceof WebAssembly.RuntimeError)) throw cause;
      this.refresh();
      const bug = this.u32[(this.exports.root_ptr() + layout.kernel_root.bug) >>> 2] ?? 0;
      throw new KernelPanic(bug, cause);
    }
  }

  /** Registers a syscall table (number -> OP_*). Return: its index, for Frame.begin. */
  registerTable(ops: Uint16Array, compat = false): number {
    const at = this.exports.host_alloc(ops.length * 2) >>> 0;
    this.refresh();
    new Uint16Array(this.memory.buffer, at, ops.length).set(ops);
    const index = this.exports.register_table(at, ops.length, compat ? F.TABLE_COMPAT : 0);
    if (index < 0) throw new RangeError('the kernel takes at most 16 syscall tables');
    this.#compat[index] = compat;
    return index;
  }

  /** Runs this.frame. A task that goes to sleep keeps the frame; this.frame is then a fresh one. */
  trap(): number {
    const frame = this.frame;
    const d = this.#guard(() => this.exports.do_syscall_64(frame.address));
    this.refresh();
    if (isAsleep(d)) {
      const tid = this.u32[(frame.address + layout.frame.tid) >>> 2]!;
      this.#keep(tid, frame);
      this.frame = this.#newFrame();
    }
    return d;
  }

  #keep(tid: number, frame: Frame): void {
    const old = this.#frames.get(tid);
    if (old && old !== frame) this.#spare.push(old);
    this.#frames.set(tid, frame);
  }

  /** Runs many frames in one crossing (see do_syscall_batch). Return: how many were done. */
  batch(frames: readonly Frame[]): number {
    const bytes = frames.length * 4;
    const at = this.exports.host_alloc(bytes) >>> 0;
    this.refresh();
    frames.forEach((frame, i) => (this.u32[(at >>> 2) + i] = frame.address));
    const done = this.#guard(() => this.exports.do_syscall_batch(at, frames.length));
    this.refresh();
    this.exports.host_free(at, bytes);
    return done;
  }

  /** A frame of the caller's own, for batch(). It goes back by freeFrame(). */
  allocFrame(): Frame {
    return this.#newFrame();
  }

  freeFrame(frame: Frame): void {
    this.#spare.push(frame);
  }

  /** A woken task goes on with its sleeping call; the result is in frameOf(tid). */
  resume(tid: number): number {
    const d = this.#guard(() => this.exports.resume(tid));
    this.refresh();
    return d;
  }

  /** Frame of the sleeping, or just completed, call of `tid`. */
  frameOf(tid: number): Frame | undefined {
    return this.#frames.get(tid);
  }

  isWoken(tid: number): boolean {
    return this.views.isWoken(tid);
  }

  isBlocked(tid: number): boolean {
    return this.views.isBlocked(tid);
  }

  woken(): number[] {
    return this.views.woken();
  }

  /**
   * One step of the return to user mode of `tid`: takes at most one pending signal; `want` names
   * one of several, where the host knows which came first.
   */
  exitToUser(tid: number, frame?: Frame, want = 0): SignalAction {
    const r = this.#guard(() => this.exports.exit_to_user(tid, frame?.address ?? 0, want));
    this.refresh();
    return { action: ACTIONS[r] ?? 'none', info: this.#sigInfo() };
  }

  #sigInfo(): SigInfo {
    const at = this.exports.siginfo_ptr() >>> 2;
    const L = layout.siginfo;
    const i32 = (offset: number): number => this.u32[at + (offset >>> 2)]! | 0;
    const lo = this.u32[at + (L.value >>> 2)]!;
    const hi = this.u32[at + (L.value >>> 2) + 1]!;
    return {
      signo: i32(L.signo),
      errno: i32(L.errno),
      code: i32(L.code),
      pid: i32(L.pid),
      uid: i32(L.uid),
      status: i32(L.status),
      value: (BigInt(hi) << 32n) | BigInt(lo),
    };
  }

  /** Every task with a fatal end pending dies, in order of marking. Return: how many. */
  runPending(max = 0x7fffffff): number {
    const n = this.#guard(() => this.exports.run_pending(max));
    this.refresh();
    return n;
  }

  /** Resumes the tasks that are woken now, in order of waking. Return: how many. */
  runWoken(max = 0x7fffffff): number {
    const n = this.#guard(() => this.exports.run_woken(max));
    this.refresh();
    return n;
  }

  /** The end that `tid` is about to meet. */
  diesNext(tid: number): { kind: 'signal' | 'code'; value: number } | null {
    const status = this.exports.fatal_pending(tid);
    if (status < 0) return null;
    const signal = status & 0x7f;
    return signal ? { kind: 'signal', value: signal } : { kind: 'code', value: status >> 8 };
  }

  /** Carries out the end that is pending for `tid`; for its whole group unless told otherwise. */
  die(tid: number, wholeGroup = true): number {
    const group = wholeGroup ? this.views.threads(tid) : [tid];
    let n = 0;
    for (const t of group) {
      if (this.#guard(() => this.exports.die(t)) === 0) n += 1;
    }
    this.refresh();
    return n;
  }

  /** A task that the host knows of first. Throws RangeError when its number is taken. */
  adopt(task: { pid: number; ppid?: number; tgid?: number; traced?: boolean }): void {
    const thread = task.tgid !== undefined && task.tgid !== task.pid;
    const parent = thread ? task.tgid! : (task.ppid ?? 1);
    const flags = (thread ? 1 : 0) | (task.traced ? 2 : 0);
    const r = this.#guard(() => this.exports.adopt(task.pid, parent, flags));
    this.refresh();
    if (r < 0) throw new RangeError(`task ${task.pid} cannot be adopted (errno ${-r})`);
  }

  /** A descriptor that the host knows of first. Return: false when the number is in use. */
  adoptFd(tid: number, fd: number, cloexec = false): boolean {
    const r = this.#guard(() => this.exports.adopt_fd(tid, fd, cloexec ? 1 : 0));
    this.refresh();
    return r === fd;
  }

  /** The signal that exitToUser() would take next, 0 when there is none. */
  nextSignal(tid: number): number {
    return this.exports.next_signal(tid);
  }

  /** Who sent the first `signo` that is queued for the group of `tid`; 0 when none is. */
  queuedSender(tid: number, signo: number): number {
    return this.views.queuedSender(tid, signo);
  }

  /** Gives up the sleeping call of `tid`: the host knows that it ended otherwise. */
  abortCall(tid: number): void {
    this.exports.abort_call(tid);
  }

  /** Facts about a task's surroundings that the host knows: parent, process group, session. */
  setParent(tid: number, parent: number): boolean {
    return this.exports.set_parent(tid, parent) === 0;
  }

  setGroup(tid: number, pgid: number, sid: number): boolean {
    return this.exports.set_group(tid, pgid, sid) === 0;
  }

  /** Who a task is, as observed: a field of its cred, by assembly/process/adopt.ts's number. */
  setCred(tid: number, field: number, value: bigint): boolean {
    const halves = [Number(value & 0xffffffffn), Number((value >> 32n) & 0xffffffffn)] as const;
    return this.exports.set_cred(tid, field, ...halves) === 0;
  }

  /** Descriptor `fd` is the file of a namespace of `type`: number `inum`, or one not known (0). */
  setNs(tid: number, fd: number, type: number, inum = 0): boolean {
    const r = this.#guard(() => this.exports.set_ns(tid, fd, type, inum));
    this.refresh();
    return r === 0;
  }

  /** The name of the machine that `tid` is on, or of its domain. */
  setName(tid: number, name: string, domain = false): boolean {
    const bytes = Uint8Array.from(name, (c) => c.charCodeAt(0));
    const at = this.exports.host_alloc(bytes.length) >>> 0;
    this.refresh();
    if (!at) return false;
    this.u8.set(bytes, at);
    const r = this.exports.set_name(tid, domain ? 1 : 0, at, bytes.length);
    this.exports.host_free(at, bytes.length);
    return r === 0;
  }

  /** The death of `tid` began with the signal it took, before a SIGKILL that came after. */
  preferTaken(tid: number): void {
    this.exports.prefer_taken(tid);
  }

  /** A fault that no handler could take ends `tid`: the world saw it happen. */
  fault(tid: number, signo: number): void {
    this.exports.fault(tid, signo);
  }

  /** The end that is pending for `tid` leaves a core. */
  setCore(tid: number): void {
    this.exports.set_core(tid);
  }

  setTraced(tid: number, on: boolean): void {
    this.exports.set_traced(tid, on ? 1 : 0);
  }

  /** Sets a task's signal mask to what was observed. */
  setBlocked(tid: number, mask: bigint): void {
    this.exports.set_blocked(tid, Number(mask & 0xffffffffn), Number((mask >> 32n) & 0xffffffffn));
  }

  /** The mask of one call that the kernel does not run; the task's own comes back after it. */
  setTemporaryMask(tid: number, mask: bigint): void {
    const halves = [Number(mask & 0xffffffffn), Number((mask >> 32n) & 0xffffffffn)] as const;
    this.exports.set_temporary_mask(tid, ...halves);
  }

  /** A signal of the world's: a timer, a fault, a terminal, a process outside. */
  raise(tid: number, group: boolean, info: Partial<SigInfo> & { signo: number }): void {
    const value = info.value ?? 0n;
    this.#guard(() =>
      this.exports.raise(
        tid,
        group ? 1 : 0,
        info.signo,
        info.code ?? 0,
        info.pid ?? 0,
        info.uid ?? 0,
        info.status ?? 0,
        Number(value & 0xffffffffn),
        Number((value >> 32n) & 0xffffffffn),
      ),
    );
    this.refresh();
  }

  /**
   * Timer `id` of `tid` went off `times` times: a number of timer_create(2), or -1 - which
   * of setitimer(2). Return: false when it is not armed.
   */
  fireTimer(tid: number, id: number, times = 1): boolean {
    return this.#guard(() => this.exports.fire_timer(tid, id, times)) === 0;
  }

  /** Takes all events out of the ring. */
  events(): KernelEvent[] {
    this.refresh();
    const root = this.exports.root_ptr() >>> 2;
    const R = layout.kernel_root;
    const ring = this.u32[root + (R.event_ring >>> 2)]!;
    let head = this.u32[root + (R.event_head >>> 2)]!;
    const tail = this.u32[root + (R.event_tail >>> 2)]!;
    const events: KernelEvent[] = [];
    while (head !== tail) {
      const event = readEvent(this.u32, ring, head);
      if (event) events.push(event);
      head = (head + 1) >>> 0;
    }
    this.u32[root + (R.event_head >>> 2)] = tail;
    return events;
  }

  /** What the host wants to be asked and told from now on. */
  setHooks(hooks: Hooks): void {
    this.exports.hooks_set(hookBits(hooks));
  }

  /** What the kernel asks and waits for the answer of, oldest first. */
  upcalls(): Upcall[] {
    this.refresh();
    return readUpcalls(this);
  }

  /** Answers an upcall; its task is woken. Return: false when nothing is asked by that number. */
  answer(id: number, answer: Answer): boolean {
    const r = this.#guard(() => this.exports.upcall_answer(id, ...answerWords(answer)));
    if (r === -EINVAL) throw new RangeError('an errno is 1..4095, a value none of its negatives');
    return r === 0;
  }

  clockSet(ns: bigint): void {
    this.exports.clock_set(Number(ns & 0xffffffffn), Number((ns >> 32n) & 0xffffffffn));
  }

  /** The kernel's memory up to its high-water mark, with a header that restore() checks. */
  snapshot(): Uint8Array {
    this.refresh();
    return takeSnapshot(this);
  }

  /** Goes back to a snapshot of a kernel of the same build. Throws RangeError on any other. */
  restore(snapshot: Uint8Array): void {
    this.frame = new Frame(this, restoreSnapshot(this, snapshot));
    this.#spare = [];
    this.#frames.clear();
    for (const [tid, at] of this.views.keptFrames()) this.#frames.set(tid, new Frame(this, at));
  }

  task(tid: number): TaskView | undefined {
    return this.views.task(tid);
  }

  tasks(): TaskView[] {
    return this.views.tasks();
  }

  containers(): ContainerView[] {
    return this.views.containers();
  }

  fds(tid: number): FdView[] {
    return this.views.fds(tid);
  }

  /** The open file behind a descriptor. */
  file(tid: number, fd: number): FileView | undefined {
    return this.openFiles.file(tid, fd);
  }

  /** Tells a fact about an open file (FILE_EVENT_*). Return: whether it fits the file. */
  fileEvent(file: FileView, what: number, value = 0): boolean {
    const r = this.#guard(() => this.exports.file_event(file.address, what, value));
    this.refresh();
    return r === 0;
  }

  /** The timeout of the sleeping call of `tid` runs out. Return: false when it has none. */
  expire(tid: number): boolean {
    return this.exports.expire(tid) === 0;
  }

  counts(): Counts {
    return this.views.counts();
  }

  /** What task `tid` reads from a file of /proc that the kernel writes; undefined: it has none. */
  procText(tid: number, path: string): string | undefined {
    return this.#guard(() => readProc(this, tid, path));
  }

  /** Debug target: the n-th allocation of the next call fails; 0 for none. */
  allocFail(n: number): void {
    this.exports.alloc_fail(n);
  }

  allocCount(): number {
    return this.exports.alloc_count() >>> 0;
  }

  /** Debug target: switches a seeded fault on; 0 for none. */
  seedFault(id: number): void {
    this.exports.seed_fault(id);
  }

  /** The invariant checker's findings; empty when the memory is sound. */
  check(): string[] {
    this.refresh();
    return checkKernel(this);
  }
}

/** Loads the module, makes a machine, starts it. */
export async function createKernel(options: CreateOptions = {}): Promise<Kernel> {
  const target = options.target ?? 'release';
  const module = await loadModule(target, options.wasm);
  const shared = target === 'smp';
  const memory = shared
    ? new WebAssembly.Memory({ initial: 32, maximum: 65536, shared: true })
    : undefined;
  const instance = await WebAssembly.instantiate(module, memory ? { env: { memory } } : {});
  const own = memory ?? (instance.exports.memory as WebAssembly.Memory);
  const kernel = new Kernel(instance, own, target);
  kernel.boot(options.boot);
  return kernel;
}
