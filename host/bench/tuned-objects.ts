// The objects of the machine that is tuned for speed (tuned.ts), their pools, what they show.
import * as M from './machine.ts';
import type { Observed, ObservedContainer } from './machine.ts';

const SIGUSR1 = 10;
const SIGCHLD = 17;
const LEAF = 256;
export const RUNNING = 0;

export class Namespace {
  readonly parent: Namespace | null;
  readonly level: number;
  readonly leaves: ((Pid | null)[] | undefined)[] = [];
  readonly used: number[] = [];
  last = 0;
  reaper: Task | null = null;

  constructor(parent: Namespace | null) {
    this.parent = parent;
    this.level = parent ? parent.level + 1 : 0;
  }

  find(nr: number): Pid | null {
    const leaf = this.leaves[nr >> 8];
    return leaf ? leaf[nr & (LEAF - 1)]! : null;
  }

  next(): number {
    let nr = this.last + 1;
    while (true) {
      if (nr >= M.PID_MAX) nr = M.RESERVED_PIDS;
      const leaf = this.leaves[nr >> 8];
      if (!leaf) break;
      if (this.used[nr >> 8] === LEAF) nr = (nr | (LEAF - 1)) + 1;
      else if (leaf[nr & (LEAF - 1)]) nr += 1;
      else break;
    }
    this.last = nr;
    return nr;
  }

  set(nr: number, pid: Pid | null, change: number): void {
    const index = nr >> 8;
    while (this.leaves.length <= index) {
      this.leaves.push(undefined);
      this.used.push(0);
    }
    let leaf = this.leaves[index];
    if (!leaf) {
      leaf = [];
      for (let i = 0; i < LEAF; ++i) leaf.push(null);
      this.leaves[index] = leaf;
    }
    leaf[nr & (LEAF - 1)] = pid;
    this.used[index]! += change;
  }
}

export class Pid {
  ns!: Namespace;
  readonly numbers: number[] = [];
  task: Task | null = null;
  count = 0;
  sessions = 0;
  hashed = false;
  /** groups of this number */
  first: Group | null = null;
  last: Group | null = null;
  nextFree: Pid | null = null;
}

export class Cred {
  count = 1;
  uid = 0;
  euid = 0;
  gid = 0;
  caps0 = M.CAPS_FULL[0] | 0;
  caps1 = M.CAPS_FULL[1];
  user: User;

  constructor(user: User) {
    this.user = user;
  }
}

export class User {
  processes = 0;
  containers = 0;
  signals = 0;
}

export class Proxy {
  count = 1;
  mnt: object;
  uts: object;
  ipc: object;
  net: object;
  cgroup: object;
  time: object;
  pids: Namespace;

  constructor(old: Proxy | null, pids: Namespace) {
    this.mnt = old ? old.mnt : {};
    this.uts = old ? old.uts : {};
    this.ipc = old ? old.ipc : {};
    this.net = old ? old.net : {};
    this.cgroup = old ? old.cgroup : {};
    this.time = old ? old.time : {};
    this.pids = pids;
  }
}

export class OpenFile {
  count = 1;
  readonly container: Container | null;

  constructor(container: Container | null) {
    this.container = container;
  }
}

export class Files {
  users = 1;
  next = 0;
  readonly fds: (OpenFile | null)[] = [];
}

export class Handlers {
  readonly of: Int32Array;

  constructor(old: Int32Array) {
    this.of = old.slice();
  }
}

export class Fs {
  umask = 0o022;
}

export class Container {
  id = 0;
  flags = 0;
  exitCode = 0;
  depth = 0;
  usage = 1;
  files = 1;
  nr = 0;
  init: Group | null = null;
  initPid: Pid | null = null;
  parent: Container | null = null;
  firstChild: Container | null = null;
  lastChild: Container | null = null;
  next: Container | null = null;
  prev: Container | null = null;
  cred!: Cred;
  ns!: Proxy;
  /** in order of entry, null where one has left; .init keeps none */
  readonly members: (Task | null)[] = [];
}

export class Group {
  leader!: Task;
  live = 0;
  threads = 0;
  exitCode = -1;
  unkillable = false;
  pending0 = 0;
  pending1 = 0;
  pgrp!: Pid;
  session!: Pid;
  nextInGroup: Group | null = null;
  prevInGroup: Group | null = null;
  firstThread: Task | null = null;
  queue: Queued | null = null;
  nofile = M.NOFILE;
}

export class Queued {
  signo = 0;
  pid = 0;
  uid = 0;
  next: Queued | null = null;
}

