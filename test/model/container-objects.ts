// The objects of the containers' model and how they end: processes with threads, pid and user
// namespaces, open files, containers. Written from the rules (the specification of containers,
// pid_namespaces(7), unix(7)), not from the kernel.
import { CONTAINER_FLAG_DEAD, CONTAINER_FLAG_INIT_STARTED } from '../../assembly/uapi/container.ts';
import { CONTAINER_FLAG_KILL_ON_CLOSE } from '../../assembly/uapi/container.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';

export const STARTED = CONTAINER_FLAG_INIT_STARTED;
export const DEAD = CONTAINER_FLAG_DEAD;
export const KILL_ON_CLOSE = CONTAINER_FLAG_KILL_ON_CLOSE;

/** A namespace for users: the first one has every id, the others none. */
export interface UserNs {
  level: number;
  parent: UserNs | undefined;
  owner: number;
}

export interface PidNs {
  level: number;
  parent: PidNs | undefined;
  init: Process | undefined;
  last: number;
  /** tasks that have a number in it */
  numbered: number;
}

/** All capabilities or none. */
export interface Cred {
  euid: number;
  caps: boolean;
  ns: UserNs;
}

/** What an open file is: nothing of ours, one end of the socket pair, a container, its watcher. */
export interface OpenFile {
  kind: 'other' | 'socket' | 'container' | 'supervisor';
  container: Container | undefined;
  /** descriptors, and messages on their way */
  refs: number;
}

export interface Descriptor {
  file: OpenFile;
  cloexec: boolean;
}

export interface Thread {
  tid: number;
  process: Process;
  numbers: Map<PidNs, number>;
  /** it has a SIGKILL to take */
  marked: boolean;
  sleep: Sleep | undefined;
}

/** What a thread waits for. `finish`: what it is told then; `end`: it dies instead. */
export interface Sleep {
  call: string;
  ready: () => boolean;
  finish: () => number | 'sleeps';
  end: () => void;
  /** poll looks the descriptor up again when it goes on */
  fd?: number;
}

export interface Process {
  pid: number;
  numbers: Map<PidNs, number>;
  parent: Process | undefined;
  children: Set<Process>;
  /** that run, the leader first while it does */
  threads: Thread[];
  /** tasks that nobody has waited for: threads, and the leader until the end */
  unreleased: number;
  state: 'alive' | 'zapping' | 'zombie';
  status: number;
  /** the whole group ends with that */
  ending: number | undefined;
  cred: Cred;
  container: Container | undefined;
  pidNs: PidNs;
  fds: Map<number, Descriptor>;
}

export interface Request {
  thread: Thread;
  answer: number | 'grant' | undefined;
  /** with whose capabilities */
  by: Cred | undefined;
  read: boolean;
}

export interface Container {
  id: number;
  parent: Container | undefined;
  children: Container[];
  depth: number;
  flags: number;
  /** in order of entry */
  members: Process[];
  init: Process | undefined;
  /** numbers of the first process */
  initNumbers: Map<PidNs, number> | undefined;
  exitCode: number;
  cred: Cred;
  pidNs: PidNs;
  empty: boolean;
  opener: number;
  /** open files */
  files: number;
  /** who is asked about refusals, and what */
  requests: Request[] | undefined;
  /** what may be made, undefined: nothing was said */
  devices: Set<string> | undefined;
  /** description to serial number */
  keys: Map<string, number>;
}

/** `c` and what is nested in it, parents first. */
export function tree(c: Container): Container[] {
  return [c, ...c.children.flatMap(tree)];
}

/** A world of such objects: births, marks, deaths. */
export class Objects {
  readonly processes = new Map<number, Process>();
  /** marked threads, in order of marking */
  marked: Thread[] = [];
  nrContainers = 1;
  readonly root: Container;
  readonly first: Process;
  /** the thread that was the last of an init which waits for the others */
  readonly #zapThread = new Map<Process, Thread>();

  constructor(rootId: number, fds: number[]) {
    const ns: UserNs = { level: 0, parent: undefined, owner: 0 };
    const pidNs: PidNs = { level: 0, parent: undefined, init: undefined, last: 0, numbered: 0 };
    const cred = { euid: 0, caps: true, ns };
    this.root = this.container(rootId, undefined, cred, pidNs);
    this.root.flags = STARTED;
    const other = (): OpenFile => ({ kind: 'other', container: undefined, refs: 1 });
    const table = fds.map((fd): [number, Descriptor] => [fd, { file: other(), cloexec: false }]);
    this.first = this.process(undefined, this.root, cred, pidNs, new Map(table));
  }

