// One step of a random program of container calls: on a kernel and on the model, side by side.
import * as U from '../../assembly/uapi/container.ts';
import * as E from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as C from '../../assembly/uapi/sched.ts';
import * as N from '../../assembly/uapi/signal.ts';
import * as K from '../../assembly/uapi/socket.ts';
import * as V from '../../assembly/uapi/supervise.ts';
import { WNOHANG, WNOWAIT } from '../../assembly/uapi/wait.ts';
import { DISP_BLOCKED, DISP_DONE, DISP_EXITED, type Kernel } from '../../host/index.ts';
import { trap, USER, words } from '../unit/trap.ts';
import {
  type Container,
  type OpenFile,
  type Process,
  type Thread,
  tree,
} from './container-objects.ts';
import { KEY, LIMITS, type Model, type Result, SLEEPS } from './containers-model.ts';

/** How often each kind of step is taken, beside the others. */
export const KINDS = {
  create: 10,
  enter: 14,
  fork: 8,
  clone: 4,
  exitThread: 2,
  exitGroup: 4,
  exec: 3,
  setuid: 5,
  close: 8,
  dup: 3,
  send: 3,
  receive: 3,
  open: 3,
  wait: 8,
  containerWait: 6,
  containerKill: 4,
  kill: 3,
  poll: 6,
  addKey: 3,
  requestKey: 3,
  devices: 3,
  mknod: 3,
  supervise: 6,
  answer: 10,
  runMarked: 8,
} as const;
export type Kind = keyof typeof KINDS;

/** `who`, `what`: choices among those who are there at the time, so that programs shrink well. */
export interface Step {
  kind: Kind;
  who: number;
  what: number;
}

/** Found and expected. */
type Pair = [found: unknown, expected: unknown];

const THREAD = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;
/** The socket pair that descriptors travel through. */
const [SENDER, RECEIVER] = [3, 4];
const CONTROL = 16 + 8;
const MAIL_MAX = 4;
const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);
/** What a task that has a SIGKILL to take may still do here. */
const HARMS: readonly Kind[] = ['fork', 'enter', 'create', 'close', 'exitGroup'];
const SIGNALS = [0, N.SIGKILL, N.SIGTERM];

export class Driver {
  readonly #k: Kernel;
  readonly #m: Model;
  /** the model's numbers of keys to the kernel's */
  readonly #serials = new Map<number, number>();

  constructor(k: Kernel, model: Model) {
    this.#k = k;
    this.#m = model;
  }

