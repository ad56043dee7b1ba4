// A simple model of mounts: trees of objects, groups of peers by their number, every question
// answered by looking at all mounts there are. It shares nothing with the kernel but the errnos.
import * as E from '../../assembly/uapi/errno.ts';

/** Directories of every file system: their paths, the root is empty. */
export const DIRECTORIES = ['', '/a', '/b', '/a/a'] as const;

export interface Mount {
  fs: number;
  /** what of the file system it shows */
  root: string;
  parent: Mount | undefined;
  /** where in the parent's file system */
  at: string;
  /** number of its peer group, 0: none */
  group: number;
  /** number of the group that it receives from, 0: none */
  master: number;
  unbindable: boolean;
  ns: number;
}

export interface Place {
  mnt: Mount;
  dir: string;
}

/** A process: its root directory, which is also its working directory. */
export interface Process {
  root: Place;
}

export type Kind = 'shared' | 'slave' | 'private' | 'unbindable';

/** Number of the namespace that is there from the beginning. */
const INITIAL = 1;

const below = (dir: string, top: string): boolean => dir === top || dir.startsWith(`${top}/`);

export class MountsModel {
  readonly mounts = new Set<Mount>();
  readonly processes: Process[] = [];
  #groups = 0;
  #namespaces = 1;
  nextFs = 2;

  constructor(processes: number) {
    const made = { master: 0, group: 0, unbindable: false, ns: 1, root: '' };
    const rootfs: Mount = { ...made, fs: 0, parent: undefined, at: '' };
    const top: Mount = { ...made, fs: 1, parent: rootfs, at: '' };
    this.mounts.add(rootfs).add(top);
    for (let i = 0; i < processes; ++i) this.processes.push({ root: { mnt: top, dir: '' } });
  }