  container(id: number, parent: Container | undefined, cred: Cred, pidNs: PidNs): Container {
    const c: Container = {
      ...{ id, parent, children: [], depth: parent ? parent.depth + 1 : 0, flags: 0 },
      ...{ members: [], init: undefined, initNumbers: undefined, exitCode: 0, cred, pidNs },
      ...{ empty: false, opener: cred.euid, files: 0, requests: undefined, devices: undefined },
      keys: new Map(),
    };
    parent?.children.push(c);
    return c;
  }

  /** Numbers for a new task of `ns`: one in it and in each around it. */
  #numbers(ns: PidNs): Map<PidNs, number> {
    const numbers = new Map<PidNs, number>();
    for (let at: PidNs | undefined = ns; at; at = at.parent) {
      numbers.set(at, (at.last += 1));
      at.numbered += 1;
    }
    return numbers;
  }

  thread(process: Process, numbers = this.#numbers(process.pidNs)): Thread {
    const tid = [...numbers.values()].at(-1)!;
    const thread = { tid, process, numbers, marked: false, sleep: undefined };
    process.threads.push(thread);
    process.unreleased += 1;
    return thread;
  }

  process(
    parent: Process | undefined,
    container: Container,
    cred: Cred,
    pidNs: PidNs,
    fds: Map<number, Descriptor>,
  ): Process {
    const numbers = this.#numbers(pidNs);
    const pid = [...numbers.values()].at(-1)!;
    const p: Process = {
      ...{ pid, numbers, parent, children: new Set(), threads: [], unreleased: 0 },
      ...{ state: 'alive', status: 0, ending: undefined, cred, container, pidNs, fds },
    };
    this.thread(p, numbers);
    pidNs.init ??= p;
    this.processes.set(pid, p);
    parent?.children.add(p);
    container.members.push(p);
    return p;
  }

  /** Is `p` the first process of its pid namespace? Only signals from outside end it. */
  isNsInit(p: Process): boolean {
    return p.pidNs.init === p;
  }

  mark(t: Thread): void {
    if (t.marked) return;
    t.marked = true;
    this.marked.push(t);
  }

  /** The group ends with `status`, unless that is decided already; each thread is marked. */
  endGroup(p: Process, status: number): void {
    if (p.state !== 'alive' || p.ending !== undefined) return;
    p.ending = status;
    for (const t of p.threads) this.mark(t);
  }

  /** The kernel's own SIGKILL for the members of a container. */
  killMembers(c: Container): void {
    for (const at of tree(c)) {
      for (const p of at.members) {
        // a single thread that is on its way out keeps its own code
        if (p.unreleased > 1) this.endGroup(p, SIGKILL);
        else if (p.threads[0]) this.mark(p.threads[0]);
      }
    }
  }

  #die(c: Container, status: number): void {
    for (const at of tree(c)) {
      if (at.flags & DEAD) continue;
      at.flags |= DEAD;
      at.exitCode = status;
      at.init = undefined;
    }
    this.killMembers(c);
  }

  /** One more reference to an open file. */
  hold(file: OpenFile): OpenFile {
    file.refs += 1;
    return file;
  }

  drop(file: OpenFile): void {
    file.refs -= 1;
    const c = file.container;
    if (file.refs || !c) return;
    if (file.kind === 'supervisor') {
      // what was not answered is refused as ever
      for (const request of c.requests!) request.answer ??= -1;
      c.requests = undefined;
    } else {
      c.files -= 1;
      const kills = c.flags & KILL_ON_CLOSE && c.flags & STARTED && !(c.flags & DEAD);
      if (!c.files && kills) this.killMembers(c);
    }
    this.mayGo(c);
  }

  closeFd(p: Process, fd: number): void {
    const { file } = p.fds.get(fd)!;
    p.fds.delete(fd);
    this.drop(file);
  }

  /** A container without files, watcher, members and children is gone; its parent may follow. */
  mayGo(c: Container): void {
    const held = c.members.length || c.children.length || c.files || c.requests;
    if (c === this.root || held) return;
    const siblings = c.parent!.children;
    if (!siblings.includes(c)) return;
    siblings.splice(siblings.indexOf(c), 1);
    this.nrContainers -= 1;
    this.mayGo(c.parent!);
  }

  /** A thread ends with `status`; exit_group and signals have set `ending` before. */
  endThread(t: Thread, status: number): void {
    const p = t.process;
    p.threads.splice(p.threads.indexOf(t), 1);
    this.marked = this.marked.filter((at) => at !== t);
    t.sleep?.end();
    t.sleep = undefined;
    if (p.threads.length === 0) this.#endProcess(p, p.ending ?? status);
    // a leader stays as a zombie until the others are gone
    if (t.tid !== p.pid && !(p.state === 'zapping')) this.#releaseTask(p, t.numbers);
    else if (t.tid !== p.pid) this.#zapThread.set(p, t);
    if (p.state === 'zombie') this.#announced(p);
  }

  #endProcess(p: Process, status: number): void {
    p.ending = status;
    p.status = status;
    for (const fd of [...p.fds.keys()].sort((a, b) => a - b)) this.closeFd(p, fd);
    const c = p.container!;
    if (c.init === p) this.#die(c, status);
    c.members.splice(c.members.indexOf(p), 1);
    p.container = undefined;
    this.mayGo(c);
    if (this.isNsInit(p)) this.#zap(p);
    else this.#leaveChildren(p);
    if (p.state === 'alive') p.state = 'zombie';
  }

  #leaveChildren(p: Process): void {
    const heir = p.pidNs.init!;
    if (heir === p) return;
    for (const child of [...p.children]) {
      p.children.delete(child);
      child.parent = heir;
      heir.children.add(child);
      if (child.state === 'zombie') this.#announced(child);
    }
  }

  /** A pid namespace's init is dead: the others follow, and it waits for them. */
  #zap(p: Process): void {
    p.state = 'zapping';
    const inside = [...this.processes.values()].filter((at) => at !== p && at.numbers.has(p.pidNs));
    const order = inside.sort((a, b) => a.numbers.get(p.pidNs)! - b.numbers.get(p.pidNs)!);
    for (const at of order) this.endGroup(at, SIGKILL);
    for (const child of [...p.children]) if (child.state === 'zombie') this.release(child);
    this.#finishZap(p.pidNs);
  }

  #finishZap(ns: PidNs): void {
    const init = ns.init;
    if (init?.state !== 'zapping' || ns.numbered > init.unreleased) return;
    init.state = 'zombie';
    const last = this.#zapThread.get(init);
    this.#zapThread.delete(init);
    if (last) this.#releaseTask(init, last.numbers);
    this.#announced(init);
  }

  /** A zombie is told of: where nobody will ask for it, it goes at once. */
  #announced(p: Process): void {
    if (p.unreleased === 1 && p.parent?.state === 'zapping') this.release(p);
  }

  /** exec by a thread that is alone by now: it takes the leader's number and place. */
  becomeLeader(t: Thread): void {
    const p = t.process;
    if (t.tid === p.pid) return;
    this.#releaseTask(p, t.numbers);
    t.tid = p.pid;
    t.numbers = p.numbers;
  }

  /** Somebody has waited for `p`. */
  release(p: Process): void {
    if (!this.processes.delete(p.pid)) return;
    p.parent?.children.delete(p);
    this.#releaseTask(p, p.numbers);
  }

  #releaseTask(p: Process, numbers: Map<PidNs, number>): void {
    p.unreleased -= 1;
    for (const ns of numbers.keys()) ns.numbered -= 1;
    for (const ns of numbers.keys()) this.#finishZap(ns);
  }

  /** At most `max` marked threads die, in order of marking. Return: how many. */
  runMarked(max: number): number {
    let n = 0;
    for (; n < max && this.marked.length; ++n) {
      const t = this.marked[0]!;
      const p = t.process;
      // the one of an exec that ends the others is no group's end
      if (p.ending === undefined && !p.threads.some((at) => at.sleep?.call === 'exec')) {
        p.ending = SIGKILL;
      }
      this.endThread(t, p.ending ?? 0);
    }
    return n;
  }
}
