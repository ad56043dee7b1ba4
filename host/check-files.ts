// The invariant checker's part about open files: pipes, sockets and what travels between them,
// epoll items on all their lists, timers, watches, locks.
import { layout as L } from './generated/layout.ts';
import type { Ends } from './check-tty.ts';
import { SockChecker } from './check-net.ts';
import type { VfsChecker } from './check-vfs.ts';
import type { Counts } from './counts.ts';

/** What the checker lends to its parts. */
export interface CheckContext {
  /** where files are that have a place in a file system of the kernel's */
  readonly vfs: VfsChecker;
  word(at: number): number;
  say(text: string): void;
  /** counts a reference; true for the first one to that object */
  ref(kind: 'file' | 'pid' | 'container', at: number): boolean;
  /** an object that is known without a reference; true for the first time */
  see(kind: 'file', at: number): boolean;
  /** entries of a list, checked both ways */
  list(head: number, what: string): Generator<number>;
  /** address of a field of the root */
  rootAt(field: keyof typeof L.kernel_root): number;
}

const WORLD = 2;
const PIPE = 3;
const CONTAINER = 4;
const PIDFD = 5;
const SUPERVISOR = 6;
const TIMERFD = 17;
const INOTIFY = 19;
const EPOLL = 20;
const SOCKET = 21;
const PROC = 24;
const NSFS = 25;
const PROC_TEXT = 30;
const MQUEUE = 31;
const VFS = 26;
const FSCONTEXT = 27;
const ACCMODE = 3;
/** file.opaque: the master's end */
const PTMX = 4;
const RDONLY = 0;
const WRONLY = 1;
const SLOT_LEN = 0x1fff;

export class FileChecker {
  readonly #c: CheckContext;
  /** files in the order in which they were found */
  readonly #files: number[] = [];
  readonly containers = new Map<number, number>();
  readonly supervisors = new Set<number>();
  /** what files of /proc and of namespaces stand for, once for each file */
  readonly procFiles: number[] = [];
  readonly nsFiles: number[] = [];
  readonly procTexts: number[] = [];
  /** open ends of terminals */
  readonly terminals = new Map<number, Ends>();
  readonly #pipes = new Map<number, { readers: number; writers: number }>();
  readonly net: SockChecker;
  /** what sockets refer to, once for each reference */
  readonly netNamespaces: number[] = [];
  readonly peerGroups: number[] = [];
  readonly #epolls: number[] = [];
  readonly #queues = new Set<number>();
  readonly #items = new Set<number>();
  readonly #inodes = new Map<number, number>();
  #timers = 0;
  #fasyncs = 0;
  #inotifies = 0;
  #watches = 0;
  #locks = 0;

  constructor(context: CheckContext) {
    this.#c = context;
    this.net = new SockChecker(context, {
      file: (at) => this.file(at),
      namespace: (at) => this.netNamespaces.push(at),
      groups: (at) => this.peerGroups.push(at),
    });
  }

  /** A reference to a file: what it stands for is looked at once. */
  file(at: number): void {
    const seen = !this.#c.see('file', at);
    this.#c.ref('file', at);
    if (!seen) this.#files.push(at);
  }