  #children(m: Mount): Mount[] {
    return [...this.mounts].filter((one) => one.parent === m);
  }

  #tree(top: Mount): Mount[] {
    return [top, ...this.#children(top).flatMap((child) => this.#tree(child))];
  }

  #mountedAt(mnt: Mount, dir: string): Mount | undefined {
    return this.#children(mnt).find((one) => one.at === dir);
  }

  #members(group: number): Mount[] {
    return group ? [...this.mounts].filter((one) => one.group === group) : [];
  }

  walk(p: Process, path: string): Place | undefined {
    let { mnt, dir } = p.root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      dir = `${dir}/${name}`;
      if (!(DIRECTORIES as readonly string[]).includes(dir)) return undefined;
      for (let on = this.#mountedAt(mnt, dir); on; on = this.#mountedAt(mnt, dir)) {
        mnt = on;
        dir = on.root;
      }
    }
    return { mnt, dir };
  }

  /** Every mount that is told of what happens at a place of `m`. */
  #receivers(m: Mount): Mount[] {
    const found: Mount[] = [];
    const visit = (group: number): void => {
      for (const one of this.#members(group)) if (one !== m) found.push(one);
      for (const slave of this.mounts) {
        if (slave.master !== group || group === 0) continue;
        if (slave.group && found.includes(slave)) continue;
        if (slave.group) visit(slave.group);
        else found.push(slave);
      }
    };
    if (m.group) visit(m.group);
    return [...new Set(found)];
  }

  #leaveGroup(m: Mount): void {
    const { group } = m;
    if (!group) return;
    m.group = 0;
    if (this.#members(group).length > 0) {
      m.master = group;
      return;
    }
    for (const one of this.mounts) if (one.master === group) one.master = m.master;
  }

  #change(m: Mount, kind: Kind): void {
    if (kind === 'shared') {
      m.unbindable = false;
      m.group ||= ++this.#groups;
      return;
    }
    this.#leaveGroup(m);
    if (kind === 'slave') return;
    m.master = 0;
    m.unbindable = kind === 'unbindable';
  }

  /** A copy of a tree as far as it lies below `dir`, without a place. */
  #copy(top: Mount, dir: string, all: boolean, ns: number): Map<Mount, Mount> {
    const copies = new Map<Mount, Mount>();
    const visit = (m: Mount, parent: Mount | undefined): void => {
      const made = { ...m, parent, ns, root: m === top ? dir : m.root };
      copies.set(m, made);
      for (const child of this.#children(m)) {
        if (m === top && !below(child.at, dir)) continue;
        if (!all && child.unbindable) continue;
        visit(child, made);
      }
    };
    visit(top, undefined);
    return copies;
  }

  /** Attaches a tree that is on no other, and shows it to whom the place propagates. */
  #attach(tree: Mount[], at: Place): void {
    const top = tree[0]!;
    const receivers = at.mnt.group ? this.#receivers(at.mnt) : [];
    if (at.mnt.group) for (const m of tree) this.#change(m, 'shared');
    const seen = receivers.filter((m) => below(at.dir, m.root));
    const made = this.#forReceivers(tree, at.mnt, seen);
    top.parent = at.mnt;
    top.at = at.dir;
    for (const m of tree) {
      m.ns = at.mnt.ns;
      this.mounts.add(m);
    }
    for (const [m, copies] of made) {
      const above = this.#mountedAt(m, at.dir);
      const first = copies.get(top)!;
      first.parent = m;
      first.at = at.dir;
      if (above) {
        above.parent = first;
        above.at = first.root;
      }
      for (const copy of copies.values()) this.mounts.add(Object.assign(copy, { ns: m.ns }));
    }
  }

  /** A copy of the tree for each receiver, in groups of its own for each group of receivers. */
  #forReceivers(tree: Mount[], dest: Mount, seen: Mount[]): Map<Mount, Map<Mount, Mount>> {
    const groups = new Map<number, Map<Mount, number>>();
    groups.set(dest.group, new Map(tree.map((m) => [m, m.group])));
    const mastersOf = (group: number): Map<Mount, number> => {
      const known = groups.get(group);
      if (known) return known;
      const members = this.#members(group);
      const above = mastersOf(members[0]!.master);
      if (!members.some((m) => seen.includes(m))) return above;
      const own = new Map(tree.map((m) => [m, ++this.#groups]));
      groups.set(group, own);
      return own;
    };
    const made = new Map<Mount, Map<Mount, Mount>>();
    for (const m of seen) {
      const peer = m.group === dest.group;
      const masters = peer ? undefined : mastersOf(m.master);
      const own = m.group ? mastersOf(m.group) : undefined;
      const copies = new Map<Mount, Mount>();
      for (const one of tree) {
        const parent = one.parent ? copies.get(one.parent) : undefined;
        const group = own?.get(one) ?? 0;
        const master = masters?.get(one) ?? one.master;
        copies.set(one, { ...one, parent, group, master, unbindable: false });
      }
      made.set(m, copies);
    }
    return made;
  }

  /** mount(2) of a new file system. */
  mountNew(p: Process, path: string): number {
    const at = this.walk(p, path);
    if (!at) return -E.ENOENT;
    const made = { group: 0, master: 0, unbindable: false, ns: at.mnt.ns, at: '' };
    this.#attach([{ ...made, fs: this.nextFs++, root: '', parent: undefined }], at);
    return 0;
  }

  bind(p: Process, from: string, to: string, recurse: boolean): number {
    const at = this.walk(p, to);
    const source = at && this.walk(p, from);
    if (!source) return -E.ENOENT;
    if (source.mnt.unbindable) return -E.EINVAL;
    const copies = this.#copy(source.mnt, source.dir, false, at.mnt.ns);
    const tree = recurse ? [...copies.values()] : [copies.get(source.mnt)!];
    this.#attach(tree, at);
    return 0;
  }

  change(p: Process, path: string, kind: Kind, recurse: boolean): number {
    const at = this.walk(p, path);
    if (!at) return -E.ENOENT;
    if (at.dir !== at.mnt.root) return -E.EINVAL;
    for (const m of recurse ? this.#tree(at.mnt) : [at.mnt]) this.#change(m, kind);
    return 0;
  }

  #inUse(m: Mount): boolean {
    return this.processes.some((p) => p.root.mnt === m);
  }

  #remove(m: Mount): void {
    this.#leaveGroup(m);
    this.mounts.delete(m);
  }

  /** umount2(2) without flags. */
  umount(p: Process, path: string): number {
    const at = this.walk(p, path);
    if (!at) return -E.ENOENT;
    const { mnt } = at;
    if (at.dir !== mnt.root) return -E.EINVAL;
    if (this.#children(mnt).length > 0 || this.#inUse(mnt)) return -E.EBUSY;
    const others = this.#receivers(mnt.parent!)
      .map((m) => this.#mountedAt(m, mnt.at))
      .filter((m) => m !== undefined);
    const going: [Mount, Mount | undefined][] = [];
    for (const other of others) {
      const on = this.#children(other);
      const topper = on.length === 1 && on[0]!.at === other.root ? on[0] : undefined;
      if (on.length > 0 && !topper) continue;
      if (this.#inUse(other)) return -E.EBUSY;
      going.push([other, topper]);
    }
    for (const [other, topper] of going) {
      if (topper) Object.assign(topper, { parent: other.parent, at: other.at });
      this.#remove(other);
    }
    this.#remove(mnt);
    return 0;
  }

  move(p: Process, from: string, to: string): number {
    const at = this.walk(p, to);
    const source = at && this.walk(p, from);
    if (!source) return -E.ENOENT;
    const { mnt } = source;
    if (source.dir !== mnt.root || !mnt.parent || mnt.parent.group) return -E.EINVAL;
    const tree = this.#tree(mnt);
    if (at.mnt.group && tree.some((m) => m.unbindable)) return -E.EINVAL;
    if (tree.includes(at.mnt)) return -E.ELOOP;
    mnt.parent = undefined;
    this.#attach(tree, at);
    return 0;
  }

  /** Is the place below the other one, in its mount or in what is mounted there? */
  #reachable(place: Place, top: Place): boolean {
    let { mnt, dir } = place;
    while (mnt !== top.mnt && mnt.parent) {
      dir = mnt.at;
      mnt = mnt.parent;
    }
    return mnt === top.mnt && below(dir, top.dir);
  }

  pivot(p: Process, to: string, put: string): number {
    const next = this.walk(p, to);
    const old = next && this.walk(p, put);
    if (!old) return -E.ENOENT;
    const { root } = p;
    const top = root.mnt;
    if (old.mnt.group || next.mnt.parent?.group || top.parent?.group) return -E.EINVAL;
    if (next.mnt === top || old.mnt === top) return -E.EBUSY;
    if (root.dir !== top.root || next.dir !== next.mnt.root) return -E.EINVAL;
    if (!top.parent || !next.mnt.parent) return -E.EINVAL;
    if (!this.#reachable(old, next) || !this.#reachable(next, root)) return -E.EINVAL;
    const { parent, at } = top;
    Object.assign(top, { parent: old.mnt, at: old.dir });
    Object.assign(next.mnt, { parent, at });
    for (const one of this.processes) {
      if (one.root.mnt === top && one.root.dir === root.dir) one.root = { ...next };
    }
    return 0;
  }

  /** unshare(2) of the mounts. */
  unshare(p: Process): number {
    const ns = ++this.#namespaces;
    let first = p.root.mnt;
    while (first.parent) first = first.parent;
    const copies = this.#copy(first, first.root, true, ns);
    for (const copy of copies.values()) this.mounts.add(copy);
    // a namespace that nobody is in any more goes, but for the first one
    p.root = { mnt: copies.get(p.root.mnt)!, dir: p.root.dir };
    const left = this.processes.some((one) => one.root.mnt.ns === first.ns);
    if (!left && first.ns !== INITIAL) for (const m of [...copies.keys()]) this.#remove(m);
    return 0;
  }
}