  #call(t: Thread, op: number, args: (number | bigint)[] = [], memory?: Uint8Array): Result {
    return this.#trap(t, op, args, memory).result;
  }

  #trap(t: Thread, op: number, args: (number | bigint)[] = [], memory?: Uint8Array) {
    const done = trap(this.#k, t.tid, op, args, memory);
    if (done.kind === 'sleeps') return { result: SLEEPS as Result, out: new Uint8Array() };
    if (done.kind === 'gone') return { result: 0 as Result, out: new Uint8Array() };
    return { result: done.result as Result, out: done.out ?? new Uint8Array() };
  }

  /** Which number a new key gets is the kernel's choice: it has to stay the same from then on. */
  #named(found: Result, expected: Result): Pair {
    if (typeof expected !== 'number' || expected > KEY) return [found, expected];
    const known = this.#serials.get(expected);
    if (known !== undefined) return [found, known];
    if (typeof found !== 'number' || found <= 0) return [found, 'a serial number'];
    this.#serials.set(expected, found);
    return [found, found];
  }

  /** Runs one step on both. Return: [kernel's result, model's result]. */
  run(step: Step): Pair {
    const t = this.#thread(step.who, step.kind);
    return t ? this[step.kind](t, step.what) : [0, 0];
  }

  /** Somebody awake, mostly one whom the step concerns. */
  #thread(n: number, kind: Kind): Thread | undefined {
    const fits = this.#m.threads().filter((t) => !t.sleep && this.#mayTake(t, kind));
    const concerned = n % 8 ? fits.filter((t) => this.#concerns(t, kind)) : [];
    const from = concerned.length ? concerned : fits;
    return from[(n >>> 3) % from.length];
  }

  /** Who is about to die may still do what the others can be harmed by. */
  #mayTake(t: Thread, kind: Kind): boolean {
    return HARMS.includes(kind) || !t.process.threads.some((at) => at.marked);
  }

  #concerns({ process: p }: Thread, kind: Kind): boolean {
    if (kind === 'wait') return p.children.size > 0;
    if (kind === 'requestKey') return p.container!.keys.size > 0;
    if (kind === 'setuid') return p.container !== this.#m.root;
    if (kind === 'mknod') return p.cred.caps && p.container?.devices !== undefined;
    if (kind !== 'answer') return true;
    return [...p.fds.values()].some(
      ({ file }) => file.kind === 'supervisor' && this.#m.nextRequest(file.container!),
    );
  }

  /** A descriptor, mostly one of that kind. */
  #fd(t: Thread, n: number, kind: OpenFile['kind'] = 'container'): number {
    const held = [...t.process.fds].filter(([, { file }]) => file.kind === kind);
    return held.length && n % 8 ? held[(n >>> 3) % held.length]![0] : (n >>> 3) % LIMITS.nofile;
  }

  #process(n: number): Process {
    const all = [...this.#m.processes.values()];
    return all[n % all.length]!;
  }

  create(t: Thread, n: number): Pair {
    // a flag of two, and now and then most of them
    const flags = (n & (n >>> 3) & U.CONTAINER__FLAG_MASK) | (n % 5 ? 0 : U.CONTAINER_NEW_PID_NS);
    const found = this.#call(t, OP.OP_CONTAINER_CREATE, [USER, flags], text('box'));
    return [found, this.#m.create(t, flags)];
  }

  enter(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    return [this.#call(t, OP.OP_FORK_INTO_CONTAINER, [fd]), this.#m.enter(t, fd)];
  }

  fork(t: Thread): Pair {
    return [this.#call(t, OP.OP_FORK), this.#m.fork(t)];
  }

  clone(t: Thread): Pair {
    return [this.#call(t, OP.OP_CLONE, [THREAD, 0, 0, 0, 0]), this.#m.clone(t)];
  }

  exitThread(t: Thread, n: number): Pair {
    // the machine ends with its init
    if (t.process === this.#m.first && t.process.threads.length === 1) return [0, 0];
    return [this.#call(t, OP.OP_EXIT, [n]), this.#m.exitThread(t, n)];
  }

  exitGroup(t: Thread, n: number): Pair {
    if (t.process === this.#m.first) return [0, 0];
    return [this.#call(t, OP.OP_EXIT_GROUP, [n]), this.#m.exitGroup(t, n)];
  }

  exec(t: Thread): Pair {
    const found = this.#call(t, OP.OP_EXECVE, [USER, 0, 0], text('/bin/x'));
    const expected = this.#m.exec(t);
    if (found !== SLEEPS || expected !== SLEEPS) return [found, expected];
    return this.runMarked(t, 0xffff);
  }

  setuid(t: Thread, n: number): Pair {
    // threads have each their own, and somebody has to be able to end the world
    if (t.process.unreleased > 1 || t.process === this.#m.first) return [0, 0];
    const uid = n % 8 ? 1 + (n % 2) : 0;
    return [this.#call(t, OP.OP_SETRESUID, [uid, uid, uid]), this.#m.setuid(t, uid)];
  }

  close(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n, n % 3 ? 'container' : 'supervisor');
    // mail is read to the end of the world; what a thread polls would be another file, or none
    const polled = t.process.threads.some((at) => at.sleep?.fd === fd);
    if (polled || t.process.fds.get(fd)?.file.kind === 'socket') return [0, 0];
    return [this.#call(t, OP.OP_CLOSE, [fd]), this.#m.close(t, fd)];
  }

  dup(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    return [this.#call(t, OP.OP_DUP, [fd]), this.#m.dup(t, fd)];
  }

  /** A message of one byte, with room for one descriptor. */
  #header(fd: number): Uint8Array {
    const memory = new Uint8Array(128);
    const view = new DataView(memory.buffer);
    const longs = [0, 0, USER + 64, 1, USER + 88, CONTROL, 0, 0, USER + 80, 1, 0, 20];
    longs.forEach((long, i) => view.setBigUint64(i * 8, BigInt(long), true));
    memory.set(words(K.SOL_SOCKET, K.SCM_RIGHTS, fd), 96);
    return memory;
  }

  send(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n, n % 3 ? 'container' : 'supervisor');
    const kind = t.process.fds.get(fd)?.file.kind;
    // a socket in its own mail is another story
    if (this.#m.mail.length >= MAIL_MAX || kind === 'socket') return [0, 0];
    const found = this.#call(t, OP.OP_SENDMSG, [SENDER, USER, 0], this.#header(fd));
    return [found, this.#m.send(t, fd)];
  }

  receive(t: Thread): Pair {
    const { result, out } = this.#trap(t, OP.OP_RECVMSG, [RECEIVER, USER, 0], this.#header(0));
    const expected = this.#m.receive(t);
    if (result !== 1) return [result, expected];
    const view = new DataView(out.buffer, out.byteOffset);
    const length = Number(view.getBigUint64(40, true));
    return [length ? view.getInt32(104, true) : -1, expected];
  }

  open(t: Thread, n: number): Pair {
    const all = tree(this.#m.root);
    const id = n % 8 ? all[(n >>> 3) % all.length]!.id : n;
    const cloexec = n % 2 === 1;
    const flags = cloexec ? U.CONTAINER_FD_CLOEXEC : 0;
    return [this.#call(t, OP.OP_CONTAINER_OPEN, [id, flags]), this.#m.open(t, id, cloexec)];
  }

  /** [result, status] where a wait has something to say. */
  #waited({ result, out }: { result: Result; out: Uint8Array }, expected: Result): Pair {
    if (result === SLEEPS || result <= 0 || expected === SLEEPS) return [result, expected];
    const status = new DataView(out.buffer, out.byteOffset).getInt32(0, true);
    return [
      [result, status],
      [expected, this.#m.status],
    ];
  }

  wait(t: Thread, n: number): Pair {
    const children = [...t.process.children];
    const child =
      children.length && n % 8 ? children[(n >>> 3) % children.length]! : this.#process(n);
    const number = child.numbers.get(t.process.pidNs) ?? 9999;
    const found = this.#trap(t, OP.OP_WAIT4, [number, USER, WNOHANG, 0], words(0));
    return this.#waited(found, this.#m.wait(t, child));
  }

  containerWait(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    const options = (n % 3 ? WNOHANG : 0) | (n % 2 ? WNOWAIT : 0);
    const found = this.#trap(t, OP.OP_CONTAINER_WAIT, [fd, USER, options, 0], words(0));
    return this.#waited(found, this.#m.containerWait(t, fd, options));
  }

  containerKill(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    const sig = SIGNALS[n % 3]!;
    const initOnly = n % 2 === 1;
    const found = this.#call(t, OP.OP_CONTAINER_KILL, [fd, initOnly ? 1 : 0, sig]);
    return [found, this.#m.containerKill(t, fd, initOnly, sig)];
  }

  kill(t: Thread, n: number): Pair {
    const target = this.#process(n >>> 2);
    const sig = SIGNALS[n % 3]!;
    const number = target.numbers.get(t.process.pidNs) ?? 9999;
    return [this.#call(t, OP.OP_KILL, [number, sig]), this.#m.kill(t, target, sig)];
  }

  poll(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n | 1, n % 3 ? 'container' : 'supervisor');
    if (!t.process.fds.get(fd)?.file.container) return [0, 0];
    const events = (n & 8 ? O.POLLIN : 0) | (n & 16 ? O.POLLRDHUP : 0);
    const sleeps = n % 4 === 0;
    const memory = words(fd, events);
    const { result, out } = this.#trap(t, OP.OP_POLL, [USER, 1, sleeps ? -1 : 0], memory);
    const expected = this.#m.poll(t, fd, events, sleeps);
    return [result === SLEEPS ? SLEEPS : out[6]! | (out[7]! << 8), expected];
  }

  addKey(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    const name = 'abcd'[n % 4]!;
    const memory = new Uint8Array([...text('user'), ...text(name)]);
    const args = [USER, USER + 5, USER, 1, fd];
    const found = this.#call(t, OP.OP_CONTAINER_ADD_KEY, args, memory);
    return this.#named(found, this.#m.addKey(t, fd, name));
  }

  requestKey(t: Thread, n: number): Pair {
    const name = 'abcd'[n % 4]!;
    const memory = new Uint8Array([...text('user'), ...text(name)]);
    const found = this.#call(t, OP.OP_REQUEST_KEY, [USER, USER + 5, 0, 0], memory);
    return this.#named(found, this.#m.requestKey(t, name));
  }

  devices(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    const minors = [n & 3, (n >>> 2) & 3];
    const list = minors.flatMap((bits) => [O.S_IFCHR, 1 + (bits & 1), bits, 0, 0, 0, 0, 0, 0, 0]);
    const names = minors.flatMap((bits) =>
      [0, 1].filter((minor) => (bits >> minor) & 1).map((minor) => `${1 + (bits & 1)}:${minor}`),
    );
    const found = this.#call(t, OP.OP_CONTAINER_DEVICES, [fd, USER, 2], words(...list));
    return [found, this.#m.devices(t, fd, names)];
  }

  mknod(t: Thread, n: number): Pair {
    const [major, minor] = [1 + (n & 1), (n >>> 1) & 1];
    const frame = this.#k.frame.begin(t.tid, 0, OP.OP_MKNOD);
    [USER, O.S_IFCHR | 0o600, (major << 8) | minor].forEach((arg, i) => frame.setArg(i, arg));
    frame.window(USER, text('/dev/x'), 'r').assistRet(0);
    const found = this.#k.trap() === DISP_BLOCKED ? SLEEPS : frame.result;
    return [found, this.#m.mknod(t, `${major}:${minor}`)];
  }

  supervise(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n);
    return [this.#call(t, OP.OP_CONTAINER_SUPERVISE, [fd, 0]), this.#m.supervise(t, fd)];
  }

  /** Reads a supervisor's next question, if there is one, and answers it in some way. */
  answer(t: Thread, n: number): Pair {
    const fd = this.#fd(t, n | 1, 'supervisor');
    const file = t.process.fds.get(fd)?.file;
    const c: Container | undefined = file?.kind === 'supervisor' ? file.container : undefined;
    const request = c && this.#m.nextRequest(c);
    if (!request) return [0, 0];
    const { result, out } = this.#trap(t, OP.OP_READ, [fd, USER, 80], new Uint8Array(80));
    const view = new DataView(out.buffer, out.byteOffset);
    const asked = [result, view.getInt32(8, true), Number(view.getBigUint64(64, true))];
    const { thread } = request;
    const number = thread.numbers.get(t.process.pidNs) ?? 0;
    request.read = true;
    const answers = [V.ANSWER_CONTINUE, V.ANSWER_ERROR, V.ANSWER_VALUE, V.ANSWER_GRANT];
    const answer = answers[(n >>> 3) % 4]!;
    const reply = new Uint8Array(24);
    const to = new DataView(reply.buffer);
    to.setBigUint64(0, view.getBigUint64(0, true), true);
    to.setBigInt64(8, answer === V.ANSWER_VALUE ? 77n : 0n, true);
    to.setInt32(16, answer === V.ANSWER_ERROR ? E.ENOSYS : 0, true);
    to.setUint32(20, answer, true);
    const written = this.#call(t, OP.OP_WRITE, [fd, USER, 24], reply);
    request.answer = ([-E.EPERM, -E.ENOSYS, 77, 'grant'] as const)[(n >>> 3) % 4]!;
    request.by = { ...t.process.cred };
    return [
      [...asked, written],
      [80, number, thread.process.container!.id, 24],
    ];
  }

  runMarked(_t: Thread, n: number): Pair {
    const max = n % 4 ? 0xffff : 1 + (n % 3);
    return [this.#k.runPending(max), this.#m.runMarked(max)];
  }

  /** Whoever is woken goes on, and nobody else has anything to go on with. */
  wake(): Pair[] {
    const pairs: Pair[] = [];
    const sleepers = (): Thread[] => this.#m.threads().filter((t) => t.sleep && !t.marked);
    for (let more = true; more;) {
      more = false;
      for (const tid of this.#k.woken()) {
        const t = sleepers().find((at) => at.tid === tid);
        // the others die
        if (!t) continue;
        const frame = this.#k.frameOf(tid);
        const disposition = this.#k.resume(tid);
        if (disposition === DISP_EXITED) continue;
        if (disposition === DISP_BLOCKED) {
          // woken for nothing, unless a call was granted that sleeps now for its own reason
          const granted = t.sleep!.call === 'refused' && t.sleep!.ready();
          if (granted) pairs.push([SLEEPS, t.sleep!.finish()]);
          continue;
        }
        more = true;
        const { call } = t.sleep!;
        const expected = t.sleep!.finish();
        if (disposition !== DISP_DONE) throw new Error(`disposition ${disposition}`);
        let found: unknown = frame!.result;
        const out = frame!.output(USER, call === 'poll' ? 8 : 4);
        if (call === 'poll' && out) found = out[6]! | (out[7]! << 8);
        if (call === 'wait' && expected !== SLEEPS && expected > 0) {
          const status = new DataView(out!.buffer).getInt32(0, true);
          pairs.push([
            [call, found, status],
            [call, expected, this.#m.status],
          ]);
        } else {
          const [a, b] = this.#named(found as Result, expected);
          pairs.push([
            [call, a],
            [call, b],
          ]);
        }
      }
    }
    const late = sleepers().filter((t) => t.sleep!.ready());
    pairs.push([late.map((t) => `${t.tid} sleeps in ${t.sleep!.call}`), []]);
    return pairs;
  }
}