  /** Follows everything that was found, and compares it with what the caches hold. */
  run(counts: Counts): void {
    // what only messages in each other's queues refer to waits for the collector
    for (const link of this.#c.list(this.#c.rootAt('inflight_next'), 'sockets in flight')) {
      const file = this.#c.word(link - L.sock.inflight_next + L.sock.file);
      if (this.#c.see('file', file)) this.#files.push(file);
    }
    // messages may hold files that nothing else does: the list grows while it is read
    for (let i = 0; i < this.#files.length; ++i) this.#kind(this.#files[i]!);
    for (const file of this.#files) this.#afterwards(file);
    this.#checkPipes();
    this.net.finish(counts);
    this.#checkItems();
    this.#checkInodes();
    const inflight = [...this.net.inflight.values()].reduce((sum, n) => sum + n, 0);
    if (inflight !== this.#c.word(this.#c.rootAt('nr_inflight'))) this.#c.say('files in flight');
    if (this.#fasyncs !== this.#c.word(this.#c.rootAt('nr_fasync'))) this.#c.say('O_ASYNC places');
    const live: [string, number, number][] = [
      ['pipes', counts.pipes, this.#pipes.size],
      ['epolls', counts.epolls, this.#epolls.length],
      ['epoll items', counts.epollItems, this.#items.size],
      ['inodes', counts.inodes, this.#inodes.size],
      ['file locks', counts.fileLocks, this.#locks],
      ['timerfds', counts.timerfds, this.#timers],
      ['inotifies', counts.inotifies, this.#inotifies],
      ['watches', counts.watches, this.#watches],
    ];
    for (const [what, have, found] of live) {
      if (have !== found) this.#c.say(`${what}: ${have} live, ${found} reachable`);
    }
  }

  #kind(file: number): void {
    const c = this.#c;
    const data = c.word(file + L.file.private_data);
    const inode = c.word(file + L.file.inode);
    this.#owner(c.word(file + L.file.f_owner));
    if (inode) this.#inodes.set(inode, (this.#inodes.get(inode) ?? 0) + 1);
    switch (c.word(file + L.file.kind)) {
      case WORLD: {
        if (!data) break;
        const ends = this.terminals.get(data) ?? { slaves: 0, masters: 0 };
        if (c.word(file + L.file.opaque) & PTMX) ends.masters += 1;
        else ends.slaves += 1;
        this.terminals.set(data, ends);
        break;
      }
      case PIPE: {
        const ends = this.#pipes.get(data) ?? { readers: 0, writers: 0 };
        const access = c.word(file + L.file.flags) & ACCMODE;
        if (access !== WRONLY) ends.readers += 1;
        if (access !== RDONLY) ends.writers += 1;
        this.#pipes.set(data, ends);
        const place = c.word(file + L.file.pos);
        if (place) c.vfs.file(place);
        break;
      }
      case MQUEUE:
        c.vfs.file(data);
        this.#queue(data);
        break;
      case VFS:
        this.#place(data);
        break;
      case FSCONTEXT:
        c.vfs.context(data);
        break;
      case CONTAINER:
        c.ref('container', data);
        this.containers.set(data, (this.containers.get(data) ?? 0) + 1);
        break;
      case PIDFD:
        c.ref('pid', data);
        break;
      case SUPERVISOR:
        this.supervisors.add(data);
        break;
      case PROC:
        this.procFiles.push(data);
        break;
      case NSFS:
        this.nsFiles.push(data);
        break;
      case PROC_TEXT:
        this.procTexts.push(data);
        break;
      case TIMERFD:
        this.#timers += 1;
        break;
      case INOTIFY:
        this.#inotify(data);
        break;
      case EPOLL:
        this.#epolls.push(data);
        break;
      case SOCKET:
        this.net.open(data, file);
        break;
      default:
        break;
    }
  }

  /** Who is told of a file, and where the file stands to hear of events. */
  #owner(fown: number): void {
    if (!fown) return;
    const c = this.#c;
    const who = c.word(fown + L.fown_struct.pid);
    if (who) c.ref('pid', who);
    let fa = c.word(fown + L.fown_struct.fasync);
    for (; fa; fa = c.word(fa + L.fasync_struct.next)) {
      this.#fasyncs += 1;
      if (c.word(fa + L.fasync_struct.fown) !== fown) c.say("a file's place is another's");
      if (c.word(c.word(fa) + 4) !== fa) c.say('a file with O_ASYNC is on no queue');
    }
  }

  /** A file of the kernel's file systems, and what proc keeps there. */
  #place(at: number): void {
    this.#c.vfs.file(at);
    const kind = this.#c.word(at + L.vfs_file.kind);
    if (kind === PROC) this.procFiles.push(this.#c.word(at + L.vfs_file.data));
    if (kind === PROC_TEXT) this.procTexts.push(this.#c.word(at + L.vfs_file.data));
  }

  /** Who is to be told of a message has the queue open. */
  #queue(place: number): void {
    const Q = L.mqueue_inode_info;
    const inode = this.#c.word(this.#c.word(place + L.vfs_file.dentry) + L.dentry.inode);
    const queue = this.#c.word(inode + L.vfs_inode.mq);
    if (this.#queues.has(queue)) return;
    this.#queues.add(queue);
    const told = this.#c.word(queue + Q.notify);
    if (!told) return;
    this.#c.ref('pid', told);
    this.netNamespaces.push(this.#c.word(queue + Q.notify_ns));
    const sock = this.#c.word(queue + Q.notify_sock);
    if (sock) this.file(sock);
  }

  #inotify(device: number): void {
    this.#inotifies += 1;
    for (
      let at = this.#c.word(device + L.inotify_device.watches);
      at;
      at = this.#c.word(at + L.watch.next)
    ) {
      this.#watches += 1;
      const inode = this.#c.word(at + L.watch.inode);
      if (inode) this.#inodes.set(inode, (this.#inodes.get(inode) ?? 0) + 1);
    }
  }

  /** What can only be said when all messages are known. */
  #afterwards(file: number): void {
    const c = this.#c;
    const inflight = this.net.inflight.get(file) ?? 0;
    if (c.word(file + L.file.inflight) !== inflight) c.say('a file counts its flights wrong');
    for (let at = c.word(file + L.file.items); at; at = c.word(at + L.epitem.file_next)) {
      if (c.word(at + L.epitem.file) !== file) c.say('an epoll item is of another file');
      this.#items.add(at);
    }
    if (c.word(file + L.file.kind) !== TIMERFD) return;
    const timer = c.word(file + L.file.private_data);
    const link = timer + L.timerfd_ctx.link_next;
    const armed = c.word(timer) !== 0 || c.word(timer + 4) !== 0;
    if (armed !== (c.word(link) !== link)) c.say('a timer is armed and not listed, or not armed');
  }

  #checkPipes(): void {
    const c = this.#c;
    const P = L.pipe_inode_info;
    for (const [pipe, ends] of this.#pipes) {
      if (c.word(pipe + P.readers) !== ends.readers) c.say('readers of a pipe');
      if (c.word(pipe + P.writers) !== ends.writers) c.say('writers of a pipe');
      const size = c.word(pipe + P.ring_size);
      const tail = c.word(pipe + P.tail);
      const used = (c.word(pipe + P.head) - tail) >>> 0;
      if (used > size) c.say('a pipe holds more than its ring');
      let bytes = 0;
      for (let i = 0; i < Math.min(used, size); ++i) {
        const slot = c.word(c.word(pipe + P.slots) + ((tail + i) & (size - 1)) * 4) & SLOT_LEN;
        if (slot === 0) c.say('a pipe has an empty slot');
        bytes += slot;
      }
      if (bytes !== c.word(pipe + P.bytes)) c.say('a pipe counts its bytes wrong');
    }
  }

  #checkItems(): void {
    const c = this.#c;
    const E = L.epitem;
    let found = 0;
    for (const ep of this.#epolls) {
      for (const link of c.list(ep + L.eventpoll.items_next, 'epoll items')) {
        const item = link - E.item_next;
        found += 1;
        if (!this.#items.has(item)) c.say('an epoll item watches no open file');
        if (c.word(item + E.ep) !== ep) c.say('an epoll item belongs to another');
        for (const field of [E.link_next, E.rdl_next] as const) {
          const next = c.word(item + field);
          if (c.word(next + 4) !== item + field) c.say('an epoll item is on a broken list');
        }
      }
      for (const link of c.list(ep + L.eventpoll.rdl_next, 'ready list')) {
        if (!this.#items.has(link - E.rdl_next)) c.say('the ready list has something unknown');
      }
    }
    if (found !== this.#items.size) c.say(`${found} epoll items listed, ${this.#items.size} found`);
  }

  #checkInodes(): void {
    const c = this.#c;
    const listed = new Set<number>();
    for (let at = c.word(c.rootAt('inodes')); at; at = c.word(at + L.inode.next)) {
      listed.add(at);
      if (c.word(at) !== (this.#inodes.get(at) ?? 0)) c.say('references to an inode');
      for (const list of [L.inode.posix, L.inode.flock] as const) {
        for (let lock = c.word(at + list); lock; lock = c.word(lock + L.file_lock.next)) {
          this.#locks += 1;
          const pid = c.word(lock + L.file_lock.pid);
          if (pid) c.ref('pid', pid);
        }
      }
    }
    for (const inode of this.#inodes.keys())
      if (!listed.has(inode)) c.say('an inode is not listed');
  }
}
