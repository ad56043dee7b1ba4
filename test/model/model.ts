// The model that the kernel is compared with: processes and containers as plain objects, written
// from the rules (fork(2), exit(2), wait(2), kill(2), the container calls), not from the kernel.
import * as U from '../../assembly/uapi/container.ts';
import * as E from '../../assembly/uapi/errno.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';

/** Limits of the model's machine, small enough to be met. */
export const LIMITS = { nofile: 7, containerDepthMax: 2, containersMax: 6 };
/** The caller is no running process: its call is not run. */
export const NOT_RUN = 'not run';
const STARTED = U.CONTAINER_FLAG_INIT_STARTED;
const DEAD = U.CONTAINER_FLAG_DEAD;
const KILL_ON_CLOSE = U.CONTAINER_FLAG_KILL_ON_CLOSE;

interface Process {
  pid: number;
  parent: Process | undefined;
  /** in order of birth or adoption */
  children: Process[];
  dead: boolean;
  status: number;
  /** kill(2) has decided how it ends */
  doomed: boolean;
  container: Container | undefined;
  /** descriptor to container; undefined: some other file */
  fds: Map<number, Container | undefined>;
}

interface Container {
  id: number;
  parent: Container | undefined;
  /** in order of creation */
  children: Container[];
  depth: number;
  flags: number;
  /** in order of entry */
  members: Process[];
  init: Process | undefined;
  exitCode: number;
}

export type Result = number | typeof NOT_RUN;

export class Model {
  readonly processes = new Map<number, Process>();
  readonly root: Container;
  /** who has a SIGKILL to take, in order of sending */
  readonly kills: Process[] = [];
  /** status of the child that the last successful wait4 took */
  waited = 0;
  #lastPid = 1;
  #lastId: number;
  #nrContainers = 1;

  constructor(rootId: number, fds: number[]) {
    this.#lastId = rootId;
    this.root = this.#container(rootId, undefined, STARTED);
    this.#process(1, undefined, this.root, new Map(fds.map((fd) => [fd, undefined])));
  }

