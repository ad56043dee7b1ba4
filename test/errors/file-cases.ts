// The calls on files, sockets and what waits for them that may run out of memory; what a case is.
import * as OP from '../../assembly/uapi/op.ts';
import { TIOCGPTPEER, TIOCSPTLCK } from '../../assembly/uapi/tty.ts';
import type { Counts } from '../../host/index.ts';

/** Where the guest memory of a call begins. */
export const USER = 0x1000;

export interface Call {
  tid?: number;
  op: number;
  args?: (number | bigint)[];
  /** guest memory at USER */
  memory?: Uint8Array;
  /** the world lets it happen */
  world?: boolean;
  /** the world names the file */
  inode?: number;
}

export interface Case extends Call {
  /** calls that come before */
  before?: Call[];
  /** objects shared until written: a failed call may have made the caller's copy already */
  copies?: (keyof Counts)[];
  /** the result is a serial number: a failed call may have used one up */
  serial?: boolean;
}

export const words = (...values: number[]): Uint8Array =>
  new Uint8Array(Int32Array.from(values).buffer.slice(0));
export const FORK: Call = { op: OP.OP_FORK };
export const pipe: Call = { op: OP.OP_PIPE2, args: [USER, 0], memory: words(0, 0) };

const socketpair: Call = { op: OP.OP_SOCKETPAIR, args: [1, 1, 0, USER], memory: words(0, 0) };
const epoll: Call = { op: OP.OP_EPOLL_CREATE1, args: [0] };
/** A message of one byte with a descriptor: header, vector, control message. */
const message = (fd: number, room: number): Uint8Array => {
  const bytes = new Uint8Array(128);
  const u64 = [0, 0, USER + 64, 1, USER + 80, room, 0, 0, 0x9000, 1, 20];
  bytes.set(new Uint8Array(BigUint64Array.from(u64.map(BigInt)).buffer));
  bytes.set(words(1, 1, fd), 88);
  return bytes;
};
const send: Call = { op: OP.OP_SENDMSG, args: [3, USER, 0], memory: message(0, 24) };
const file: Call = { op: OP.OP_WORLD_FD, inode: 5 };
/** A write lock on bytes `start` and what follows. */
const lock = (start: number, length: number): Call => ({
  op: OP.OP_FCNTL,
  args: [3, 6, USER],
  memory: words(1, 0, start, 0, length, 0, 0, 0),
});

/** openat of a path, which the world lets happen. */
const open = (path: string): Call => ({
  op: OP.OP_OPENAT,
  args: [-100, USER, 2],
  memory: new TextEncoder().encode(`${path}\0`),
  world: true,
});
const unlock: Call = { op: OP.OP_IOCTL, args: [3, TIOCSPTLCK, USER], memory: words(0) };

