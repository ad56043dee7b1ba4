// The model of the calls around containers: what each gives, in the order of its tests, and what it
// changes. Written from the specification, not from the kernel.
import * as U from '../../assembly/uapi/container.ts';
import * as E from '../../assembly/uapi/errno.ts';
import { POLLHUP, POLLIN, POLLRDHUP, POLLRDNORM } from '../../assembly/uapi/fcntl.ts';
import { SIGKILL } from '../../assembly/uapi/signal.ts';
import { WNOHANG } from '../../assembly/uapi/wait.ts';
import {
  type Container,
  type Cred,
  DEAD,
  type Descriptor,
  KILL_ON_CLOSE,
  Objects,
  type OpenFile,
  type PidNs,
  type Process,
  type Request,
  STARTED,
  type Thread,
  tree,
  type UserNs,
} from './container-objects.ts';

/** Limits of the model's machine, small enough to be met. */
export const LIMITS = { nofile: 12, containerDepthMax: 3, containersMax: 8 };
export const SLEEPS = 'sleeps';
/** Numbers of keys are below this: the kernel has its own, and each stands for one of them. */
export const KEY = -100_000;
export type Result = number | typeof SLEEPS;

const NEW_NS =
  U.CONTAINER_NEW_FS_NS |
  U.CONTAINER_NEW_EMPTY_FS_NS |
  U.CONTAINER_NEW_CGROUP_NS |
  U.CONTAINER_NEW_UTS_NS |
  U.CONTAINER_NEW_IPC_NS |
  U.CONTAINER_NEW_PID_NS |
  U.CONTAINER_NEW_NET_NS;
const BOTH_FS = U.CONTAINER_NEW_FS_NS | U.CONTAINER_NEW_EMPTY_FS_NS;

const isBelow = (ns: PidNs, top: PidNs): boolean => {
  let at: PidNs | undefined = ns;
  while (at && at !== top) at = at.parent;
  return at !== undefined;
};
const isIn = (c: Container | undefined, top: Container): boolean =>
  c !== undefined && (c === top || isIn(c.parent, top));

export class Model extends Objects {
  /** what the last wait told: a status */
  status = 0;
  /** files on their way through the socket pair */
  readonly mail: OpenFile[] = [];
  #lastId: number;
  #lastKey = KEY;
  /** whose capabilities the call under way has, beside its own */
  #lent: Cred | undefined;

  constructor(rootId: number, fds: number[]) {
    super(rootId, fds);
    this.#lastId = rootId;
  }

  threads(): Thread[] {
    return [...this.processes.values()].flatMap((p) => p.threads);
  }

