// Files in a replay: which calls on them the kernel decides, what the world has to say before they
// run, and what is known of a file from then on.
import { EINTR, EINVAL, EMFILE, EPERM } from '../../assembly/uapi/errno.ts';
import * as FC from '../../assembly/uapi/fcntl.ts';
import {
  FILE_EVENT_OPAQUE,
  FILE_EVENT_QUEUED,
  FILE_EVENT_READY,
  FILE_EVENT_TICKS,
} from '../../assembly/uapi/frame.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { errnoNumber } from '../abi/constants.ts';
import type { EpollItem, FileView } from '../file-views.ts';
import { DISP_DONE } from '../kernel.ts';
import type { Frame } from '../frame.ts';
import { type Call, expectedRax, failed } from './call.ts';
import type { Replay } from './engine.ts';
import { madeFds, OWN_LIMITS } from './fd-calls.ts';
import {
  askedFds,
  classByCommand,
  classByFile,
  EPOLL_WAITS,
  fdOf,
  isWorlds,
  WORLDS,
} from './file-class.ts';
import { shownEvents, shownReady, shownSets } from './file-judge.ts';
import { movesFiles, SameFiles } from './same-file.ts';
import { learnMemory, touchesMemory } from './shared-memory.ts';
import {
  adoptPort,
  giveUp,
  isAmbiguous,
  isLargeSend,
  isNetworks,
  needsLoopback,
  outsiders,
  setLoopback,
} from './sockets.ts';
import { descriptorsOf, hasControl } from './messages.ts';
import { valueOf } from './value.ts';
import { Ipc } from './ipc.ts';
import { assistQueue, classOfQueue } from './mqueue.ts';
import { assistTerminal } from './terminals.ts';
import type { CallClass } from './result.ts';
import { runCall } from './run.ts';

const POLLS = new Set([OP.OP_POLL, OP.OP_PPOLL]);
const SELECTS = new Set([OP.OP_SELECT, OP.OP_PSELECT6]);
/** Which argument is how long a call waits. */
const TIMEOUT_AT = new Map([
  [OP.OP_POLL, 2],
  [OP.OP_PPOLL, 2],
  [OP.OP_SELECT, 4],
  [OP.OP_PSELECT6, 4],
  [OP.OP_EPOLL_WAIT, 3],
  [OP.OP_EPOLL_PWAIT, 3],
  [OP.OP_EPOLL_PWAIT2, 3],
]);
/** Calls in which others than what the log shows may come to a pipe or socket. */
const HIDDEN_TRANSFERS = new Set([
  'sendmmsg',
  'recvmmsg',
  'preadv',
  'pwritev',
  'preadv2',
  'pwritev2',
  'io_submit',
  'io_uring_enter',
  'io_uring_register',
]);
/** Other calls that are not modelled and tell something of files; see Files.#hidden. */
const HIDDEN_OTHERS = new Set(['io_uring_setup', 'io_setup', 'sendmsg', 'flock', 'fcntl']);
/** A log of some calls only shows what becomes of pipes if it has one of each of these. */
const DESCRIPTORS = [['read'], ['write'], ['close'], ['pipe', 'pipe2'], ['dup2', 'fcntl']];
const SOCKETS = new Set(['socket', 'accept', 'accept4', 'socketpair']);
const HAS_CONTENTS = new Set(['pipe', 'socket', 'eventfd']);
/** Events of the log that make it another question where a path leads. */
const NEW_ROOT = new Set(['chroot', 'pivot_root', 'mount', 'umount2', 'move_mount', 'setns']);

/** Does a call of this name tell something about files, modelled or not? */
function teachesFiles(name: string): boolean {
  if (NEW_ROOT.has(name) || SOCKETS.has(name) || movesFiles(name)) return true;
  return HIDDEN_TRANSFERS.has(name) || HIDDEN_OTHERS.has(name);
}

