// Typed readers over System V objects: semaphore sets, message queues, shared memory, by namespace.
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';
import { Views } from './views.ts';

/** Kinds, and their order in a namespace. */
export const IPC_KINDS = ['sem', 'msg', 'shm'] as const;
export type IpcKind = (typeof IPC_KINDS)[number];

export interface IpcObject {
  address: number;
  kind: IpcKind;
  id: number;
  key: number;
}

/** The objects of the namespace at `ns`. */
export function ipcObjectsOf(views: Views, ns: number): IpcObject[] {
  const state = views.word(ns + L.ipc_namespace.state);
  const found: IpcObject[] = [];
  for (const [i, kind] of state ? IPC_KINDS.entries() : []) {
    const ids = state + i * L.ipc_ids.size;
    const entries = views.word(ids + L.ipc_ids.entries);
    const len = views.word(ids + L.ipc_ids.len);
    for (let j = 0; j < len; ++j) {
      const address = views.word(entries + j * 4);
      if (!address) continue;
      const id = views.word(address + L.kern_ipc_perm.id) | 0;
      found.push({ address, kind, id, key: views.word(address + L.kern_ipc_perm.key) | 0 });
    }
  }
  return found;
}

/** The ipc namespace of task `tid`, 0: none; `initial`: the one that others may be in, too. */
function namespaceOf(kernel: Kernel, tid: number): { views: Views; ns: number; initial: boolean } {
  kernel.refresh();
  const views = new Views(kernel);
  const task = kernel.exports.task_ptr(tid) >>> 0;
  const proxy = task ? views.word(views.cold(task) + L.task_cold.nsproxy) : 0;
  const ns = proxy ? views.word(proxy + L.nsproxy.ipc_ns) : 0;
  const first = views.word(views.root('init_nsproxy') + L.nsproxy.ipc_ns);
  return { views, ns, initial: ns === first };
}

/** What the task `tid` can name; `initial`: in the namespace that others may be in, too. */
export function ipcOf(kernel: Kernel, tid: number): { initial: boolean; objects: IpcObject[] } {
  const { views, ns, initial } = namespaceOf(kernel, tid);
  return { initial, objects: ns ? ipcObjectsOf(views, ns) : [] };
}

/** Has the process of `tid` a segment, or part of one, whose beginning is or would be there? */
export function isAttached(kernel: Kernel, tid: number, addr: bigint): boolean {
  kernel.refresh();
  const views = new Views(kernel);
  const task = kernel.exports.task_ptr(tid) >>> 0;
  const owner = task ? views.word(task + L.task_struct.signal) : 0;
  const A = L.shm_attach;
  for (let at = views.root('shm_attaches'); at; at = views.word(at + A.next)) {
    if (views.word(at + A.owner) === owner && views.wide(at + A.addr) === addr) return true;
  }
  return false;
}

/** Names of the POSIX message queues that task `tid` can open; `initial`: as with ipcOf. */
export function queuesOf(kernel: Kernel, tid: number): { initial: boolean; names: string[] } {
  const { views, ns, initial } = namespaceOf(kernel, tid);
  const own = ns ? views.word(ns + L.ipc_namespace.mq) : 0;
  if (!own) return { initial, names: [] };
  const top = views.word(views.word(own + L.mq_namespace.mnt) + L.mount.root);
  const head = views.word(top + L.dentry.inode) + L.vfs_inode.child_next;
  const names: string[] = [];
  for (let link = views.word(head); link !== head; link = views.word(link)) {
    const dentry = link - L.dentry.child_next;
    const at = views.word(dentry + L.dentry.name);
    const bytes: number[] = [];
    for (let i = 0; i < views.word(dentry + L.dentry.len); ++i) bytes.push(views.byte(at + i));
    names.push(String.fromCharCode(...bytes));
  }
  return { initial, names };
}