  /** Has `cred` the capabilities over `ns`: its own, or as the owner of one below its own? */
  #has(cred: Cred, ns: UserNs): boolean {
    if (ns === cred.ns) return cred.caps;
    if (ns.level <= cred.ns.level) return false;
    if (ns.parent === cred.ns && ns.owner === cred.euid) return true;
    return this.#has(cred, ns.parent!);
  }

  #capable(t: Thread, ns: UserNs): boolean {
    return this.#has(t.process.cred, ns) || (this.#lent !== undefined && this.#has(this.#lent, ns));
  }

  /** A call whose refusal a supervisor may have another word on. */
  #supervised(t: Thread, call: () => Result): Result {
    const result = call();
    if (result !== -E.EPERM) return result;
    let c = t.process.container;
    while (c && !c.requests) c = c.parent;
    if (!c) return result;
    const request: Request = { thread: t, answer: undefined, by: undefined, read: false };
    const requests = c.requests!;
    requests.push(request);
    t.sleep = {
      call: 'refused',
      ready: () => request.answer !== undefined,
      finish: () => {
        t.sleep = undefined;
        const at = requests.indexOf(request);
        requests.splice(at, 1);
        if (request.answer !== 'grant') return request.answer!;
        this.#lent = request.by;
        const again = call();
        this.#lent = undefined;
        return again;
      },
      end: () => void requests.splice(requests.indexOf(request), 1),
    };
    return SLEEPS;
  }

  /** Sleeps on an open file, which stays open for so long. */
  #sleepOn(
    t: Thread,
    call: string,
    file: OpenFile,
    ready: () => boolean,
    told: () => number,
  ): Result {
    this.hold(file);
    t.sleep = {
      ...{ call, ready },
      finish: () => {
        t.sleep = undefined;
        const result = told();
        this.drop(file);
        return result;
      },
      end: () => this.drop(file),
    };
    return SLEEPS;
  }

  #freeFd(p: Process): number {
    for (let fd = 0; fd < LIMITS.nofile; ++fd) if (!p.fds.has(fd)) return fd;
    return -E.EMFILE;
  }

  #container(t: Thread, fd: number): Container | number {
    const file = t.process.fds.get(fd)?.file;
    if (!file) return -E.EBADF;
    return file.kind === 'container' ? file.container! : -E.EINVAL;
  }

  /** Runs `use` with the container of a descriptor, or gives the errno. */
  #on(t: Thread, fd: number, use: (c: Container) => Result): Result {
    const c = this.#container(t, fd);
    return typeof c === 'number' ? c : use(c);
  }

  /** Its creator, or who has the capability over it. */
  #mayUse(t: Thread, c: Container): boolean {
    return t.process.cred.euid === c.opener || this.#capable(t, c.cred.ns);
  }

  create(t: Thread, flags: number): Result {
    return this.#supervised(t, () => this.#create(t, flags));
  }

  #create(t: Thread, flags: number): Result {
    const p = t.process;
    const parent = p.container!;
    if ((flags & BOTH_FS) === BOTH_FS) return -E.EINVAL;
    if (parent.flags & DEAD) return -E.ECANCELED;
    if (parent.depth >= LIMITS.containerDepthMax) return -E.ENOSPC;
    if (this.nrContainers >= LIMITS.containersMax) return -E.ENOSPC;
    const fd = this.#freeFd(p);
    if (fd < 0) return fd;
    const { euid, caps, ns } = p.cred;
    let cred = { euid, caps, ns };
    if (flags & U.CONTAINER_NEW_USER_NS) {
      // ids that are not mapped own nothing
      if (ns.level > 0) return -E.EPERM;
      cred = { euid, caps: true, ns: { level: ns.level + 1, parent: ns, owner: euid } };
    } else if (flags & NEW_NS && !this.#capable(t, ns)) {
      return -E.EPERM;
    }
    const fresh = { level: p.pidNs.level + 1, parent: p.pidNs, init: undefined };
    const own = flags & U.CONTAINER_NEW_PID_NS;
    const pidNs: PidNs = own ? { ...fresh, last: 0, numbered: 0 } : p.pidNs;
    this.#lastId += 1;
    this.nrContainers += 1;
    const c = this.container(this.#lastId, parent, cred, pidNs);
    c.empty = (flags & U.CONTAINER_NEW_EMPTY_FS_NS) !== 0;
    if (flags & U.CONTAINER_KILL_ON_CLOSE) c.flags = KILL_ON_CLOSE;
    this.#install(p, fd, c, (flags & U.CONTAINER_FD_CLOEXEC) !== 0);
    return fd;
  }

  #install(p: Process, fd: number, c: Container, cloexec: boolean): void {
    c.files += 1;
    p.fds.set(fd, { file: { kind: 'container', container: c, refs: 1 }, cloexec });
  }

  open(t: Thread, id: number, cloexec: boolean): Result {
    return this.#supervised(t, () => {
      const c = tree(t.process.container!).find((at) => at.id === id);
      if (!c || c === t.process.container) return -E.ENOENT;
      if (!this.#mayUse(t, c)) return -E.EPERM;
      const fd = this.#freeFd(t.process);
      if (fd >= 0) this.#install(t.process, fd, c, cloexec);
      return fd;
    });
  }

  /** What every new task needs: a container that is not dead, and no SIGKILL to take. */
  #mayFork(t: Thread, c: Container): number {
    if (c.flags & DEAD) return -E.ECANCELED;
    return t.marked ? -E.EINTR : 0;
  }

  #copyFds(p: Process): Map<number, Descriptor> {
    const fds = [...p.fds].map(([fd, at]): [number, Descriptor] => [fd, { ...at }]);
    for (const [, { file }] of fds) this.hold(file);
    return new Map(fds);
  }

  fork(t: Thread): Result {
    const p = t.process;
    const bad = this.#mayFork(t, p.container!);
    if (bad) return bad;
    const child = this.process(p, p.container!, { ...p.cred }, p.pidNs, this.#copyFds(p));
    return child.numbers.get(p.pidNs)!;
  }

  enter(t: Thread, fd: number): Result {
    return this.#supervised(t, () => this.#on(t, fd, (c) => this.#enter(t, c)));
  }

  #enter(t: Thread, c: Container): number {
    const p = t.process;
    if (c.empty) return -E.ENOENT;
    if (!this.#capable(t, c.cred.ns)) {
      const fewer = c.cred.caps && !p.cred.caps;
      if (p.cred.euid !== c.opener || fewer || p.cred.ns !== c.cred.ns) return -E.EPERM;
    }
    if (!isBelow(c.pidNs, p.pidNs)) return -E.EINVAL;
    const bad = this.#mayFork(t, c);
    if (bad) return bad;
    const child = this.process(p, c, { ...c.cred }, c.pidNs, this.#copyFds(p));
    if (!c.init) {
      c.init = child;
      c.initNumbers = child.numbers;
      c.flags |= STARTED;
    }
    return child.numbers.get(p.pidNs)!;
  }

  clone(t: Thread): Result {
    const bad = this.#mayFork(t, t.process.container!);
    if (bad) return bad;
    return this.thread(t.process).numbers.get(t.process.pidNs)!;
  }

  exitThread(t: Thread, code: number): Result {
    this.endThread(t, (code & 0xff) << 8);
    return 0;
  }

  exitGroup(t: Thread, code: number): Result {
    const p = t.process;
    const status = p.ending ?? (code & 0xff) << 8;
    p.ending = status;
    for (const other of p.threads) if (other !== t) this.mark(other);
    this.endThread(t, status);
    return 0;
  }

  /** execve(2): the others of the group end first. */
  exec(t: Thread): Result {
    if (t.process.threads.length === 1) return this.#exec(t);
    for (const other of t.process.threads) if (other !== t) this.mark(other);
    t.sleep = {
      ...{ call: 'exec', ready: () => t.process.threads.length === 1 },
      finish: () => this.#exec(t),
      end: () => {},
    };
    return SLEEPS;
  }

  #exec(t: Thread): number {
    const p = t.process;
    t.sleep = undefined;
    this.becomeLeader(t);
    for (const [fd, { cloexec }] of [...p.fds]) if (cloexec) this.closeFd(p, fd);
    // root of the first namespace keeps everything, who is nobody in its own loses it
    p.cred = { ...p.cred, caps: p.cred.ns.level === 0 && p.cred.euid === 0 };
    return 0;
  }

  /** setresuid(2) to one id, by a process of one thread. */
  setuid(t: Thread, uid: number): Result {
    return this.#supervised(t, () => {
      const { cred } = t.process;
      if (cred.ns.level > 0) return -E.EINVAL;
      if (uid !== cred.euid && !this.#capable(t, cred.ns)) return -E.EPERM;
      // who is made root has what it may have, and that was dropped
      t.process.cred = { ...cred, euid: uid, caps: cred.caps && cred.euid === uid };
      return 0;
    });
  }

  close(t: Thread, fd: number): Result {
    if (!t.process.fds.has(fd)) return -E.EBADF;
    this.closeFd(t.process, fd);
    return 0;
  }

  dup(t: Thread, from: number): Result {
    const held = t.process.fds.get(from);
    if (!held) return -E.EBADF;
    const fd = this.#freeFd(t.process);
    if (fd >= 0) t.process.fds.set(fd, { file: this.hold(held.file), cloexec: false });
    return fd;
  }

  send(t: Thread, fd: number): Result {
    const held = t.process.fds.get(fd);
    if (!held) return -E.EBADF;
    this.mail.push(this.hold(held.file));
    return 1;
  }

  /** The descriptor of the oldest message; -1 where there is no room for it: it is lost. */
  receive(t: Thread): Result {
    const file = this.mail.shift();
    if (!file) return -E.EAGAIN;
    const fd = this.#freeFd(t.process);
    if (fd < 0) this.drop(file);
    else t.process.fds.set(fd, { file, cloexec: false });
    return Math.max(fd, -1);
  }

  /** wait4(2) with WNOHANG for one child. */
  wait(t: Thread, child: Process): Result {
    const number = child.numbers.get(t.process.pidNs);
    if (number === undefined || child.parent !== t.process) return -E.ECHILD;
    if (child.state !== 'zombie' || child.unreleased > 1) return 0;
    this.status = child.status;
    this.release(child);
    return number;
  }

  containerWait(t: Thread, fd: number, options: number): Result {
    return this.#supervised(t, () =>
      this.#on(t, fd, (c) => {
        const { pidNs } = t.process;
        if (!this.#mayUse(t, c)) return -E.EPERM;
        if (!isBelow(c.pidNs, pidNs)) return -E.EINVAL;
        const told = (): number => {
          if (!c.initNumbers) return -E.ECANCELED;
          this.status = c.exitCode;
          return c.initNumbers.get(pidNs)!;
        };
        if (c.flags & DEAD) return told();
        if (options & WNOHANG) return 0;
        const { file } = t.process.fds.get(fd)!;
        return this.#sleepOn(t, 'wait', file, () => (c.flags & DEAD) !== 0, told);
      }),
    );
  }

  containerKill(t: Thread, fd: number, initOnly: boolean, sig: number): Result {
    return this.#supervised(t, () =>
      this.#on(t, fd, (c) => {
        const all = initOnly
          ? [c.init].filter((p) => p !== undefined)
          : tree(c).flatMap((at) => at.members);
        const results = [...all].map((p) => this.#signal(t, p, sig));
        if (!results.length) return -E.ESRCH;
        return results.includes(0) ? 0 : -E.EPERM;
      }),
    );
  }

  kill(t: Thread, target: Process, sig: number): Result {
    return this.#supervised(t, () => {
      const gone = !this.processes.has(target.pid);
      if (gone || !target.numbers.has(t.process.pidNs)) return -E.ESRCH;
      return this.#signal(t, target, sig);
    });
  }

  #signal(t: Thread, to: Process, sig: number): number {
    const from = t.process;
    const may = from === to || from.cred.euid === to.cred.euid || this.#capable(t, to.cred.ns);
    if (!may) return -E.EPERM;
    const outside = !from.numbers.has(to.pidNs);
    if (!sig || (this.isNsInit(to) && (sig !== SIGKILL || !outside))) return 0;
    // who has a SIGKILL to take looks at nothing else
    if (sig !== SIGKILL && to.threads.some((at) => at.marked)) return 0;
    this.endGroup(to, sig);
    return 0;
  }

  #ready(file: OpenFile): number {
    const c = file.container;
    if (!c) return 0;
    const dead = c.flags & DEAD;
    if (file.kind === 'supervisor') {
      const asked = c.requests!.some((at) => !at.read && at.answer === undefined);
      return (dead ? POLLHUP : 0) | (asked ? POLLIN | POLLRDNORM : 0);
    }
    if (!dead) return 0;
    return POLLHUP | POLLIN | POLLRDNORM | (c.members.length ? 0 : POLLRDHUP);
  }

  /** poll(2) of one descriptor of a container or a supervisor: revents, 0, or a sleep. */
  poll(t: Thread, fd: number, events: number, sleeps: boolean): Result {
    const { file } = t.process.fds.get(fd)!;
    const revents = (): number => this.#ready(file) & (events | POLLHUP);
    const now = revents();
    if (now || !sleeps) return now;
    this.#sleepOn(t, 'poll', file, () => revents() !== 0, revents);
    t.sleep!.fd = fd;
    return SLEEPS;
  }

  /** container_add_key(2): the model's number of the key, which is below KEY. */
  addKey(t: Thread, fd: number, name: string): Result {
    return this.#supervised(t, () =>
      this.#on(t, fd, (c) => {
        if (!this.#mayUse(t, c)) return -E.EPERM;
        if (!c.keys.has(name)) c.keys.set(name, (this.#lastKey -= 1));
        return c.keys.get(name)!;
      }),
    );
  }

  requestKey(t: Thread, name: string): Result {
    return t.process.container!.keys.get(name) ?? -E.ENOKEY;
  }

  /** container_devices(2): names of devices. */
  devices(t: Thread, fd: number, list: string[]): Result {
    return this.#supervised(t, () =>
      this.#on(t, fd, (c) => {
        if (!this.#mayUse(t, c)) return -E.EPERM;
        if (c.flags & STARTED) return -E.EBUSY;
        c.devices = new Set(list);
        return 0;
      }),
    );
  }

  mknod(t: Thread, device: string): Result {
    return this.#supervised(t, () => {
      if (!this.#capable(t, this.root.cred.ns)) return -E.EPERM;
      for (let c = t.process.container; c; c = c.parent) {
        if (c.devices && !c.devices.has(device)) return -E.EPERM;
      }
      return 0;
    });
  }

  supervise(t: Thread, fd: number): Result {
    return this.#supervised(t, () =>
      this.#on(t, fd, (c) => {
        if (!this.#mayUse(t, c)) return -E.EPERM;
        if (isIn(t.process.container, c)) return -E.EINVAL;
        if (c.requests) return -E.EBUSY;
        const to = this.#freeFd(t.process);
        if (to < 0) return to;
        c.requests = [];
        t.process.fds.set(to, {
          file: { kind: 'supervisor', container: c, refs: 1 },
          cloexec: false,
        });
        return to;
      }),
    );
  }

  /** The oldest question that nobody has read. */
  nextRequest(c: Container): Request | undefined {
    return c.requests!.find((at) => !at.read && at.answer === undefined);
  }
}
