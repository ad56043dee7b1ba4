// The objects of the idiomatic machine (objects.ts).
import * as M from './machine.ts';

const SIGCHLD = 17;

export class PidNamespace {
  readonly numbers = new Map<number, Pid>();
  readonly parent: PidNamespace | null;
  readonly level: number;
  last = 0;
  reaper: Task | null = null;

  constructor(parent: PidNamespace | null) {
    this.parent = parent;
    this.level = parent ? parent.level + 1 : 0;
  }

  next(): number {
    let nr = this.last;
    do {
      nr = nr + 1 >= M.PID_MAX ? M.RESERVED_PIDS : nr + 1;
    } while (this.numbers.has(nr));
    this.last = nr;
    return nr;
  }
}

/** A number in each namespace on the way to the root; free when nothing bears it any more. */
export class Pid {
  readonly numbers: number[];
  readonly ns: PidNamespace;
  readonly group = new Set<Process>();
  sessions = 0;
  task: Task | null = null;
  hashed = true;

  constructor(ns: PidNamespace) {
    this.ns = ns;
    this.numbers = [];
    for (let at: PidNamespace | null = ns; at; at = at.parent) {
      const nr = at.next();
      this.numbers.unshift(nr);
      at.numbers.set(nr, this);
    }
  }

  in(ns: PidNamespace): number {
    return this.numbers[ns.level] ?? 0;
  }

  detach(): void {
    if (this.task || !this.hashed || this.sessions || this.group.size) return;
    this.hashed = false;
    for (let at: PidNamespace | null = this.ns; at; at = at.parent) {
      at.numbers.delete(this.numbers[at.level]!);
    }
  }
}

export interface Cred {
  uid: number;
  euid: number;
  gid: number;
  caps: bigint;
  user: { processes: number; containers: number; signals: number };
}

export interface Namespaces {
  mnt: object;
  uts: object;
  ipc: object;
  net: object;
  cgroup: object;
  time: object;
  pidForChildren: PidNamespace;
}

export interface OpenFile {
  count: number;
  container: Container | null;
}

export class FdTable {
  readonly fds = new Map<number, OpenFile>();
  users = 1;

  copy(): FdTable {
    const table = new FdTable();
    for (const [fd, file] of this.fds) {
      file.count += 1;
      table.fds.set(fd, file);
    }
    return table;
  }

  free(): number {
    let fd = 0;
    while (this.fds.has(fd)) fd += 1;
    return fd;
  }
}

export class Container {
  readonly members = new Set<Process>();
  readonly children = new Set<Container>();
  readonly name = 'bench';
  readonly waiters = new Set<Task>();
  readonly id: number;
  readonly parent: Container | null;
  readonly depth: number;
  readonly cred: Cred;
  readonly ns: Namespaces;
  usage = 1;
  files = 1;
  flags = 0;
  exitCode = 0;
  init: Process | null = null;
  initPid: Pid | null = null;

  constructor(id: number, parent: Container | null, cred: Cred, ns: Namespaces) {
    this.id = id;
    this.parent = parent;
    this.depth = parent ? parent.depth + 1 : 0;
    this.cred = cred;
    this.ns = ns;
  }
}

/** What the threads of a group share. */
export class Process {
  readonly threads = new Set<Task>();
  readonly children = new Set<Process>();
  readonly limits: Map<string, number>;
  readonly queue: { signo: number; pid: number; uid: number }[] = [];
  readonly waiters = new Set<Task>();
  leader!: Task;
  pgrp!: Pid;
  session!: Pid;
  parent: Process | null;
  container: Container | null = null;
  exitCode: number | null = null;
  pending = 0n;
  unkillable = false;

  constructor(parent: Process | null) {
    this.parent = parent;
    this.limits = parent?.limits ?? new Map([['nofile', M.NOFILE]]);
  }
}

export class Task {
  readonly pid: Pid;
  readonly process: Process;
  readonly frames: bigint[] = [];
  readonly queue: { signo: number }[] = [];
  cred: Cred;
  ns: Namespaces | null;
  files: FdTable | null = null;
  fs: { umask: number } | null = null;
  handlers = new Map<number, number>();
  comm = 'init';
  state: 'running' | 'zombie' = 'running';
  exiting = false;
  status = 0;
  exitSignal = SIGCHLD;
  pending = 0n;
  blocked = 0n;

  constructor(pid: Pid, process: Process, cred: Cred, ns: Namespaces) {
    this.pid = pid;
    this.process = process;
    this.cred = cred;
    this.ns = ns;
  }
}
