// How many live objects of each kind there are, by the slab caches.
import { layout as L } from './generated/layout.ts';
import type { Views } from './views.ts';
import { SLAB_CACHES } from '../assembly/uapi/limits.ts';

/** Live objects. `tasks` counts processes. */
export interface Counts {
  tasks: number;
  threads: number;
  containers: number;
  files: number;
  nsproxies: number;
  creds: number;
  pids: number;
  namespaces: number;
  signals: number;
  sighands: number;
  fdTables: number;
  fs: number;
  sigqueues: number;
  pipes: number;
  waiters: number;
  sigframes: number;
  sockets: number;
  messages: number;
  epolls: number;
  epollItems: number;
  inodes: number;
  fileLocks: number;
  timerfds: number;
  inotifies: number;
  watches: number;
  /** interfaces of network namespaces, their addresses, names of unix sockets */
  netDevices: number;
  netAddresses: number;
  socketNames: number;
  users: number;
  upcalls: number;
  supervisors: number;
  ucounts: number;
  procFiles: number;
  procTexts: number;
  keys: number;
  keyrings: number;
  /** timers of processes, and a head for each process that has any */
  itimers: number;
  /** tasks with a policy, niceness, personality or timer slack of their own */
  scheds: number;
  /** terminals and pairs of them */
  ttys: number;
  /** names, inodes and mounts of file systems in the kernel's memory */
  dentries: number;
  vfsInodes: number;
  mounts: number;
  /** file systems that are being configured */
  fsContexts: number;
  /** objects of System V, messages in queues, undo lists, attachments */
  ipc: number;
}

const CACHES = {
  signals: 0,
  pids: 1,
  pidsBig: 2,
  containers: 3,
  creds: 4,
  nsproxies: 5,
  namespaces: 6,
  files: 7,
  fdTables: 8,
  sighands: 9,
  fs: 10,
  sigqueues: 12,
  pipes: 13,
  waiters: 14,
  sigframes: 15,
  users: 29,
  upcalls: 31,
  supervisors: 32,
  ucounts: 36,
  procFiles: 37,
  procTexts: 35,
  keys: 30,
  keyrings: 33,
  itimers: 34,
  scheds: 38,
  sockets: 40,
  messages: 41,
  epolls: 42,
  epollItems: 43,
  inodes: 44,
  fileLocks: 45,
  timerfds: 46,
  inotifies: 47,
  watches: 48,
  netDevices: 53,
  netAddresses: 54,
  socketNames: 55,
  dentries: 50,
  vfsInodes: 51,
  mounts: 52,
  fsContexts: 56,
} as const;

/** Counts what the kernel's memory holds now. */
export function countObjects(views: Views): Counts {
  const live = (cache: keyof typeof CACHES): number =>
    views.word(SLAB_CACHES + CACHES[cache] * L.kmem_cache.size + L.kmem_cache.live);
  const names = Object.keys(CACHES) as (keyof typeof CACHES)[];
  const counts = Object.fromEntries(names.map((name) => [name, live(name)]));
  const { pidsBig, ...rest } = counts as Record<keyof typeof CACHES, number>;
  return {
    ...rest,
    pids: rest.pids + pidsBig,
    tasks: views.root('nr_processes'),
    threads: views.root('nr_threads'),
    containers: views.root('nr_containers'),
    ttys: views.root('nr_ttys'),
    ipc: views.root('nr_ipc'),
  };
}