/** Calls on files, sockets and what waits for them. */
export const FILE_CASES: Record<string, Case> = {
  socketpair,
  'eventfd2 after fork': { op: OP.OP_EVENTFD2, args: [0, 0], before: [FORK], copies: ['fdTables'] },
  timerfd_create: { op: OP.OP_TIMERFD_CREATE, args: [1, 0] },
  inotify_init1: { op: OP.OP_INOTIFY_INIT1, args: [0] },
  inotify_add_watch: {
    op: OP.OP_INOTIFY_ADD_WATCH,
    args: [3, 0x9000, 1],
    inode: 7,
    before: [{ op: OP.OP_INOTIFY_INIT1, args: [0] }],
  },
  signalfd4: { op: OP.OP_SIGNALFD4, args: [-1, USER, 8, 0], memory: words(0, 0) },
  epoll_create1: epoll,
  'epoll_ctl EPOLL_CTL_ADD': {
    op: OP.OP_EPOLL_CTL,
    args: [3, 1, 4, USER],
    memory: words(1, 2, 0),
    before: [epoll, pipe],
  },
  'epoll_wait that sleeps': {
    op: OP.OP_EPOLL_WAIT,
    args: [3, USER, 1, -1],
    memory: words(0, 0, 0),
    before: [epoll],
  },
  'read that sleeps': { op: OP.OP_READ, args: [3, 0x9000, 1], before: [pipe] },
  'the first owner of a file': { op: OP.OP_FCNTL, args: [3, 8, 1], before: [pipe] },
  'the first signal of a file': { op: OP.OP_FCNTL, args: [3, 10, 40], before: [pipe] },
  'O_ASYNC of a pipe': { op: OP.OP_FCNTL, args: [3, 4, 0x2000], before: [pipe] },
  'a larger pipe': { op: OP.OP_FCNTL, args: [3, 1031, 1 << 20], before: [pipe] },
  'write to a socket': { op: OP.OP_WRITE, args: [3, 0x9000, 9], before: [socketpair] },
  'sendmsg with a file': { ...send, before: [socketpair] },
  'recvmsg with a file after fork': {
    op: OP.OP_RECVMSG,
    args: [4, USER, 0],
    memory: message(0, 48),
    before: [socketpair, send, FORK],
    copies: ['fdTables'],
  },
  'open of a file that the world names': file,
  'a record lock after fork': { ...lock(0, 10), before: [file, FORK], copies: ['fdTables'] },
  'a record lock that cuts another': {
    op: OP.OP_FCNTL,
    args: [3, 6, USER],
    memory: words(2, 0, 3, 0, 4, 0, 0, 0),
    before: [file, lock(0, 10)],
  },
  F_GETLK: {
    op: OP.OP_FCNTL,
    args: [3, 5, USER],
    memory: words(1, 0, 0, 0, 0, 0, 0, 0),
    before: [file],
  },
  'open of /dev/ptmx': { ...open('/dev/ptmx'), copies: ['fdTables'] },
  'open of the other end': { ...open('/dev/pts/0'), before: [open('/dev/ptmx'), unlock] },
  "open of the world's terminal": open('/dev/pts/9'),
  TIOCGPTPEER: { op: OP.OP_IOCTL, args: [3, TIOCGPTPEER, 2], before: [open('/dev/ptmx'), unlock] },
  semget: { op: OP.OP_SEMGET, args: [0, 3, 0o600] },
  'semget of the seventeenth': {
    op: OP.OP_SEMGET,
    args: [0, 3, 0o600],
    before: Array<Call>(16).fill({ op: OP.OP_SEMGET, args: [0, 3, 0o600] }),
  },
  'semop with undo': {
    op: OP.OP_SEMOP,
    args: [0, USER, 1],
    memory: new Uint8Array([0, 0, 1, 0, 0, 16]),
    before: [{ op: OP.OP_SEMGET, args: [0, 3, 0o600] }],
  },
  'semop that sleeps': {
    op: OP.OP_SEMOP,
    args: [0, USER, 1],
    memory: new Uint8Array([0, 0, 255, 255, 0, 0]),
    before: [{ op: OP.OP_SEMGET, args: [0, 3, 0o600] }],
  },
  shmget: { op: OP.OP_SHMGET, args: [0, 3, 0o600] },
  shmat: {
    op: OP.OP_SHMAT,
    args: [0, 0x9000, 0],
    before: [{ op: OP.OP_SHMGET, args: [0, 3, 0o600] }],
  },
  'fork with shared memory': {
    ...FORK,
    before: [
      { op: OP.OP_SHMGET, args: [0, 3, 0o600] },
      { op: OP.OP_SHMAT, args: [0, 0x9000, 0] },
      { op: OP.OP_SHMAT, args: [0, 0xa000, 0] },
    ],
  },
  msgget: { op: OP.OP_MSGGET, args: [0, 0o600] },
  msgsnd: {
    op: OP.OP_MSGSND,
    args: [0, USER, 4, 0],
    memory: words(1, 0, 0),
    before: [{ op: OP.OP_MSGGET, args: [0, 0o600] }],
  },
  'msgrcv that sleeps': {
    op: OP.OP_MSGRCV,
    args: [0, USER, 4, 0, 0],
    memory: words(0, 0, 0),
    before: [{ op: OP.OP_MSGGET, args: [0, 0o600] }],
  },
  flock: { op: OP.OP_FLOCK, args: [3, 2], before: [file] },
  'select of many descriptors': {
    op: OP.OP_SELECT,
    args: [1024, USER, 0, 0, 0],
    memory: new Uint8Array(128).fill(8, 0, 1),
    before: [{ op: OP.OP_DUP2, args: [0, 1000] }, pipe],
  },
};
