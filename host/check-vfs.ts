// The invariant checker's part about file systems in memory: every name is in its directory, every
// inode has as many names as it counts, every reference to a dentry or mount is somebody's.
import type { Counts } from './counts.ts';
import { layout as L } from './generated/layout.ts';

/** What the checker lends to its parts. */
export interface VfsContext {
  word(at: number): number;
  say(text: string): void;
  ref(kind: 'namespace' | 'pid' | 'container', at: number): void;
  list(head: number, what: string): Generator<number>;
  /** a POSIX message queue */
  queue(at: number): void;
}

const NEWNS = 0x20000;
const NEWIPC = 0x08000000;
const S_IFMT = 0xf000;
const S_IFDIR = 0x4000;
const S_IFREG = 0x8000;
const MNT_SHARED = 0x1000;
const MNT_UMOUNT = 0x8000000;
const LOG_LINES = 8;
/** A chain longer than this does not end. */
const CHAIN_MAX = 1_000_000;

class Counter extends Map<number, number> {
  add(at: number, n = 1): number {
    const now = (this.get(at) ?? 0) + n;
    this.set(at, now);
    return now;
  }
}

export class VfsChecker {
  readonly #c: VfsContext;
  readonly #dentries = new Counter();
  readonly #inodes = new Counter();
  readonly #mounts = new Counter();
  readonly #supers = new Counter();
  /** names of an inode that is no directory; directories in a directory */
  readonly #names = new Counter();
  readonly #dirs = new Counter();
  readonly #seen = new Set<number>();
  readonly #perSuper = new Counter();
  /** open files that may be written, of a mount and of its file system */
  readonly #writers = new Counter();
  #contexts = 0;
  /** ipc namespaces with queues of POSIX */
  queueSpaces = 0;

  constructor(context: VfsContext) {
    this.#c = context;
  }