export class Files {
  readonly #r: Replay;
  readonly #same = new SameFiles();
  readonly ipc: Ipc;
  /** does the log show every transfer, so that contents can be counted? */
  readonly #complete: boolean;
  /** does it show segments of shared memory? */
  readonly #attaches: boolean;
  /** addresses of open files that are the world's sockets */
  readonly #sockets = new Set<number>();
  /** addresses of epoll files of which it is not known what they watch */
  readonly #blurred = new Set<number>();
  /** calls whose other end lies outside the log */
  readonly #outside = new WeakSet<Call>();
  /** locks were taken on files that the log does not tell apart */
  foreignLocks = false;

  constructor(r: Replay) {
    this.#r = r;
    this.ipc = new Ipc(r.kernel);
    const { names } = r.index;
    this.#attaches = names.has('shmat');
    const filtered = !names.has('mmap') && !names.has('mmap2');
    this.#complete = !filtered || DESCRIPTORS.every((some) => some.some((one) => names.has(one)));
    // what the first process got from outside is no null device, but the world's
    for (const fd of [0, 1, 2]) {
      r.kernel.frame.begin(1, 0, OP.OP_CLOSE).setArg(0, fd);
      r.kernel.trap();
      r.kernel.adoptFd(1, fd);
    }
  }

