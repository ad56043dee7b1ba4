// Scenarios for the seeded faults around open files: each fails with its fault, and only with it.
import * as N from '../../assembly/uapi/epoll.ts';
import * as E from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as K from '../../assembly/uapi/socket.ts';
import type { Machine } from './seeded.test.ts';

const USER = 0x1000;
const AT = 0x9000;

const words = (...values: number[]): Uint8Array =>
  new Uint8Array(Int32Array.from(values).buffer.slice(0));
/** Two descriptors that a call has written: the lowest free ones. */
const pipe = (m: Machine, flags = 0): void => {
  m.call(1, OP.OP_PIPE2, [USER, flags], words(0, 0));
};
const socketpair = (m: Machine): void => {
  m.call(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_STREAM, 0, USER], words(0, 0));
};
const open = (m: Machine): void => {
  m.k.frame.begin(1, 0, OP.OP_WORLD_FD).assistRet(0).assistFile(O.O_RDWR, 5);
  m.k.trap();
};
const watch = (m: Machine, ep: number, fd: number, events: number): number | 'sleeps' =>
  m.call(1, OP.OP_EPOLL_CTL, [ep, N.EPOLL_CTL_ADD, fd, USER], words(events, fd, 0));

export const FILE_SCENARIOS: Record<string, (m: Machine) => void> = {
  /** small writes share a page */
  F_PIPE_MERGE: (m) => {
    pipe(m, O.O_NONBLOCK);
    for (let i = 0; i < 20; ++i) m.want('write', m.call(1, OP.OP_WRITE, [4, AT, 8]), 8);
  },
  /** a reader hears of the last writer's close */
  F_PIPE_HANGUP: (m) => {
    pipe(m);
    const child = Number(m.call(1, OP.OP_FORK));
    m.call(child, OP.OP_CLOSE, [4]);
    m.want('read', m.call(child, OP.OP_READ, [3, AT, 1]), 'sleeps');
    m.call(1, OP.OP_CLOSE, [4]);
    m.want('woken', m.k.woken(), [child]);
  },
  /** files in flight are counted: the collector finds sockets that lie in each other */
  F_INFLIGHT: (m) => {
    socketpair(m);
    const message = new Uint8Array(128);
    const u64 = [0, 0, USER + 64, 1, USER + 80, 24, 0, 0, AT, 1, 20];
    message.set(new Uint8Array(BigUint64Array.from(u64.map(BigInt)).buffer));
    message.set(words(K.SOL_SOCKET, K.SCM_RIGHTS, 4), 88);
    m.want('send', m.call(1, OP.OP_SENDMSG, [3, USER, 0], message), 1);
    m.call(1, OP.OP_CLOSE, [4]);
    m.call(1, OP.OP_CLOSE, [3]);
    m.want('sockets', m.k.counts().sockets, 0);
  },
  /** unread bytes that go with a socket reset its peer */
  F_CONNRESET: (m) => {
    socketpair(m);
    m.call(1, OP.OP_WRITE, [3, AT, 1]);
    m.call(1, OP.OP_CLOSE, [4]);
    m.want('read', m.call(1, OP.OP_READ, [3, AT, 1]), -E.ECONNRESET);
  },
  /** a semaphore gives one at a time */
  F_SEMAPHORE: (m) => {
    m.call(1, OP.OP_EVENTFD2, [2, N.EFD_SEMAPHORE]);
    m.call(1, OP.OP_READ, [3, USER, 8], words(0, 0));
    m.want('read again', m.call(1, OP.OP_READ, [3, USER, 8], words(0, 0)), 8);
  },
  /** a close takes a process's record locks away */
  F_CLOSE_LOCKS: (m) => {
    open(m);
    open(m);
    const lock = words(O.F_WRLCK, 0, 0, 0, 0, 0, 0, 0);
    m.call(1, OP.OP_FCNTL, [3, O.F_SETLK, USER], lock);
    m.call(1, OP.OP_CLOSE, [4]);
    m.want('locks', m.k.counts().fileLocks, 0);
  },
  /** an edge is told once */
  F_EDGE: (m) => {
    m.call(1, OP.OP_EPOLL_CREATE1, [0]);
    pipe(m);
    watch(m, 3, 5, N.EPOLLOUT | N.EPOLLET);
    const wait = (): number | 'sleeps' =>
      m.call(1, OP.OP_EPOLL_WAIT, [3, USER, 1, 0], words(0, 0, 0));
    m.want('first', wait(), 1);
    m.want('second', wait(), 0);
  },
  /** epoll files form no circle */
  F_LOOP: (m) => {
    m.call(1, OP.OP_EPOLL_CREATE1, [0]);
    m.call(1, OP.OP_EPOLL_CREATE1, [0]);
    m.want('one way', watch(m, 3, 4, N.EPOLLIN), 0);
    m.want('and back', watch(m, 4, 3, N.EPOLLIN), -E.ELOOP);
  },
};
