// The same machine in idiomatic JavaScript: classes, Map, Set, BigInt for sets of signals. What a
// simulator's author would write first.
import * as M from './machine.ts';
import type { Machine, Observed } from './machine.ts';
import {
  Container,
  type Cred,
  FdTable,
  type Namespaces,
  type OpenFile,
  Pid,
  PidNamespace,
  Process,
  Task,
} from './objects-types.ts';

const SIGUSR1 = 10;
const SIGCHLD = 17;
const HANDLED = 2;

export class ObjectMachine implements Machine {
  readonly #pids = new PidNamespace(null);
  readonly #root: Container;
  readonly #init: Task;
  readonly #killed = new Set<Task>();
  #lastContainer = 1;
  #containers = 1;
  #processes = 0;
  #threads = 0;

  constructor() {
    const user = { processes: 0, containers: 0, signals: 0 };
    const cred = { uid: 0, euid: 0, gid: 0, caps: 0x1ffffffffffn, user };
    const ns = { mnt: {}, uts: {}, ipc: {}, net: {}, cgroup: {}, time: {} };
    const namespaces = { ...ns, pidForChildren: this.#pids };
    this.#root = new Container(1, null, cred, namespaces);
    this.#root.flags = M.INIT_STARTED;
    this.#root.files = 0;
    this.#init = new Task(new Pid(this.#pids), new Process(null), cred, namespaces);
    const init = this.#init;
    init.files = new FdTable();
    for (let fd = 0; fd < 3; ++fd) init.files.fds.set(fd, { count: 1, container: null });
    init.fs = { umask: 0o022 };
    init.process.pgrp = init.process.session = init.pid;
    this.#attach(init, this.#root);
    init.process.unkillable = true;
    this.#pids.reaper = init;
  }

  #task(tid: number): Task {
    return this.#pids.numbers.get(tid)!.task!;
  }