  #word(at: number): number {
    return this.#c.word(at);
  }

  /** A path that somebody keeps: the address of a mount and of a dentry. */
  path(mnt: number, dentry: number): void {
    if (!mnt) return;
    this.mount(mnt);
    this.#dentry(dentry);
  }

  /** A struct vfs_file. */
  file(at: number): void {
    const mnt = this.#word(at + L.vfs_file.mnt);
    this.path(mnt, this.#word(at + L.vfs_file.dentry));
    if (!this.#word(at + L.vfs_file.writer)) return;
    this.#writers.add(mnt);
    this.#writers.add(this.#word(mnt + L.mount.sb));
  }

  /** A struct fs_context. */
  context(at: number): void {
    const C = L.fs_context;
    this.#contexts += 1;
    const sb = this.#word(at + C.sb);
    if (sb) this.#supers.add(sb);
    this.#c.ref('namespace', this.#word(at + C.user_ns));
    this.#c.ref('namespace', this.#word(at + C.shown));
    this.#c.ref('container', this.#word(at + C.container));
    const lines = this.#word(at + C.log_head) - this.#word(at + C.log_tail);
    if (lines < 0 || lines > LOG_LINES) this.#c.say('the log of a context has lines too many');
  }

  /** Root and working directory. */
  fs(at: number): void {
    const F = L.fs_struct;
    this.path(this.#word(at + F.root_mnt), this.#word(at + F.root));
    this.path(this.#word(at + F.pwd_mnt), this.#word(at + F.pwd));
  }

  container(at: number): void {
    this.path(this.#word(at + L.container.root_mnt), this.#word(at + L.container.root));
  }

  /** A namespace: if it is one of mounts, everything in it. */
  namespace(at: number): void {
    const type = this.#word(at + L.ns_common.type);
    const queues = type === NEWIPC ? this.#word(at + L.ipc_namespace.mq) : 0;
    if (queues) {
      this.queueSpaces += 1;
      this.mount(this.#word(queues + L.mq_namespace.mnt));
    }
    if (type !== NEWNS) return;
    const N = L.mnt_namespace;
    const top = this.#word(at + N.root);
    if (!top) return;
    let n = 0;
    for (const link of this.#c.list(at + N.mounts_next, 'mounts of a namespace')) {
      const mnt = link - L.mount.ns_next;
      n += 1;
      this.mount(mnt);
      if (this.#word(mnt + L.mount.ns) !== at) this.#c.say('a mount is in another namespace');
    }
    if (n !== this.#word(at + N.nr_mounts)) this.#c.say(`${n} mounts in a namespace, counted not`);
  }

  /** A reference to a mount; what one that is met first refers to follows. */
  mount(first: number): void {
    const M = L.mount;
    this.#mounts.add(first);
    const queue = [first];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      if (this.#seen.has(at)) continue;
      this.#seen.add(at);
      this.#dentry(this.#word(at + M.root));
      this.#supers.add(this.#word(at + M.sb));
      this.#home(at);
      const parent = this.#word(at + M.parent);
      if (parent !== at) {
        const out = !this.#word(at + M.ns);
        // a locked mount goes with its parent, which it does not hold
        const connected = out && (this.#word(at + M.flags) & MNT_UMOUNT) !== 0;
        this.#mounts.add(parent, connected ? 0 : 1);
        queue.push(parent);
        this.#mountpoint(at, this.#word(at + M.mountpoint));
        if (out) this.#mounts.add(at);
      }
      for (const link of this.#c.list(at + M.mounts_next, 'mounts on a mount')) {
        const child = link - M.child_next;
        if (this.#word(child + M.parent) !== at) this.#c.say('a mount on another than its parent');
        queue.push(child);
      }
      this.#propagation(at);
    }
  }

  /** An anonymous namespace is held by the tree that it holds, and by nothing else. */
  #home(at: number): void {
    const N = L.mnt_namespace;
    const ns = this.#word(at + L.mount.ns);
    if (!ns || !this.#word(ns + N.anon)) return;
    const root = this.#word(ns + N.root);
    if (root === at) this.#c.ref('namespace', ns);
    if (root === at && this.#word(at + L.mount.parent) !== at) {
      this.#c.say('a tree that is attached has an anonymous namespace');
    }
    if (!root) this.#c.say('an anonymous namespace has no root');
  }

  #mountpoint(mnt: number, dentry: number): void {
    this.#dentry(dentry);
    let at = this.#word(dentry + L.dentry.mounts);
    for (let n = 0; at && at !== mnt && n < CHAIN_MAX; ++n) at = this.#word(at + L.mount.mp_next);
    if (!at) this.#c.say('a mount is not on its mountpoint');
  }

  #propagation(at: number): void {
    const M = L.mount;
    const group = this.#word(at + M.group);
    const shared = (this.#word(at + M.flags) & MNT_SHARED) !== 0;
    if (shared !== (group !== 0)) this.#c.say('a shared mount has no group, or another one has');
    for (const link of this.#c.list(at + M.share_next, 'peers of a mount')) {
      if (this.#word(link - M.share_next + M.group) !== group) this.#c.say('peers of two groups');
    }
    for (const link of this.#c.list(at + M.slaves_next, 'slaves of a mount')) {
      if (this.#word(link - M.slave_next + M.master) !== at) this.#c.say('a slave of another');
    }
    const slave = this.#word(at + M.slave_next) !== at + M.slave_next;
    if (slave !== (this.#word(at + M.master) !== 0)) this.#c.say('a slave without a master');
  }

  /** A reference to a dentry. */
  #dentry(first: number): void {
    const D = L.dentry;
    this.#dentries.add(first);
    let at = first;
    while (!this.#seen.has(at)) {
      this.#seen.add(at);
      const inode = this.#word(at + D.inode);
      this.#inode(inode);
      const hashed = this.#word(at + D.hashed) !== 0;
      const parent = this.#word(at + D.parent);
      if (hashed) {
        this.#dentries.add(at);
        this.#inDirectory(at, this.#word(parent + D.inode));
        const dir = (this.#word(inode + L.vfs_inode.mode) & S_IFMT) === S_IFDIR;
        if (dir) this.#dirs.add(this.#word(parent + D.inode));
        else this.#names.add(inode);
      }
      if (parent === at) break;
      this.#dentries.add(parent);
      at = parent;
    }
  }

  #inDirectory(dentry: number, dir: number): void {
    const I = L.vfs_inode;
    const cap = this.#word(dir + I.cap);
    const bucket = this.#word(dentry + L.dentry.hash) & (cap - 1);
    let at = cap ? this.#word(this.#word(dir + I.data) + bucket * 4) : 0;
    for (let n = 0; at && at !== dentry && n < CHAIN_MAX; ++n) {
      at = this.#word(at + L.dentry.chain);
    }
    if (!at) this.#c.say('a name is not in the hash of its directory');
  }

  #inode(at: number): void {
    if (this.#inodes.add(at) > 1) return;
    const I = L.vfs_inode;
    const type = this.#word(at + I.mode) & S_IFMT;
    const sb = this.#word(at + I.sb);
    this.#perSuper.add(sb);
    if (type === S_IFREG) this.#pages(at, sb);
    this.#attributes(at, sb);
    const queue = this.#word(at + I.mq);
    if (queue) this.#c.queue(queue);
    const proc = this.#word(at + I.proc);
    const pid = proc ? this.#word(proc + L.proc_inode.pid) : 0;
    if (pid) this.#c.ref('pid', pid);
    if (type !== S_IFDIR) return;
    let n = 0;
    for (const link of this.#c.list(at + I.child_next, 'names of a directory')) {
      n += 1;
      const child = link - L.dentry.child_next;
      if (this.#word(this.#word(child + L.dentry.parent) + L.dentry.inode) !== at) {
        this.#c.say('a name in another directory than its own');
      }
    }
    if (n !== this.#word(at + I.nr_children)) this.#c.say('a directory counts its names wrong');
  }

  /** Extended attributes stand in order, and are counted. */
  #attributes(inode: number, sb: number): void {
    let bytes = 0;
    for (let x = this.#word(inode + L.vfs_inode.xattrs); x; x = this.#word(x + L.xattr.next)) {
      bytes += L.xattr.size + this.#word(x + L.xattr.name_len) + this.#word(x + L.xattr.value_len);
    }
    this.#perSuper.add(sb + 2, bytes);
  }

  #pages(inode: number, sb: number): void {
    const I = L.vfs_inode;
    let pages = 0;
    for (let i = 0; i < this.#word(inode + I.cap); ++i) {
      if (this.#word(this.#word(inode + I.data) + i * 4)) pages += 1;
    }
    if (pages !== this.#word(inode + I.nr_pages)) this.#c.say('a file counts its pages wrong');
    this.#perSuper.add(sb + 1, pages);
  }

  /** All names below the root of a file system. */
  #tree(root: number): void {
    const queue = [root];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      const inode = this.#word(at + L.dentry.inode);
      if ((this.#word(inode + L.vfs_inode.mode) & S_IFMT) !== S_IFDIR) continue;
      for (const link of this.#c.list(inode + L.vfs_inode.child_next, 'names of a directory')) {
        const child = link - L.dentry.child_next;
        this.#dentry(child);
        // the reference that it has from its place is counted where it is met first
        this.#dentries.add(child, -1);
        queue.push(child);
      }
    }
  }

  /** Compares what was found with what is counted, when all paths are known. */
  run(counts: Counts, first: number): void {
    const B = L.super_block;
    const supers: number[] = [];
    for (let sb = first; sb; sb = this.#word(sb + B.next)) {
      supers.push(sb);
      this.#c.ref('namespace', this.#word(sb + B.user_ns));
      const shown = this.#word(sb + B.fs_info);
      if (shown) this.#c.ref('namespace', shown);
      const top = this.#word(sb + B.root);
      this.#dentry(top);
      this.#tree(top);
    }
    this.#compare(this.#dentries, 'dentry');
    this.#compare(this.#inodes, 'inode');
    this.#compare(this.#mounts, 'mount');
    for (const at of this.#mounts.keys()) {
      if (this.#word(at + L.mount.writers) !== (this.#writers.get(at) ?? 0)) {
        this.#c.say('a mount counts its writers wrong');
      }
    }
    for (const sb of supers) {
      if (this.#word(sb + B.writers) !== (this.#writers.get(sb) ?? 0)) {
        this.#c.say('a file system counts its writers wrong');
      }
      const active = this.#word(sb + B.active);
      if (active !== (this.#supers.get(sb) ?? 0)) this.#c.say(`file system: ${active} active`);
      if (this.#word(sb + B.nr_inodes) !== (this.#perSuper.get(sb) ?? 0)) {
        this.#c.say('a file system counts its inodes wrong');
      }
      if (this.#word(sb + B.xattr_bytes) !== (this.#perSuper.get(sb + 2) ?? 0)) {
        this.#c.say('a file system counts its attributes wrong');
      }
      if (this.#word(sb + B.nr_pages) !== (this.#perSuper.get(sb + 1) ?? 0)) {
        this.#c.say('a file system counts its pages wrong');
      }
    }
    this.#links();
    const live: [string, number, number][] = [
      ['dentries', counts.dentries, this.#dentries.size],
      ['vfs inodes', counts.vfsInodes, this.#inodes.size],
      ['mounts', counts.mounts, this.#mounts.size],
      ['contexts', counts.fsContexts, this.#contexts],
    ];
    for (const [what, have, found] of live) {
      if (have !== found) this.#c.say(`${what}: ${have} live, ${found} reachable`);
    }
  }

  #compare(found: Counter, what: string): void {
    for (const [at, n] of found) {
      const counted = this.#word(at) | 0;
      if (counted !== n)
        this.#c.say(`${what} at ${at.toString(16)}: ${counted} counted, ${n} found`);
    }
  }

  /** An inode has as many names as it says; a directory two more than directories in it. */
  #links(): void {
    const I = L.vfs_inode;
    for (const at of this.#inodes.keys()) {
      const dir = (this.#word(at + I.mode) & S_IFMT) === S_IFDIR;
      const nlink = this.#word(at + I.nlink);
      const want = dir ? 2 + (this.#dirs.get(at) ?? 0) : (this.#names.get(at) ?? 0);
      const dead = dir && nlink === 0;
      if (nlink !== want && !dead) this.#c.say(`an inode counts ${nlink} names and has ${want}`);
    }
  }
}