  get #trusted(): boolean {
    // whom forks gave descriptors nobody knows where they are not shown
    return this.#complete && !this.#r.sparse && !this.#r.gaps.forks;
  }

  classOf(call: Call): CallClass {
    const { kernel } = this.#r;
    if (this.#outside.has(call)) return 'assisted';
    if (EPOLL_WAITS.has(call.row!.op) && this.#blurred.size && this.#isBlurred(call)) {
      return 'unmodelled';
    }
    if (call.row!.op === OP.OP_SOCKET && !this.#trusted) return 'assisted';
    const ipc = this.ipc.classOf(call) ?? classOfQueue(kernel, call);
    if (ipc) return ipc;
    if (call.row!.classBy === 'byCommand') return classByCommand(kernel, call);
    if (isLargeSend(kernel.file(call.pid, fdOf(call.args[0])), call)) return 'assisted';
    const cls = classByFile(kernel, call);
    const waits = TIMEOUT_AT.has(call.row!.op);
    return waits && !this.#trusted ? 'unmodelled' : cls;
  }

  #isBlurred(call: Call): boolean {
    return this.#blurred.has(this.#r.kernel.file(call.pid, fdOf(call.args[0]))?.address ?? 0);
  }

  /** Kind of the file that a call's first descriptor is; empty where it takes none. */
  kindOf(call: Call): string {
    if (call.row?.kinds[0]?.kind !== 'fd') return '';
    return this.#r.kernel.file(call.pid, fdOf(call.args[0]))?.kind ?? '';
  }

  /** Is a call's descriptor a plain file or a terminal, as far as anybody knows? */
  isPlain(call: Call, i: number): boolean {
    const said = call.args[i]?.path;
    if (said !== undefined) return said.startsWith('/');
    const file = this.#r.kernel.file(call.pid, fdOf(call.args[i]));
    if (!file) return call.errno !== 'EBADF';
    return file.kind !== 'nsfs' && WORLDS.has(file.kind) && !this.#sockets.has(file.address);
  }

  /** Is the end of this call its timeout's? */
  timesOut(call: Call): boolean {
    const at = TIMEOUT_AT.get(call.row!.op);
    return at !== undefined && call.retKind === 'value' && call.ret === 0;
  }

  /** Does the call's other end lie outside? `fits`: would the kernel alone give what is shown? */
  leadsOut(call: Call, fits: () => boolean): boolean {
    if (this.#outside.has(call) || call.retKind === 'unknown') return false;
    const { op } = call.row!;
    const { kernel } = this.#r;
    const many = POLLS.has(op) || SELECTS.has(op) || EPOLL_WAITS.has(op);
    const asked = many ? (this.#asked(call) ?? []) : [];
    const one = kernel.file(call.pid, fdOf(call.args[0]));
    if (needsLoopback(one, call) && !fits() && setLoopback(kernel, call)) {
      this.#r.adopted('a loopback that is up');
    }
    if (one && isAmbiguous(one, call)) {
      this.#outside.add(call);
      giveUp(kernel, call, [one], true);
      return true;
    }
    // what travels along is not looked at ahead
    if (op === OP.OP_RECVMSG && hasControl(call.args[1])) return false;
    const files = outsiders(kernel, call, asked, one);
    const networks = isNetworks(one, call);
    if ((files.length === 0 && !networks) || fits()) return false;
    this.#outside.add(call);
    giveUp(kernel, call, files);
    return true;
  }

  /** Descriptors that a call asks about, those behind an epoll file included. */
  #asked(call: Call): number[] | undefined {
    if (!EPOLL_WAITS.has(call.row!.op)) return askedFds(call);
    const { kernel } = this.#r;
    const ep = kernel.file(call.pid, fdOf(call.args[0]));
    return ep ? kernel.openFiles.epollItems(ep).map((item) => item.fd) : undefined;
  }

  /** Before a call runs: what is ready of the world's files, timers that went off. */
  tell(call: Call): void {
    const op = call.row!.op;
    if (POLLS.has(op)) this.#tellPoll(call);
    else if (SELECTS.has(op)) this.#tellSelect(call);
    else if (EPOLL_WAITS.has(op)) this.#tellEpoll(call);
    else if (op === OP.OP_READ) this.#tellRead(call);
  }

  #ready(file: FileView | undefined, mask: number): void {
    const { kernel } = this.#r;
    if (!file) return;
    if (isWorlds(file)) kernel.fileEvent(file, FILE_EVENT_READY, mask);
    else if (file.kind === 'timerfd' && mask && !file.ticks)
      kernel.fileEvent(file, FILE_EVENT_TICKS, 1);
    else if (file.kind === 'inotify') kernel.fileEvent(file, FILE_EVENT_QUEUED, mask ? 16 : 0);
    // which of the files behind a nested one is ready nobody says: any will do
    else if (file.kind === 'epoll')
      for (const item of kernel.openFiles.epollItems(file))
        this.#ready(item.file, mask ? item.events : 0);
  }

  #tellPoll(call: Call): void {
    const fds = askedFds(call);
    const shown = new Map((shownReady(call) ?? []).map(({ fd, revents }) => [fd, revents]));
    for (const fd of fds ?? []) this.#ready(this.#r.kernel.file(call.pid, fd), shown.get(fd) ?? 0);
  }

  #tellSelect(call: Call): void {
    const sets = shownSets(call);
    const bits = [FC.POLLIN, FC.POLLOUT, FC.POLLPRI];
    for (const fd of askedFds(call) ?? []) {
      const mask = bits.reduce((sum, bit, i) => (sets[i]!.includes(fd) ? sum | bit : sum), 0);
      this.#ready(this.#r.kernel.file(call.pid, fd), mask);
    }
  }

  /** Events name items by their data; of several with the same data the first is meant. */
  #tellEpoll(call: Call): void {
    const { kernel } = this.#r;
    const ep = kernel.file(call.pid, fdOf(call.args[0]));
    const items = ep ? kernel.openFiles.epollItems(ep) : [];
    const shown = call.retKind === 'value' ? shownEvents(call) : [];
    if (!shown && items.some((item) => isWorlds(item.file))) {
      call.blind = 'which files are ready is not shown';
    }
    const events = [...(shown ?? [])];
    let left = shown ? 0 : Number(call.ret) - this.#readyAlone(call, items);
    const take = (item: EpollItem): number => {
      if (left > 0 && isWorlds(item.file)) {
        left -= 1;
        return item.events;
      }
      const at = events.findIndex((event) => event.data === item.data);
      return at < 0 ? 0 : events.splice(at, 1)[0]!.events;
    };
    for (const item of items) this.#ready(item.file, take(item));
  }

  /** How many of these are ready without what is the world's. */
  #readyAlone(call: Call, items: readonly EpollItem[]): number {
    const r = this.#r;
    for (const { file } of items) if (isWorlds(file)) this.#ready(file, 0);
    const { disposition, rax } = runCall(r, call, r.tableIndex.get(call.table) ?? 0, 0, true);
    return disposition === DISP_DONE ? Number(rax) : 0;
  }

  /** The value that a timerfd gave says how often it went off. */
  #tellRead(call: Call): void {
    const { kernel } = this.#r;
    const file = kernel.file(call.pid, fdOf(call.args[0]));
    const node = call.args[1];
    if (file?.kind !== 'timerfd' || call.ret !== 8 || node?.kind !== 'str') return;
    if (node.value.length < 8) return;
    const ticks = Buffer.from(node.value, 'latin1').readBigUInt64LE(0);
    const more = Number(ticks) - file.ticks;
    if (more > 0) kernel.fileEvent(file, FILE_EVENT_TICKS, more);
  }

  /** What the world has been told to be ready is not so any more. */
  forget(call: Call): void {
    const { kernel } = this.#r;
    if (!EPOLL_WAITS.has(call.row!.op)) return;
    const ep = kernel.file(call.pid, fdOf(call.args[0]));
    for (const item of ep ? kernel.openFiles.epollItems(ep) : []) {
      if (isWorlds(item.file)) kernel.fileEvent(item.file, FILE_EVENT_READY, 0);
    }
  }

  /** What only the world knows of a call. */
  assist(frame: Frame, call: Call): void {
    this.ipc.assist(frame, call);
    assistQueue(this.#r.kernel, frame, call);
    const errno = call.retKind === 'error' ? (errnoNumber(call.errno ?? '') ?? EINVAL) : 0;
    const ret = typeof call.ret === 'number' ? call.ret : 0;
    const one = this.#r.kernel.file(call.pid, fdOf(call.args[0]));
    if (this.#outside.has(call) || isLargeSend(one, call)) {
      if (errno && errno !== EINTR) frame.assistErrno(errno);
      else if (call.retKind === 'value') frame.assistRet(ret);
      return;
    }
    switch (call.row!.op) {
      case OP.OP_EPOLL_CTL:
        if (errno === EPERM) frame.assistErrno(errno);
        else if (!errno) frame.assistRet(0);
        break;
      case OP.OP_READ:
      case OP.OP_SPLICE:
      case OP.OP_SENDFILE:
      case OP.OP_SETSOCKOPT:
      case OP.OP_GETSOCKOPT:
      case OP.OP_SOCKETPAIR:
      case OP.OP_KCMP:
        if (errno) frame.assistErrno(errno);
        else frame.assistRet(ret);
        break;
      case OP.OP_INOTIFY_ADD_WATCH: {
        if (errno) frame.assistErrno(errno);
        else frame.assistRet(ret);
        const id = this.#same.ofPath(call.args[1]);
        if (id) frame.assistFile(0, id);
        break;
      }
      case OP.OP_IOCTL:
        assistTerminal(frame, call);
        break;
      case OP.OP_FCNTL:
        this.#assistFcntl(frame, call);
        break;
      case OP.OP_SOCKET:
      case OP.OP_ACCEPT:
      case OP.OP_ACCEPT4:
        if (this.classOf(call) !== 'assisted') break;
        // no descriptor left: that is the kernel's to find
        if (errno && errno !== EMFILE) frame.assistErrno(errno);
        else frame.assistRet(ret);
        break;
      case OP.OP_WORLD_FD:
      case OP.OP_OPEN_BY_HANDLE_AT:
      case OP.OP_CREAT:
      case OP.OP_OPEN:
      case OP.OP_OPENAT:
      case OP.OP_OPENAT2: {
        // no descriptor left: that is the kernel's to find
        if (errno === EMFILE && !OWN_LIMITS.has(call.name)) frame.assistRet(0);
        const opened = this.#same.opened(call);
        if (opened) frame.assistFile(opened.flags, opened.id);
        break;
      }
      default:
        break;
    }
  }

  #assistFcntl(frame: Frame, call: Call): void {
    const command = call.args[1]?.kind === 'sym' ? call.args[1].text : '';
    if (command === 'F_GETFL' && call.ret !== undefined) frame.assistRet(Number(call.ret));
    if (!/^F_SETOWN(_EX)?$/.test(command) || failed(call)) return;
    const pid = Math.abs(Number(valueOf(call.args[2]) ?? 0n));
    if (pid && !this.#r.index.tasks.has(pid)) frame.assistRet(0);
  }

  /** Numbers of the recorded kernel's choice that a call's outputs show. */
  adoptNumbers(call: Call, frame: Frame): void {
    if (adoptPort(this.#r.kernel, call, frame)) this.#r.adopted('a port');
  }

  /** What a call that has ended tells about files. */
  learn(call: Call, cls: CallClass): void {
    const { kernel } = this.#r;
    if (NEW_ROOT.has(call.name) && !failed(call)) this.#same.forgetAll();
    if (call.row) this.ipc.learn(call);
    this.#same.learn(call);
    if (this.#outside.has(call) && call.errno === 'EINPROGRESS') {
      this.#taint(kernel.file(call.pid, fdOf(call.args[0])));
    }
    if (failed(call) || !call.row) return;
    if (this.#attaches && touchesMemory(call.name)) learnMemory(kernel, call);
    if (this.#blurred.size) {
      for (const fd of madeFds(call) ?? []) {
        this.#blurred.delete(kernel.file(call.pid, fd)?.address ?? 0);
      }
    }
    const makesSocket = SOCKETS.has(call.name);
    if (makesSocket || this.#sockets.size) {
      for (const fd of madeFds(call) ?? []) {
        const at = kernel.file(call.pid, fd)?.address ?? 0;
        if (makesSocket) this.#sockets.add(at);
        else this.#sockets.delete(at);
      }
    }
    if (!this.#trusted) {
      for (const fd of madeFds(call) ?? []) this.#taint(kernel.file(call.pid, fd));
    }
    if (cls === 'unmodelled') this.#hidden(call);
  }

  /** Must calls of this name be looked at, modelled or not? */
  wants(name: string): boolean {
    return teachesFiles(name) || (this.#attaches && touchesMemory(name));
  }

  /** A transfer that is not modelled: contents of what it acts on are no longer known. */
  #hidden(call: Call): void {
    const { kernel } = this.#r;
    // by its name first: most calls that are not modelled need not be decoded at all
    if (HIDDEN_TRANSFERS.has(call.name)) this.#taint(kernel.file(call.pid, fdOf(call.args[0])));
    if (call.name === 'io_uring_setup' || call.name === 'io_setup') this.taintAll(call.pid);
    if (call.name === 'sendmsg' || call.name === 'sendmmsg') {
      // somebody outside may get these files
      for (const fd of descriptorsOf(call.args[1])) this.#taint(kernel.file(call.pid, fd));
    }
    const locks = call.name === 'flock' || (call.name === 'fcntl' && /LK/.test(call.text));
    if (locks) this.foreignLocks = true;
  }

  #taint(file: FileView | undefined): void {
    if (!file || file.opaque || !HAS_CONTENTS.has(file.kind)) return;
    this.#r.kernel.fileEvent(file, FILE_EVENT_OPAQUE);
  }

  /** Somebody whose calls the log does not show has all descriptors of `pid`. */
  taintAll(pid: number): void {
    for (const { fd } of this.#r.kernel.fds(pid)) this.#taint(this.#r.kernel.file(pid, fd));
  }

  /** After a difference what was counted wrong is not counted any more. */
  taintCall(call: Call): void {
    const { kernel } = this.#r;
    if (call.row!.op === OP.OP_EPOLL_CTL) {
      this.#blurred.add(kernel.file(call.pid, fdOf(call.args[0]))?.address ?? 0);
    }
    for (const i of [0, 1, 2]) {
      const file = kernel.file(call.pid, fdOf(call.args[i]));
      if (call.row!.kinds[i]?.kind === 'fd') this.#taint(file);
    }
  }

  /** A difference that the log's gaps explain. */
  explain(call: Call): string | undefined {
    const locks = call.name === 'flock' || (call.name === 'fcntl' && /LK/.test(call.text));
    if (locks && this.foreignLocks && expectedRax(call) !== undefined) {
      return 'locks on files that the log does not tell apart';
    }
    return undefined;
  }
}
