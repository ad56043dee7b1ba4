// Typed readers over open files: what a descriptor stands for, what lies in it, what an epoll file
// watches. They only read.
import { TOSTOP } from '../assembly/uapi/tty.ts';
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';
import { Views } from './views.ts';

export type FileKind =
  | 'null'
  | 'world'
  | 'pipe'
  | 'container'
  | 'pidfd'
  | 'supervisor'
  | 'eventfd'
  | 'timerfd'
  | 'signalfd'
  | 'inotify'
  | 'epoll'
  | 'socket'
  | 'proc'
  | 'nsfs'
  | 'mqueue'
  | 'text';

/** A terminal, by one of its open ends. */
export interface TerminalView {
  /** the same for every end */
  address: number;
  /** the file is the other end, /dev/ptmx's */
  master: boolean;
  /** it was hung up after the file was opened */
  hungUp: boolean;
  /** number of the pair, -1: not known */
  index: number;
  /** both ends are the kernel's */
  paired: boolean;
  /** session and foreground group, by the initial namespace's numbers; 0: none, or not known */
  session: number;
  pgrp: number;
  /** output of background processes stops them */
  tostop: boolean;
}

/** What a socket is. */
export interface SocketView {
  family: number;
  type: number;
  /** TCP_*, as the kernel numbers it */
  state: number;
  /** it is of the initial network namespace */
  initialNet: boolean;
  /** it has a name or a port */
  named: boolean;
  /** its name is a path */
  path: boolean;
  /** connections that wait to be accepted */
  children: number;
}

/** An open file description. */
export interface FileView {
  /** the same for every descriptor of it */
  address: number;
  kind: FileKind;
  /** O_* bits; see flagsKnown */
  flags: number;
  /** others than the kernel's tasks have a hand in it */
  opaque: boolean;
  flagsKnown: boolean;
  /** what locks are taken on, 0: not known */
  inode: number;
  /** pipe, socket, epoll object behind it */
  object: number;
  /** the socket at the other end, 0: none */
  peer: number;
  /** expirations of a timerfd that nobody has read */
  ticks: number;
  terminal: TerminalView | undefined;
  socket: SocketView | undefined;
}

/** What an epoll file watches. */
export interface EpollItem {
  fd: number;
  events: number;
  data: bigint;
  file: FileView;
}

const KINDS: Readonly<Record<number, FileKind>> = {
  1: 'null',
  2: 'world',
  3: 'pipe',
  4: 'container',
  5: 'pidfd',
  6: 'supervisor',
  16: 'eventfd',
  17: 'timerfd',
  18: 'signalfd',
  19: 'inotify',
  20: 'epoll',
  21: 'socket',
  24: 'proc',
  25: 'nsfs',
  30: 'text',
  31: 'mqueue',
};
const FILE_OPAQUE = 1;
const FILE_FLAGS_UNKNOWN = 2;
const FILE_PTMX = 4;
const FD_BITS = 1;
const TTY_PAIR = 1;
const UPIDS = 40;

/** Name of a file.kind. */
export function kindOf(kind: number): FileKind {
  return KINDS[kind] ?? 'world';
}