  /** A new group's leader joins everything that it is in. */
  #attach(task: Task, container: Container): void {
    const { process, pid } = task;
    process.leader = task;
    pid.task = task;
    process.threads.add(task);
    process.pgrp.group.add(process);
    process.session.sessions += 1;
    process.parent?.children.add(process);
    process.container = container;
    container.members.add(process);
    container.usage += 1;
    task.cred.user.processes += 1;
    this.#processes += 1;
    this.#threads += 1;
  }

  #clone(parent: Task, container: Container, cred: Cred, ns: Namespaces): Task {
    const process = new Process(parent.process);
    const task = new Task(new Pid(ns.pidForChildren), process, cred, ns);
    task.files = parent.files!;
    task.files.users += 1;
    task.fs = parent.fs;
    task.handlers = parent.handlers;
    task.comm = parent.comm;
    task.blocked = parent.blocked;
    process.pgrp = parent.process.pgrp;
    process.session = parent.process.session;
    this.#attach(task, container);
    const pids = ns.pidForChildren;
    if (!pids.reaper) {
      pids.reaper = task;
      process.unkillable = true;
    }
    return task;
  }

  fork(tid: number): number {
    const parent = this.#task(tid);
    const child = this.#clone(parent, parent.process.container!, parent.cred, parent.ns!);
    return child.pid.in(parent.pid.ns);
  }

  newpid(tid: number): number {
    const parent = this.#task(tid);
    const ns = { ...parent.ns!, pidForChildren: new PidNamespace(parent.pid.ns) };
    return this.#clone(parent, parent.process.container!, parent.cred, ns).pid.in(parent.pid.ns);
  }

  thread(tid: number): number {
    const parent = this.#task(tid);
    const task = new Task(new Pid(parent.pid.ns), parent.process, parent.cred, parent.ns!);
    task.files = parent.files!;
    task.files.users += 1;
    task.fs = parent.fs;
    task.handlers = parent.handlers;
    task.comm = parent.comm;
    task.blocked = parent.blocked;
    task.exitSignal = -1;
    task.pid.task = task;
    parent.process.threads.add(task);
    task.cred.user.processes += 1;
    this.#threads += 1;
    return task.pid.in(parent.pid.ns);
  }

  create(tid: number): number {
    const task = this.#task(tid);
    const parent = task.process.container!;
    const cred = { ...task.cred, uid: task.cred.euid };
    const container = new Container(++this.#lastContainer, parent, cred, { ...task.ns! });
    parent.children.add(container);
    parent.usage += 1;
    cred.user.containers += 1;
    this.#containers += 1;
    const files = this.#writable(task);
    const fd = files.free();
    files.fds.set(fd, { count: 1, container });
    return fd;
  }

  /** The task's own descriptors, to be written. */
  #writable(task: Task): FdTable {
    const files = task.files!;
    if (files.users === 1) return files;
    files.users -= 1;
    task.files = files.copy();
    return task.files;
  }

  close(tid: number, fd: number): void {
    const files = this.#writable(this.#task(tid));
    const file = files.fds.get(fd)!;
    files.fds.delete(fd);
    this.#put(file);
  }

  #put(file: OpenFile): void {
    file.count -= 1;
    if (file.count > 0 || !file.container) return;
    file.container.files -= 1;
    this.#release(file.container);
  }

  #release(container: Container): void {
    let at: Container | null = container;
    while (at) {
      at.usage -= 1;
      if (at.usage > 0) return;
      at.parent?.children.delete(at);
      at.cred.user.containers -= 1;
      this.#containers -= 1;
      at = at.parent;
    }
  }

  enter(tid: number, fd: number): number {
    const parent = this.#task(tid);
    const container = parent.files!.fds.get(fd)!.container!;
    const child = this.#clone(parent, container, container.cred, container.ns);
    if (!container.init) {
      container.init = child.process;
      container.initPid = child.pid;
      container.flags |= M.INIT_STARTED;
    }
    return child.pid.in(parent.pid.ns);
  }

  #tree(top: Container): Container[] {
    const found: Container[] = [];
    const open = [top];
    while (open.length) {
      const at = open.pop()!;
      found.push(at);
      open.push(...[...at.children].reverse());
    }
    return found;
  }

  #killContainer(container: Container, status: number): void {
    const tree = this.#tree(container);
    for (const at of tree) {
      if (at.flags & M.DEAD) continue;
      at.exitCode = status;
      at.flags |= M.DEAD;
      at.init = null;
    }
    for (const at of tree) {
      for (const process of at.members) {
        for (const task of process.threads) {
          if (task.exiting) continue;
          task.pending |= 256n;
          this.#killed.add(task);
        }
      }
    }
  }

  end(tid: number, code: number): void {
    this.#exit(this.#task(tid), code << 8);
  }

  #exit(task: Task, status: number): void {
    const { process } = task;
    if (process.exitCode === null) process.exitCode = status;
    for (const other of process.threads) {
      if (other === task || other.exiting) continue;
      other.pending |= 256n;
      this.#killed.add(other);
    }
    this.#die(task, process.exitCode);
  }

  endThread(tid: number): void {
    this.#die(this.#task(tid), 0);
  }

  #die(task: Task, status: number): void {
    const { process } = task;
    task.exiting = true;
    task.status = status;
    this.#killed.delete(task);
    const files = task.files!;
    task.files = null;
    files.users -= 1;
    if (files.users === 0) for (const file of files.fds.values()) this.#put(file);
    task.fs = null;
    task.ns = null;
    const last = ![...process.threads].some((other) => !other.exiting);
    if (last) {
      process.exitCode ??= status;
      const container = process.container!;
      if (container.init === process) this.#killContainer(container, process.exitCode);
      container.members.delete(process);
      process.container = null;
      this.#release(container);
      this.#orphan(process, task.pid.ns.reaper!.process);
    }
    task.state = 'zombie';
    if (task !== process.leader) this.#reap(task);
    else if (last) this.#notify(process);
  }

  #orphan(process: Process, reaper: Process): void {
    if (reaper === process) return;
    for (const child of process.children) {
      child.parent = reaper;
      reaper.children.add(child);
    }
    process.children.clear();
  }

  /** The parent learns of the end, unless it ignores that. */
  #notify(process: Process): void {
    const parent = process.parent!;
    const handler = parent.leader.handlers.get(SIGCHLD) ?? 0;
    if (handler === 1) this.#reap(process.leader);
    else if (handler !== 0) {
      parent.queue.push({ signo: SIGCHLD, pid: process.leader.pid.numbers[0]!, uid: 0 });
      parent.pending |= 1n << 16n;
    }
  }

  #reap(task: Task): void {
    const { process, pid } = task;
    process.threads.delete(task);
    this.#threads -= 1;
    task.cred.user.processes -= 1;
    pid.task = null;
    if (task === process.leader) {
      this.#processes -= 1;
      process.parent!.children.delete(process);
      process.pgrp.group.delete(process);
      process.session.sessions -= 1;
      process.pgrp.detach();
      process.session.detach();
    }
    pid.detach();
  }

  wait(tid: number, nr: number): number {
    const task = this.#task(tid);
    const child = task.pid.ns.numbers.get(nr)?.task;
    if (!child || child.process.parent !== task.process || child.state !== 'zombie') return 0;
    this.#reap(child);
    return nr;
  }

  handle(tid: number): void {
    const task = this.#task(tid);
    task.handlers = new Map(task.handlers).set(SIGUSR1, M.HANDLER);
  }

  kill(tid: number, nr: number): number {
    const from = this.#task(tid);
    const { process } = from.pid.ns.numbers.get(nr)!.task!;
    const bit = 1n << BigInt(SIGUSR1 - 1);
    if (process.pending & bit) return 0;
    const pid = from.process.leader.pid.in(process.leader.pid.ns);
    process.queue.push({ signo: SIGUSR1, pid, uid: from.cred.uid });
    process.pending |= bit;
    from.cred.user.signals += 1;
    return 0;
  }

  deliver(tid: number): number {
    const task = this.#task(tid);
    const { process } = task;
    const ready = process.pending & ~task.blocked;
    if (!ready) return 0;
    const at = process.queue.findIndex(({ signo }) => ready & (1n << BigInt(signo - 1)));
    const [taken] = process.queue.splice(at, 1);
    const bit = 1n << BigInt(taken!.signo - 1);
    process.pending &= ~bit;
    task.cred.user.signals -= 1;
    task.frames.push(task.blocked);
    task.blocked |= bit;
    return HANDLED;
  }

  sigreturn(tid: number): void {
    const task = this.#task(tid);
    task.blocked = task.frames.pop()!;
  }

  getppid(tid: number): number {
    const task = this.#task(tid);
    return task.process.parent?.leader.pid.in(task.pid.ns) ?? 0;
  }

  runPending(max: number): number {
    let n = 0;
    for (const task of this.#killed) {
      if (n === max) break;
      this.#exit(task, 9);
      n += 1;
    }
    return n;
  }

  #observe(task: Task): Observed {
    const { process, pid } = task;
    const zombie = task.state === 'zombie';
    const words = (set: bigint): [number, number] => [
      Number(set & 0xffffffffn),
      Number(set >> 32n),
    ];
    return {
      tgid: process.leader.pid.numbers[0]!,
      ppid: process.parent?.leader.pid.numbers[0] ?? 0,
      numbers: pid.numbers,
      state: zombie ? M.ZOMBIE : 0,
      status: zombie ? process.exitCode! : 0,
      exitSignal: task.exitSignal,
      pending: words(task.pending),
      shared: words(process.pending),
      blocked: words(task.blocked),
      threads: process.threads.size,
      pgid: process.pgrp.numbers[0]!,
      sid: process.session.numbers[0]!,
      uid: task.cred.uid,
      euid: task.cred.euid,
      gid: task.cred.gid,
      caps: words(task.cred.caps),
      container: process.container?.id ?? 0,
      comm: [M.COMM_INIT, 0],
      umask: task.fs?.umask ?? 0,
      open: task.files?.fds.size ?? 0,
      nofile: process.limits.get('nofile')!,
      handler: task.handlers.get(SIGUSR1) ?? 0,
    };
  }

  checksum(sum: number): number {
    const hash = new M.Hash();
    const numbers = [...this.#pids.numbers.keys()].sort((a, b) => a - b);
    for (const nr of numbers) {
      const { task } = this.#pids.numbers.get(nr)!;
      if (task) hash.task(nr, this.#observe(task));
    }
    for (const c of this.#tree(this.#root)) {
      hash.container({
        id: c.id,
        flags: c.flags,
        exitCode: c.exitCode,
        depth: c.depth,
        members: c.members.size,
        files: c.files,
        init: c.init?.leader.pid.numbers[0] ?? 0,
        initPid: c.initPid?.numbers[0] ?? 0,
        openerEuid: c.cred.euid,
        name: c === this.#root ? M.NAME_INIT : M.NAME_BENCH,
      });
    }
    return hash.end([
      this.#processes,
      this.#threads,
      this.#containers,
      this.#pids.last,
      this.#init.cred.user.processes,
      sum,
    ]);
  }
}
