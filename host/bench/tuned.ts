// The same machine in JavaScript objects as an expert would write them for speed: links in the
// objects, pools, tables of numbers instead of Map, sets of signals in two words, no garbage.
import * as M from './machine.ts';
import type { Machine } from './machine.ts';
import {
  Container,
  Cred,
  Files,
  Fs,
  Group,
  Handlers,
  Namespace,
  nextInTree,
  observe,
  observeContainer,
  OpenFile,
  type Pid,
  Pools,
  Proxy,
  Task,
  User,
} from './tuned-objects.ts';

const SIGUSR1 = 10;
const SIGCHLD = 17;
const HANDLED = 2;
const EXITING = 1;
const MARKED = 2;

export class TunedMachine implements Machine {
  readonly #pids = new Namespace(null);
  readonly #user = new User();
  readonly #root = new Container();
  readonly #init: Task;
  readonly #pools = new Pools();
  readonly #killed: (Task | null)[] = [];
  #killHead = 0;
  #lastContainer = 1;
  #containers = 1;
  #processes = 0;
  #threads = 0;

  constructor() {
    const root = this.#root;
    root.id = 1;
    root.files = 0;
    root.flags = M.INIT_STARTED;
    root.cred = new Cred(this.#user);
    root.ns = new Proxy(null, this.#pids);
    const init = this.#pools.newTask();
    this.#init = init;
    init.parent = init;
    init.cred = root.cred;
    init.ns = root.ns;
    init.files = new Files();
    for (let fd = 0; fd < 3; ++fd) init.files.fds.push(new OpenFile(null));
    init.files.next = 3;
    init.fs = new Fs();
    init.handlers = new Handlers(new Int32Array(65));
    init.pid = this.#pools.newPid(this.#pids);
    init.group.pgrp = init.group.session = init.pid;
    this.#attach(init, root);
    init.group.unkillable = true;
    this.#pids.reaper = init;
  }

  #task(tid: number): Task {
    return this.#pids.find(tid)!.task!;
  }

  #share(task: Task, parent: Task): void {
    task.files = parent.files!;
    task.files.users += 1;
    task.fs = parent.fs;
    task.handlers = parent.handlers;
    task.comm0 = parent.comm0;
    task.comm1 = parent.comm1;
    task.blocked0 = parent.blocked0;
    task.blocked1 = parent.blocked1;
  }

