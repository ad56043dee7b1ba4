// The invariant checker's part about System V objects: their places, who is remembered by them,
// what is attached and what is to be undone.
import { layout as L } from './generated/layout.ts';
import { ipcObjectsOf } from './ipc-views.ts';
import type { Views } from './views.ts';

export interface IpcContext {
  views: Views;
  say(text: string): void;
  /** counts a reference to a struct pid */
  pid(at: number): void;
  /** counts a reference to a namespace */
  namespace(at: number): void;
  /** proxies that were found: whose namespaces hold objects */
  proxies: Iterable<number>;
  /** namespaces that are held by open files */
  files: Iterable<number>;
  list(head: number, what: string): Iterable<number>;
}

const NEWIPC = 0x08000000;
const SEQ_SHIFT = 15;
const INDEX = 0x7fff;
const SEM_BYTES = 8;

/** Follows every object from the namespaces, and the chains of undo lists and attachments. */
export function checkIpc(c: IpcContext): number {
  const { views } = c;
  const found = { objects: 0, messages: 0, undos: 0, attaches: 0 };
  const spaces = new Set<number>();
  for (const proxy of c.proxies) spaces.add(views.word(proxy + L.nsproxy.ipc_ns));
  for (const at of c.files) if (views.word(at + L.ns_common.type) === NEWIPC) spaces.add(at);
  const attached = new Map<number, number>();
  const A = L.shm_attach;
  for (let at = views.root('shm_attaches'); at; at = views.word(at + A.next)) {
    found.attaches += 1;
    const shp = views.word(at + A.shp);
    attached.set(shp, (attached.get(shp) ?? 0) + 1);
    const ns = views.word(shp + L.shmid_kernel.ns);
    c.namespace(ns);
    spaces.add(ns);
  }
  const sets = new Set<number>();
  for (const ns of spaces) {
    const state = views.word(ns + L.ipc_namespace.state);
    const objects = ipcObjectsOf(views, ns);
    found.objects += objects.length;
    for (const [i, kind] of ['sem', 'msg', 'shm'].entries()) {
      const count = objects.filter((one) => one.kind === kind).length;
      const used = state ? views.word(state + i * L.ipc_ids.size + L.ipc_ids.in_use) : 0;
      if (used !== count) c.say(`${kind}: ${used} in use, ${count} found`);
    }
    for (const { address, kind, id } of objects) {
      const entries = views.word(
        state + ['sem', 'msg', 'shm'].indexOf(kind) * L.ipc_ids.size + L.ipc_ids.entries,
      );
      if (views.word(entries + (id & INDEX) * 4) !== address) c.say(`${kind} ${id}: wrong place`);
      if (id >> SEQ_SHIFT < 0) c.say(`${kind} ${id}: its number is negative`);
      if (kind === 'sem') {
        sets.add(address);
        checkSet(c, address);
      } else if (kind === 'msg') found.messages += checkQueue(c, address);
      else checkSegment(c, address, attached.get(address) ?? 0);
    }
  }
  for (let at = views.root('sem_undos'); at; at = views.word(at + L.sem_undo.next)) {
    found.undos += 1;
    if (!sets.has(views.word(at + L.sem_undo.sma))) c.say('an undo list of no set');
  }
  return found.objects + found.messages + found.undos + found.attaches;
}

/** A POSIX message queue. Return: how many messages are in it. */
export function checkMqueue({ views, say, list }: Omit<IpcContext, Unused>, at: number): number {
  const Q = L.mqueue_inode_info;
  let count = 0;
  let bytes = 0;
  let last = 0x7fff_ffff;
  for (let m = views.word(at + Q.head); m; m = views.word(m + L.msg_msg.next)) {
    count += 1;
    bytes += views.word(m + L.msg_msg.len);
    const priority = views.word(m + L.msg_msg.type);
    if (priority > last) say('a message queue: out of order');
    last = priority;
    const end = views.word(m + L.msg_msg.next) === 0;
    if (end && views.word(at + Q.tail) !== m) say('a message queue: its tail is another');
  }
  if (count !== views.word(at + Q.curmsgs)) say('a message queue: number of messages');
  if (bytes !== views.word(at + Q.qsize)) say('a message queue: bytes');
  if (count > views.word(at + Q.maxmsg)) say('a message queue: too many messages');
  for (const field of ['recv_next', 'send_next', 'poll_next'] as const) {
    for (const link of list(at + Q[field], 'sleepers of a message queue')) void link;
  }
  return count;
}
type Unused = 'pid' | 'namespace' | 'proxies' | 'files';

function checkSet({ views, say, pid, list }: IpcContext, at: number): void {
  const nsems = views.word(at + L.sem_array.nsems);
  for (let i = 0; i < nsems; ++i) {
    const sem = at + L.sem_array.size + i * SEM_BYTES;
    if (views.word(sem) > 32767) say('a semaphore beyond its bounds');
    const last = views.word(sem + 4);
    if (last) pid(last);
  }
  for (const link of list(at + L.sem_array.wait_next, 'sleeping semops')) void link;
}

function checkQueue({ views, say, pid, list }: IpcContext, at: number): number {
  const Q = L.msg_queue;
  let count = 0;
  let bytes = 0;
  for (let m = views.word(at + Q.head); m; m = views.word(m + L.msg_msg.next)) {
    count += 1;
    bytes += views.word(m + L.msg_msg.len);
    const last = views.word(m + L.msg_msg.next) === 0;
    if (last && views.word(at + Q.tail) !== m) say('a message queue: its tail is another');
  }
  if (count !== views.word(at + Q.qnum)) say('a message queue: number of messages');
  if (bytes !== views.word(at + Q.cbytes)) say('a message queue: bytes');
  for (const field of ['lspid', 'lrpid'] as const) {
    const last = views.word(at + Q[field]);
    if (last) pid(last);
  }
  for (const link of list(at + Q.recv_next, 'sleeping receivers')) void link;
  for (const link of list(at + Q.send_next, 'sleeping senders')) void link;
  return count;
}

function checkSegment({ views, say, pid }: IpcContext, at: number, attached: number): void {
  const S = L.shmid_kernel;
  if (views.word(at + S.nattch) !== attached) say('a segment: number of attachments');
  for (const field of ['cprid', 'lprid'] as const) {
    const last = views.word(at + S[field]);
    if (last) pid(last);
  }
}