export class FileViews {
  readonly #v: Views;
  readonly #k: Kernel;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#v = new Views(kernel);
  }

  /** The open file of a descriptor of `tid`. */
  file(tid: number, fd: number): FileView | undefined {
    this.#k.refresh();
    const task = this.#k.exports.task_ptr(tid) >>> 0;
    const files = task ? this.#v.word(this.#v.cold(task) + L.task_cold.files) : 0;
    if (!files || fd < 0 || fd >= this.#v.word(files + L.files_struct.max_fds)) return undefined;
    const slot = this.#v.word(this.#v.word(files + L.files_struct.fds) + fd * 4);
    return slot ? this.#at(slot & ~FD_BITS) : undefined;
  }

  #at(address: number): FileView {
    const kind = kindOf(this.#v.word(address + L.file.kind));
    const object = this.#v.word(address + L.file.private_data);
    const opaque = this.#v.word(address + L.file.opaque);
    return {
      address,
      kind,
      flags: this.#v.word(address + L.file.flags),
      opaque: (opaque & FILE_OPAQUE) !== 0 || this.#objectOpaque(kind, object),
      flagsKnown: (opaque & FILE_FLAGS_UNKNOWN) === 0,
      inode: this.#v.word(address + L.file.inode),
      object,
      peer: kind === 'socket' ? this.#v.word(object + L.sock.peer) : 0,
      ticks: kind === 'timerfd' ? this.#v.word(object + L.timerfd_ctx.ticks) : 0,
      terminal: kind === 'world' && object ? this.#terminal(object, address) : undefined,
      socket: kind === 'socket' ? this.#socket(object) : undefined,
    };
  }

  #socket(at: number): SocketView {
    const S = L.sock;
    const initial = this.#v.word(this.#v.root('init_nsproxy') + L.nsproxy.net_ns);
    const name = this.#v.word(at + S.addr);
    return {
      family: this.#v.word(at + S.family),
      type: this.#v.word(at + S.type),
      state: this.#v.word(at + S.state),
      initialNet: this.#v.word(at + S.net) === initial,
      named: name !== 0 || this.#v.word(at + S.num) !== 0,
      children: this.#v.word(at + S.nr_children),
      path: name !== 0 && this.#v.byte(name + L.unix_address.name0) !== 0,
    };
  }

  #terminal(at: number, file = 0): TerminalView {
    const T = L.tty_struct;
    const number = (pid: number): number => (pid ? this.#v.word(pid + UPIDS) : 0);
    const master = file !== 0 && (this.#v.word(file + L.file.opaque) & FILE_PTMX) !== 0;
    const opened = file ? this.#v.word(file + L.file.pos) : 0;
    return {
      address: at,
      master,
      hungUp: file !== 0 && !master && opened !== this.#v.word(at + T.hangups),
      index: this.#v.word(at + T.index) | 0,
      paired: (this.#v.word(at + T.flags) & TTY_PAIR) !== 0,
      session: number(this.#v.word(at + T.session)),
      pgrp: number(this.#v.word(at + T.pgrp)),
      tostop: (this.#v.word(at + T.c_lflag) & TOSTOP) !== 0,
    };
  }

  /** The controlling terminal of `tid`. */
  terminalOf(tid: number): TerminalView | undefined {
    this.#k.refresh();
    const task = this.#k.exports.task_ptr(tid) >>> 0;
    const signal = task ? this.#v.word(task + L.task_struct.signal) : 0;
    const tty = signal ? this.#v.word(signal + L.signal_struct.tty) : 0;
    return tty && !(tty & 1) ? this.#terminal(tty) : undefined;
  }

  #objectOpaque(kind: FileKind, object: number): boolean {
    if (kind === 'pipe') return this.#v.word(object + L.pipe_inode_info.opaque) !== 0;
    return kind === 'socket' && this.#v.word(object + L.sock.opaque) !== 0;
  }

  /** What an epoll file watches, in no particular order. */
  epollItems(ep: FileView): EpollItem[] {
    if (ep.kind !== 'epoll') return [];
    const head = ep.object + L.eventpoll.items_next;
    const items: EpollItem[] = [];
    for (let link = this.#v.word(head); link !== head; link = this.#v.word(link)) {
      const at = link - L.epitem.item_next;
      const data = at + L.epitem.data;
      items.push({
        fd: this.#v.word(at + L.epitem.fd) | 0,
        events: this.#v.word(at + L.epitem.events),
        data: (BigInt(this.#v.word(data + 4)) << 32n) | BigInt(this.#v.word(data)),
        file: this.#at(this.#v.word(at + L.epitem.file)),
      });
    }
    return items;
  }
}