  #attach(task: Task, container: Container): void {
    const { group, pid } = task;
    group.leader = task;
    pid.task = task;
    group.firstThread = task;
    group.threads = 1;
    group.live = 1;
    const pgrp = group.pgrp;
    pgrp.count += 1;
    group.prevInGroup = pgrp.last;
    group.nextInGroup = null;
    if (pgrp.last) pgrp.last.nextInGroup = group;
    else pgrp.first = group;
    pgrp.last = group;
    group.session.count += 1;
    group.session.sessions += 1;
    if (task.parent !== task) this.#adopt(task.parent, task);
    task.container = container;
    container.usage += 1;
    container.nr += 1;
    if (container !== this.#root) {
      task.slot = container.members.length;
      container.members.push(task);
    }
    task.cred.user.processes += 1;
    this.#processes += 1;
    this.#threads += 1;
  }

  #adopt(parent: Task, task: Task): void {
    task.parent = parent;
    task.next = null;
    task.prev = parent.lastChild;
    if (parent.lastChild) parent.lastChild.next = task;
    else parent.firstChild = task;
    parent.lastChild = task;
  }

  #clone(parent: Task, container: Container, cred: Cred, ns: Proxy): Task {
    const task = this.#pools.newTask();
    task.cred = cred;
    cred.count += 1;
    task.ns = ns;
    ns.count += 1;
    task.exitSignal = SIGCHLD;
    task.parent = parent;
    this.#share(task, parent);
    task.pid = this.#pools.newPid(ns.pids);
    task.group.pgrp = parent.group.pgrp;
    task.group.session = parent.group.session;
    this.#attach(task, container);
    if (!ns.pids.reaper) {
      ns.pids.reaper = task;
      task.group.unkillable = true;
    }
    return task;
  }

  #number(pid: Pid, ns: Namespace): number {
    return pid.numbers[ns.level]!;
  }

  fork(tid: number): number {
    const parent = this.#task(tid);
    const child = this.#clone(parent, parent.group.leader.container!, parent.cred, parent.ns!);
    return this.#number(child.pid, parent.pid.ns);
  }

  newpid(tid: number): number {
    const parent = this.#task(tid);
    const ns = new Proxy(parent.ns, new Namespace(parent.pid.ns));
    const child = this.#clone(parent, parent.group.leader.container!, parent.cred, ns);
    return this.#number(child.pid, parent.pid.ns);
  }

  thread(tid: number): number {
    const parent = this.#task(tid);
    const { group } = parent;
    const task = this.#pools.newTask();
    // a pooled task brings a group along: a thread's own lies idle meanwhile
    const own = task.group;
    task.group = group;
    task.cred = parent.cred;
    task.cred.count += 1;
    task.ns = parent.ns!;
    task.ns.count += 1;
    task.exitSignal = -1;
    task.parent = parent.parent;
    this.#share(task, parent);
    task.pid = this.#pools.newPid(parent.pid.ns);
    task.pid.task = task;
    own.leader = task;
    task.nextThread = group.firstThread!.nextThread;
    task.prevThread = group.firstThread;
    if (task.nextThread) task.nextThread.prevThread = task;
    group.firstThread!.nextThread = task;
    group.threads += 1;
    group.live += 1;
    task.cred.user.processes += 1;
    this.#threads += 1;
    return this.#number(task.pid, parent.pid.ns);
  }

  create(tid: number): number {
    const task = this.#task(tid);
    const parent = task.group.leader.container!;
    const c = new Container();
    c.id = ++this.#lastContainer;
    c.depth = parent.depth + 1;
    c.cred = new Cred(task.cred.user);
    c.ns = new Proxy(task.ns, task.ns!.pids);
    c.parent = parent;
    parent.usage += 1;
    c.prev = parent.lastChild;
    if (parent.lastChild) parent.lastChild.next = c;
    else parent.firstChild = c;
    parent.lastChild = c;
    task.cred.user.containers += 1;
    this.#containers += 1;
    const files = this.#writable(task);
    const { fds } = files;
    let fd = files.next;
    while (fd < fds.length && fds[fd]) fd += 1;
    if (fd === fds.length) fds.push(null);
    fds[fd] = new OpenFile(c);
    files.next = fd + 1;
    return fd;
  }

  #writable(task: Task): Files {
    const old = task.files!;
    if (old.users === 1) return old;
    old.users -= 1;
    const files = new Files();
    files.next = old.next;
    for (let fd = 0; fd < old.fds.length; ++fd) {
      const file = old.fds[fd]!;
      if (file) file.count += 1;
      files.fds.push(file);
    }
    task.files = files;
    return files;
  }

  close(tid: number, fd: number): void {
    const files = this.#writable(this.#task(tid));
    const file = files.fds[fd]!;
    files.fds[fd] = null;
    if (fd < files.next) files.next = fd;
    this.#put(file);
  }

  #put(file: OpenFile): void {
    file.count -= 1;
    const c = file.container;
    if (file.count || !c) return;
    c.files -= 1;
    this.#release(c);
  }

  #release(container: Container): void {
    let at: Container | null = container;
    while (at) {
      at.usage -= 1;
      if (at.usage > 0) return;
      const parent: Container | null = at.parent;
      if (at.prev) at.prev.next = at.next;
      else parent!.firstChild = at.next;
      if (at.next) at.next.prev = at.prev;
      else parent!.lastChild = at.prev;
      at.cred.user.containers -= 1;
      this.#containers -= 1;
      if (at.initPid) this.#pools.putPid(at.initPid);
      at = parent;
    }
  }

  enter(tid: number, fd: number): number {
    const parent = this.#task(tid);
    const c = parent.files!.fds[fd]!.container!;
    const child = this.#clone(parent, c, c.cred, c.ns);
    if (!c.init) {
      c.init = child.group;
      c.initPid = child.pid;
      child.pid.count += 1;
      c.flags |= M.INIT_STARTED;
    }
    return this.#number(child.pid, parent.pid.ns);
  }

  #killContainer(top: Container, status: number): void {
    for (let at: Container | null = top; at; at = nextInTree(at, top)) {
      if (at.flags & M.DEAD) continue;
      at.exitCode = status;
      at.flags |= M.DEAD;
      at.init = null;
    }
    for (let at: Container | null = top; at; at = nextInTree(at, top)) {
      const { members } = at;
      for (let i = 0; i < members.length; ++i) {
        const leader = members[i];
        if (leader) this.#killGroup(leader.group, null);
      }
    }
  }

  #killGroup(group: Group, but: Task | null): void {
    for (let t = group.firstThread; t; t = t.nextThread) {
      if (t === but || t.flags & (EXITING | MARKED)) continue;
      t.pending0 |= M.SIGKILL_BIT;
      t.flags |= MARKED;
      t.killSlot = this.#killed.length;
      this.#killed.push(t);
    }
  }

  end(tid: number, code: number): void {
    this.#exit(this.#task(tid), code << 8);
  }

  #exit(task: Task, status: number): void {
    const { group } = task;
    if (group.exitCode < 0) group.exitCode = status;
    if (group.threads > 1) this.#killGroup(group, task);
    this.#die(task, group.exitCode);
  }

  endThread(tid: number): void {
    this.#die(this.#task(tid), 0);
  }

  #die(task: Task, status: number): void {
    const { group } = task;
    if (task.flags & MARKED) this.#killed[task.killSlot] = null;
    task.flags = EXITING;
    task.status = status;
    const files = task.files!;
    task.files = null;
    files.users -= 1;
    if (files.users === 0) for (const file of files.fds) if (file) this.#put(file);
    task.fs = null;
    task.ns!.count -= 1;
    task.ns = null;
    group.live -= 1;
    const last = group.live === 0;
    if (last) this.#groupDies(group, status);
    task.state = M.ZOMBIE;
    if (task !== group.leader) this.#reap(task);
    else if (last) this.#notify(task);
  }

  #groupDies(group: Group, status: number): void {
    if (group.exitCode < 0) group.exitCode = status;
    const { leader } = group;
    const c = leader.container!;
    if (c.init === group) this.#killContainer(c, group.exitCode);
    c.nr -= 1;
    if (c !== this.#root) {
      c.members[leader.slot] = null;
      if (leader.slot + 1 === c.members.length) c.members.pop();
    }
    leader.container = null;
    this.#release(c);
    const reaper = leader.pid.ns.reaper!;
    while (leader.firstChild && reaper !== leader) {
      const child = leader.firstChild;
      leader.firstChild = child.next;
      this.#adopt(reaper, child);
    }
    if (!leader.firstChild) leader.lastChild = null;
  }

  #notify(leader: Task): void {
    const { parent } = leader;
    const handler = parent.handlers.of[SIGCHLD]!;
    if (handler === 1) this.#reap(leader);
    else if (handler) this.#queue(parent.group, SIGCHLD, leader.pid.numbers[0]!, leader.cred);
  }

  #queue(group: Group, signo: number, pid: number, cred: Cred): void {
    const bit = 1 << (signo - 1);
    if (group.pending0 & bit) return;
    const q = this.#pools.newQueued();
    q.signo = signo;
    q.pid = pid;
    q.uid = cred.uid;
    q.next = group.queue;
    group.queue = q;
    group.pending0 |= bit;
    cred.user.signals += 1;
  }

  #reap(task: Task): void {
    const { group, pid } = task;
    group.threads -= 1;
    this.#threads -= 1;
    task.cred.user.processes -= 1;
    task.cred.count -= 1;
    pid.task = null;
    if (task === group.leader) {
      this.#processes -= 1;
      const { parent } = task;
      if (task.prev) task.prev.next = task.next;
      else parent.firstChild = task.next;
      if (task.next) task.next.prev = task.prev;
      else parent.lastChild = task.prev;
      this.#leaveGroup(group);
    } else {
      if (task.prevThread) task.prevThread.nextThread = task.nextThread;
      if (task.nextThread) task.nextThread.prevThread = task.prevThread;
      task.nextThread = null;
      task.prevThread = null;
      task.group = new Group();
    }
    this.#pools.detach(pid);
    this.#pools.putPid(pid);
    this.#pools.freeTask(task);
  }

  #leaveGroup(group: Group): void {
    const { pgrp, session } = group;
    if (group.prevInGroup) group.prevInGroup.nextInGroup = group.nextInGroup;
    else pgrp.first = group.nextInGroup;
    if (group.nextInGroup) group.nextInGroup.prevInGroup = group.prevInGroup;
    else pgrp.last = group.prevInGroup;
    session.sessions -= 1;
    this.#pools.detach(pgrp);
    this.#pools.detach(session);
    this.#pools.putPid(pgrp);
    this.#pools.putPid(session);
  }

  wait(tid: number, nr: number): number {
    const task = this.#task(tid);
    const child = task.pid.ns.find(nr)?.task;
    if (!child || child.parent.group !== task.group || child.state !== M.ZOMBIE) return 0;
    this.#reap(child);
    return nr;
  }

  handle(tid: number): void {
    const task = this.#task(tid);
    task.handlers = new Handlers(task.handlers.of);
    task.handlers.of[SIGUSR1] = M.HANDLER;
  }

  kill(tid: number, nr: number): number {
    const from = this.#task(tid);
    const to = from.pid.ns.find(nr)!.task!;
    this.#queue(to.group, SIGUSR1, this.#number(from.pid, to.pid.ns), from.cred);
    return 0;
  }

  deliver(tid: number): number {
    const task = this.#task(tid);
    const { group } = task;
    const q = group.queue;
    if (!q || !(group.pending0 & ~task.blocked0)) return 0;
    group.queue = q.next;
    const bit = 1 << (q.signo - 1);
    group.pending0 &= ~bit;
    task.cred.user.signals -= 1;
    this.#pools.freeQueued(q);
    task.frame0 = task.blocked0;
    task.frame1 = task.blocked1;
    task.blocked0 |= bit;
    return HANDLED;
  }

  sigreturn(tid: number): void {
    const task = this.#task(tid);
    task.blocked0 = task.frame0;
    task.blocked1 = task.frame1;
  }

  getppid(tid: number): number {
    const task = this.#task(tid);
    const { parent } = task.group.leader;
    return parent === task ? 0 : this.#number(parent.pid, task.pid.ns);
  }

  runPending(max: number): number {
    let n = 0;
    const queue = this.#killed;
    while (n < max && this.#killHead < queue.length) {
      const task = queue[this.#killHead];
      this.#killHead += 1;
      if (!task) continue;
      this.#exit(task, 9);
      n += 1;
    }
    if (this.#killHead === queue.length) {
      queue.length = 0;
      this.#killHead = 0;
    }
    return n;
  }

  checksum(sum: number): number {
    const hash = new M.Hash();
    for (let nr = 1; nr < M.PID_MAX; ++nr) {
      const task = this.#pids.find(nr)?.task;
      if (task) hash.task(nr, observe(task));
    }
    for (let c: Container | null = this.#root; c; c = nextInTree(c, this.#root)) {
      hash.container(observeContainer(c));
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