export class Task {
  state = RUNNING;
  flags = 0;
  pending0 = 0;
  pending1 = 0;
  blocked0 = 0;
  blocked1 = 0;
  status = 0;
  exitSignal = SIGCHLD;
  slot = 0;
  killSlot = 0;
  comm0 = M.COMM_INIT;
  comm1 = 0;
  frame0 = 0;
  frame1 = 0;
  pid!: Pid;
  group!: Group;
  parent!: Task;
  container: Container | null = null;
  cred!: Cred;
  ns: Proxy | null = null;
  files: Files | null = null;
  fs: Fs | null = null;
  handlers!: Handlers;
  firstChild: Task | null = null;
  lastChild: Task | null = null;
  next: Task | null = null;
  prev: Task | null = null;
  nextThread: Task | null = null;
  prevThread: Task | null = null;
}

/** Objects that are used again. */
export class Pools {
  #freeTask: Task | null = null;
  #freePid: Pid | null = null;
  #freeQueued: Queued | null = null;

  newTask(): Task {
    const old = this.#freeTask;
    if (!old) {
      const task = new Task();
      task.group = new Group();
      return task;
    }
    this.#freeTask = old.next;
    old.next = null;
    old.state = RUNNING;
    old.flags = 0;
    old.pending0 = 0;
    old.pending1 = 0;
    old.killSlot = 0;
    old.status = 0;
    const group = old.group;
    group.live = 0;
    group.threads = 0;
    group.exitCode = -1;
    group.unkillable = false;
    group.pending0 = 0;
    group.pending1 = 0;
    return old;
  }

  newPid(ns: Namespace): Pid {
    let pid = this.#freePid;
    if (pid) this.#freePid = pid.nextFree;
    else pid = new Pid();
    pid.ns = ns;
    pid.count = 1;
    pid.sessions = 0;
    pid.hashed = true;
    pid.numbers.length = ns.level + 1;
    for (let at: Namespace | null = ns; at; at = at.parent) {
      const nr = at.next();
      pid.numbers[at.level] = nr;
      at.set(nr, pid, 1);
    }
    return pid;
  }

  putPid(pid: Pid): void {
    pid.count -= 1;
    if (pid.count) return;
    pid.nextFree = this.#freePid;
    this.#freePid = pid;
  }

  detach(pid: Pid): void {
    if (pid.task || !pid.hashed || pid.sessions || pid.first) return;
    pid.hashed = false;
    for (let at: Namespace | null = pid.ns; at; at = at.parent) {
      at.set(pid.numbers[at.level]!, null, -1);
    }
  }

  freeTask(task: Task): void {
    task.prev = null;
    task.next = this.#freeTask;
    this.#freeTask = task;
  }

  newQueued(): Queued {
    const q = this.#freeQueued;
    if (!q) return new Queued();
    this.#freeQueued = q.next;
    return q;
  }

  freeQueued(q: Queued): void {
    q.next = this.#freeQueued;
    this.#freeQueued = q;
  }
}

export function observe(task: Task): Observed {
  const { group, pid, cred, parent } = task;
  const zombie = task.state === M.ZOMBIE;
  return {
    tgid: group.leader.pid.numbers[0]!,
    ppid: parent === task ? 0 : parent.group.leader.pid.numbers[0]!,
    numbers: pid.numbers,
    state: task.state,
    status: zombie ? group.exitCode : 0,
    exitSignal: task.exitSignal,
    pending: [task.pending0, task.pending1],
    shared: [group.pending0, group.pending1],
    blocked: [task.blocked0, task.blocked1],
    threads: group.threads,
    pgid: group.pgrp.numbers[0]!,
    sid: group.session.numbers[0]!,
    uid: cred.uid,
    euid: cred.euid,
    gid: cred.gid,
    caps: [cred.caps0, cred.caps1],
    container: group.leader.container?.id ?? 0,
    comm: [task.comm0, task.comm1],
    umask: task.fs?.umask ?? 0,
    open: task.files?.fds.filter(Boolean).length ?? 0,
    nofile: group.nofile,
    handler: task.handlers.of[SIGUSR1]!,
  };
}

export function observeContainer(c: Container): ObservedContainer {
  return {
    id: c.id,
    flags: c.flags,
    exitCode: c.exitCode,
    depth: c.depth,
    members: c.nr,
    files: c.files,
    init: c.init?.leader.pid.numbers[0] ?? 0,
    initPid: c.initPid?.numbers[0] ?? 0,
    openerEuid: c.cred.euid,
    name: c.parent === null ? M.NAME_INIT : M.NAME_BENCH,
  };
}

/** Next container in preorder, null at the end of the tree below `top`. */
export function nextInTree(c: Container, top: Container): Container | null {
  if (c.firstChild) return c.firstChild;
  while (c !== top) {
    if (c.next) return c.next;
    c = c.parent!;
  }
  return null;
}