  #container(id: number, parent: Container | undefined, flags: number): Container {
    const depth = parent ? parent.depth + 1 : 0;
    const c = { id, parent, children: [], depth, flags, members: [], init: undefined, exitCode: 0 };
    parent?.children.push(c);
    return c;
  }

  #process(
    pid: number,
    parent: Process | undefined,
    container: Container,
    fds: Process['fds'],
  ): Process {
    const p: Process = {
      ...{ pid, parent, container, children: [], dead: false, status: 0, doomed: false },
      fds: new Map(fds),
    };
    this.processes.set(pid, p);
    parent?.children.push(p);
    container.members.push(p);
    return p;
  }

  /** The caller of a call, when it is there and runs. */
  #runs(pid: number): Process | undefined {
    const p = this.processes.get(pid);
    return p && !p.dead ? p : undefined;
  }

  #copy(p: Process, into: Container): Result {
    if (into.flags & DEAD) return -E.ECANCELED;
    if (this.kills.includes(p)) return -E.EINTR;
    this.#lastPid += 1;
    const child = this.#process(this.#lastPid, p, into, p.fds);
    if (into !== this.root && !into.init) {
      into.init = child;
      into.flags |= STARTED;
    }
    return child.pid;
  }

  fork(pid: number): Result {
    const p = this.#runs(pid);
    return p ? this.#copy(p, p.container!) : NOT_RUN;
  }

  forkInto(pid: number, fd: number): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    if (!p.fds.has(fd)) return -E.EBADF;
    const into = p.fds.get(fd);
    return into ? this.#copy(p, into) : -E.EINVAL;
  }

  #freeFd(p: Process): number {
    for (let fd = 0; fd < LIMITS.nofile; ++fd) if (!p.fds.has(fd)) return fd;
    return -E.EMFILE;
  }

  create(pid: number, killOnClose: boolean): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    const parent = p.container!;
    if (parent.flags & DEAD) return -E.ECANCELED;
    if (parent.depth >= LIMITS.containerDepthMax) return -E.ENOSPC;
    if (this.#nrContainers >= LIMITS.containersMax) return -E.ENOSPC;
    const fd = this.#freeFd(p);
    if (fd < 0) return fd;
    this.#lastId += 1;
    this.#nrContainers += 1;
    p.fds.set(fd, this.#container(this.#lastId, parent, killOnClose ? KILL_ON_CLOSE : 0));
    return fd;
  }

  dup(pid: number, from: number): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    if (!p.fds.has(from)) return -E.EBADF;
    const fd = this.#freeFd(p);
    if (fd >= 0) p.fds.set(fd, p.fds.get(from));
    return fd;
  }

  close(pid: number, fd: number): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    if (!p.fds.has(fd)) return -E.EBADF;
    this.#close(p, fd);
    return 0;
  }

  #close(p: Process, fd: number): void {
    const c = p.fds.get(fd);
    p.fds.delete(fd);
    if (!c || this.#isOpen(c)) return;
    const kills = c.flags & KILL_ON_CLOSE && c.flags & STARTED && !(c.flags & DEAD);
    if (kills) this.#killMembers(c);
    this.#mayGo(c);
  }

  #isOpen(c: Container): boolean {
    return [...this.processes.values()].some((p) => [...p.fds.values()].includes(c));
  }

  /** A container without file, members and children is gone; its parent may follow. */
  #mayGo(c: Container): void {
    if (c === this.root || c.members.length || c.children.length || this.#isOpen(c)) return;
    const siblings = c.parent!.children;
    siblings.splice(siblings.indexOf(c), 1);
    this.#nrContainers -= 1;
    this.#mayGo(c.parent!);
  }

  /** `c` and what is nested in it, parents first. */
  tree(c: Container = this.root): Container[] {
    return [c, ...c.children.flatMap((child) => this.tree(child))];
  }

  #killMembers(c: Container): void {
    for (const at of this.tree(c)) at.members.forEach((p) => this.#kill(p));
  }

  #kill(p: Process): void {
    if (!p.dead && !this.kills.includes(p)) this.kills.push(p);
  }

  kill(pid: number, target: number): Result {
    if (!this.#runs(pid)) return NOT_RUN;
    const p = this.processes.get(target);
    if (!p) return -E.ESRCH;
    // the machine's init is not to be killed
    if (target === 1 || p.dead) return 0;
    p.doomed = true;
    this.#kill(p);
    return 0;
  }

  exit(pid: number, code: number): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    this.#end(p, p.doomed ? SIGKILL : (code & 0xff) << 8);
    return 0;
  }

  #end(p: Process, status: number): void {
    p.dead = true;
    p.status = status;
    const at = this.kills.indexOf(p);
    if (at >= 0) this.kills.splice(at, 1);
    for (const fd of [...p.fds.keys()].sort((a, b) => a - b)) this.#close(p, fd);
    const c = p.container!;
    if (c.init === p) this.#die(c, status);
    c.members.splice(c.members.indexOf(p), 1);
    p.container = undefined;
    this.#mayGo(c);
    const heir = this.processes.get(1)!;
    for (const child of p.children) child.parent = heir;
    heir.children.push(...p.children.splice(0));
  }

  #die(c: Container, status: number): void {
    for (const at of this.tree(c)) {
      if (at.flags & DEAD) continue;
      at.flags |= DEAD;
      at.exitCode = status;
      at.init = undefined;
    }
    this.#killMembers(c);
  }

  /** At most `max` of those who have a SIGKILL to take die. Return: how many. */
  runPending(max: number): number {
    let n = 0;
    for (; n < max && this.kills.length; ++n) this.#end(this.kills[0]!, SIGKILL);
    return n;
  }

  /** wait4 with WNOHANG; `which` -1: any child. */
  wait(pid: number, which: number): Result {
    const p = this.#runs(pid);
    if (!p) return NOT_RUN;
    const children = p.children.filter((child) => which === -1 || child.pid === which);
    if (!children.length) return -E.ECHILD;
    const child = children.find((at) => at.dead);
    if (!child) return 0;
    p.children.splice(p.children.indexOf(child), 1);
    this.processes.delete(child.pid);
    this.waited = child.status;
    return child.pid;
  }

  /** What Kernel.tasks() should say. */
  tasks(): object[] {
    return [...this.processes.values()].map((p) => ({
      tid: p.pid,
      ppid: p.parent?.pid ?? 0,
      state: p.dead ? 'Z' : 'R',
      containerId: p.container?.id ?? 0,
      exitCode: p.dead ? p.status : 0,
    }));
  }

  /** What Kernel.containers() should say. */
  containers(): object[] {
    return this.tree().map((c) => ({
      id: c.id,
      parentId: c.parent?.id ?? 0,
      depth: c.depth,
      flags: c.flags,
      members: c.members.length,
      children: c.children.length,
      exitCode: c.exitCode,
      usage: c.members.length + c.children.length + (this.#isOpen(c) || c === this.root ? 1 : 0),
    }));
  }
}
