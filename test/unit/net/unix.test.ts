// Protects: unix sockets with names: bind, listen, connect and accept errno by errno, abstract
// names and their namespaces, backlog, credentials of the other end, datagrams.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { type Net, net, SLEEPS, un, UNSPEC, USER, words } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = await net();
  return () => expect(n.k.check()).toEqual([]);
});

const text = (bytes: Uint8Array): string =>
  new TextDecoder().decode(bytes.slice(2)).replaceAll('\0', '@');

describe('a name', () => {
  it('is checked: length, family, twice, taken', () => {
    const a = n.unix();
    const b = n.unix();
    expect(n.mem(1, OP.OP_BIND, [a, USER, 1], un('x'))).toBe(-E.EINVAL);
    expect(n.mem(1, OP.OP_BIND, [a, USER, -1], un('x'))).toBe(-E.EINVAL);
    expect(n.mem(1, OP.OP_BIND, [a, USER, 129], new Uint8Array(130))).toBe(-E.EINVAL);
    expect(n.mem(1, OP.OP_BIND, [a, USER, 111], un(`@${'x'.repeat(110)}`))).toBe(-E.EINVAL);
    expect(n.fault(1, OP.OP_BIND, a, USER, 10)).toBe(-E.EFAULT);
    expect(n.bind(a, new Uint8Array([2, 0, 65, 66]))).toBe(-E.EINVAL);
    expect(n.bind(a, un('@one'))).toBe(0);
    expect(n.bind(a, un('@two'))).toBe(-E.EINVAL);
    expect(n.bind(b, un('@one'))).toBe(-E.EADDRINUSE);
    expect(n.bind(99, un('@one'))).toBe(-E.EBADF);
    n.mem(1, OP.OP_PIPE2, [USER, 0], 8);
    expect(n.bind(n.word(0), un('@one'))).toBe(-E.ENOTSOCK);
    // abstract names are of one type
    expect(n.bind(n.unix(K.SOCK_DGRAM), un('@one'))).toBe(0);
    n.close(a);
    expect(n.bind(b, un('@one'))).toBe(0);
    expect([n.getsockname(b), text(n.name)]).toEqual([0, '@one']);
  });

  it('is found for a socket that asks for any', () => {
    const a = n.unix();
    const any = new Uint8Array([K.AF_UNIX, 0]);
    expect(n.bind(a, any)).toBe(0);
    n.getsockname(a);
    expect(text(n.name)).toMatch(/^@[0-9a-f]{5}$/);
    expect(n.bind(a, any)).toBe(0);
    const b = n.unix();
    expect(n.bind(b, any)).toBe(0);
    n.getsockname(b);
    const other = text(n.name);
    n.getsockname(a);
    expect(other).not.toBe(text(n.name));
  });

  it("is a path too: it ends at its NUL and is everybody's", () => {
    const a = n.server(K.AF_UNIX, un('/run/a'));
    expect([n.getsockname(a), [...n.name].length, text(n.name)]).toEqual([0, 9, '/run/a@']);
    expect(n.bind(n.unix(), un('/run/a'))).toBe(-E.EADDRINUSE);
    expect(n.bind(n.unix(K.SOCK_DGRAM), un('/run/a'))).toBe(-E.EADDRINUSE);
    const child = n.as(n.fork());
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(child.connect(child.unix(), un('/run/a'))).toBe(0);
    expect(child.connect(child.unix(), un('/run/b'))).toBe(-E.ENOENT);
    expect(child.connect(child.unix(K.SOCK_DGRAM), un('/run/a'))).toBe(-E.EPROTOTYPE);
  });

  it('that is abstract is of one network namespace', () => {
    n.server(K.AF_UNIX, un('@one'));
    const child = n.as(n.fork());
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(child.connect(child.unix(), un('@one'))).toBe(-E.ECONNREFUSED);
    expect(child.bind(child.unix(), un('@one'))).toBe(0);
  });

  it('is written as far as there is room', () => {
    const a = n.unix();
    expect([n.getsockname(a), [...n.name]]).toEqual([0, [1, 0]]);
    n.bind(a, un('@one'));
    expect([n.getsockname(a, 3), n.out[2], n.out[3]]).toEqual([0, 0, 0]);
    expect(n.getsockname(a, -1)).toBe(-E.EINVAL);
    expect(n.getpeername(a)).toBe(-E.ENOTCONN);
    expect(n.fault(1, OP.OP_GETSOCKNAME, a, USER, USER + 8)).toBe(-E.EFAULT);
  });
});

describe('listen and connect', () => {
  it('need a name, a type with connections, and a listener', () => {
    const a = n.unix();
    expect(n.listen(a)).toBe(-E.EINVAL);
    expect(n.listen(n.unix(K.SOCK_DGRAM))).toBe(-E.EOPNOTSUPP);
    expect(n.accept(a)).toBe(-E.EINVAL);
    expect(n.accept(n.unix(K.SOCK_DGRAM))).toBe(-E.EOPNOTSUPP);
    expect(n.accept(99)).toBe(-E.EBADF);
    expect(n.accept(a, 1)).toBe(-E.EINVAL);
    n.bind(a, un('@one'));
    expect(n.connect(n.unix(), un('@one'))).toBe(-E.ECONNREFUSED);
    expect(n.connect(n.unix(), un('@none'))).toBe(-E.ECONNREFUSED);
    expect(n.connect(n.unix(), new Uint8Array([1, 0]))).toBe(-E.EINVAL);
    expect(n.listen(a)).toBe(0);
    expect(n.listen(a, 3)).toBe(0);
    expect(n.connect(n.unix(K.SOCK_SEQPACKET), un('@one'))).toBe(-E.ECONNREFUSED);
    const b = n.unix();
    expect(n.connect(b, un('@one'))).toBe(0);
    expect(n.connect(b, un('@one'))).toBe(-E.EISCONN);
    expect(n.connect(a, un('@one'))).toBe(-E.EINVAL);
    expect(n.listen(b)).toBe(-E.EINVAL);
  });

  it('bytes go both ways, before and after accept', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const c = n.unix();
    expect(n.send(c, 5)).toBe(-E.ENOTCONN);
    expect(n.recv(c, 5)).toBe(-E.EINVAL);
    n.connect(c, un('@one'));
    expect(n.send(c, 5)).toBe(5);
    const a = n.accept(s, K.SOCK_NONBLOCK | K.SOCK_CLOEXEC);
    expect(n.k.fds(1)[a]).toMatchObject({ kind: 'socket', cloexec: true });
    expect(n.recv(a, 9)).toBe(5);
    expect(n.recv(a, 9)).toBe(-E.EAGAIN);
    expect(n.send(a, 3)).toBe(3);
    expect(n.recv(c, 9)).toBe(3);
    expect([n.getpeername(c), text(n.name)]).toEqual([0, '@one']);
    expect([n.getsockname(a), text(n.name)]).toEqual([0, '@one']);
    expect([n.getpeername(a), [...n.name]]).toEqual([0, [1, 0]]);
    expect(n.sendTo(c, 1, un('@one'))).toBe(-E.EISCONN);
    expect(n.sendTo(n.unix(), 1, un('@one'))).toBe(-E.EOPNOTSUPP);
  });

  it('a full queue makes the next one wait, or go away', () => {
    const s = n.server(K.AF_UNIX, un('@one'), 0);
    expect(n.connect(n.unix(), un('@one'))).toBe(0);
    const hasty = n.socket(K.AF_UNIX, K.SOCK_STREAM | K.SOCK_NONBLOCK);
    expect(n.connect(hasty, un('@one'))).toBe(-E.EAGAIN);
    const child = n.as(n.fork());
    const c = child.unix();
    expect(child.connect(c, un('@one'))).toBe(SLEEPS);
    expect(n.accept(s)).toBeGreaterThan(s);
    expect(n.resume(child.tid)).toBe(0);
    const late = n.as(n.fork());
    expect(late.connect(late.unix(), un('@one'))).toBe(SLEEPS);
    n.close(s);
    child.close(s);
    // the sleeper's own table holds the listener too
    expect(n.k.check()).toEqual([]);
    n.k.abortCall(late.tid);
    late.close(s);
    expect(n.connect(n.unix(), un('@one'))).toBe(-E.ECONNREFUSED);
  });

  it('that waits is refused when the listener goes, and ends with its time', () => {
    const child = n.as(n.fork());
    const s = n.server(K.AF_UNIX, un('@one'), 0);
    n.connect(n.unix(), un('@one'));
    const c = child.unix();
    expect(child.connect(c, un('@one'))).toBe(SLEEPS);
    n.close(s);
    expect(n.resume(child.tid)).toBe(-E.ECONNREFUSED);
    const again = n.server(K.AF_UNIX, un('@one'), 0);
    n.connect(n.unix(), un('@one'));
    expect(child.setopt(c, K.SOL_SOCKET, K.SO_SNDTIMEO, 2, 0, 0, 0)).toBe(0);
    expect(child.connect(c, un('@one'))).toBe(SLEEPS);
    n.k.clockSet(2_000_000_000n);
    expect(n.resume(child.tid)).toBe(-E.EAGAIN);
    n.close(again);
  });

  it('accept waits, has its own time, and gives the name of the other end', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const child = n.as(n.fork());
    expect(n.accept(s)).toBe(SLEEPS);
    const c = child.unix();
    child.bind(c, un('@client'));
    expect(child.connect(c, un('@one'))).toBe(0);
    expect(n.resume(1)).toBeGreaterThan(s);
    child.connect(child.unix(), un('@one'));
    const b = child.unix();
    child.bind(b, un('@second'));
    child.connect(b, un('@one'));
    expect([n.acceptNamed(s) > s, [...n.name]]).toEqual([true, [1, 0]]);
    expect([n.acceptNamed(s) > s, text(n.name)]).toEqual([true, '@second']);
    n.do(OP.OP_FCNTL, s, O.F_SETFL, O.O_NONBLOCK);
    expect(n.accept(s)).toBe(-E.EAGAIN);
    n.do(OP.OP_FCNTL, s, O.F_SETFL, 0);
    n.setopt(s, K.SOL_SOCKET, K.SO_RCVTIMEO, 1, 0, 0, 0);
    expect(n.accept(s)).toBe(SLEEPS);
    n.k.clockSet(5_000_000_000n);
    expect(n.resume(1)).toBe(-E.EAGAIN);
  });

  it('connections that nobody accepted are reset', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const c = n.unix();
    n.connect(c, un('@one'));
    n.send(c, 4);
    n.close(s);
    expect(n.poll(c)).toBe(
      O.POLLIN |
        O.POLLRDNORM |
        O.POLLOUT |
        O.POLLWRNORM |
        O.POLLWRBAND |
        O.POLLERR |
        O.POLLHUP |
        O.POLLRDHUP,
    );
    expect(n.recv(c, 4)).toBe(-E.ECONNRESET);
    expect(n.recv(c, 4)).toBe(0);
    expect(n.k.counts()).toMatchObject({ messages: 0 });
  });

  it('readiness: a listener with a connection, a socket without one', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    expect(n.poll(s)).toBe(0);
    const c = n.unix();
    expect(n.poll(c)).toBe(O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND | O.POLLHUP);
    n.connect(c, un('@one'));
    expect(n.poll(s)).toBe(O.POLLIN | O.POLLRDNORM);
    expect(n.poll(c)).toBe(O.POLLOUT | O.POLLWRNORM | O.POLLWRBAND);
  });
});

describe('the other end', () => {
  it('is told who listened and who connected, in numbers of whoever asks', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const user = n.as(n.unprivileged(700));
    const c = user.unix();
    user.connect(c, un('@one'));
    const a = n.accept(s);
    expect(n.getopt(a, K.SOL_SOCKET, K.SO_PEERCRED)).toEqual([user.tid, 700, 700]);
    expect(user.getopt(c, K.SOL_SOCKET, K.SO_PEERCRED)).toEqual([1, 0, 0]);
    expect(n.getopt(n.unix(), K.SOL_SOCKET, K.SO_PEERCRED)).toEqual([0, -1, -1]);
    // below a user namespace that maps nothing, and without a number for the other one
    const child = n.as(n.call(1, OP.OP_CLONE, C.CLONE_NEWUSER | C.CLONE_NEWPID | 17));
    expect(child.getopt(a, K.SOL_SOCKET, K.SO_PEERCRED)).toEqual([0, 65534, 65534]);
  });

  it('is told the groups too', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const child = n.as(n.fork());
    child.mem(child.tid, OP.OP_SETGROUPS, [2, USER], words(20, 10));
    child.connect(child.unix(), un('@one'));
    const a = n.accept(s);
    expect(n.getopt(a, K.SOL_SOCKET, K.SO_PEERGROUPS, 8)).toEqual([10, 20]);
    expect(n.getopt(a, K.SOL_SOCKET, K.SO_PEERGROUPS, 4)).toBe(-E.ERANGE);
    expect(n.getopt(n.unix(), K.SOL_SOCKET, K.SO_PEERGROUPS)).toBe(-E.ENODATA);
  });
});

describe('datagrams', () => {
  it('go to names, from names, and to a peer', () => {
    const a = n.unix(K.SOCK_DGRAM);
    const b = n.unix(K.SOCK_DGRAM);
    n.bind(a, un('@a'));
    expect(n.send(b, 1)).toBe(-E.ENOTCONN);
    expect(n.sendTo(b, 7, un('@a'))).toBe(7);
    expect([n.recvFrom(a, 20), [...n.name]]).toEqual([7, []]);
    n.bind(b, un('@b'));
    n.sendTo(b, 8, un('@a'));
    expect([n.recvFrom(a, 3, K.MSG_TRUNC), text(n.name)]).toEqual([8, '@b']);
    expect(n.sendTo(b, 1, un('@c'))).toBe(-E.ECONNREFUSED);
    expect(n.sendTo(b, 1, new Uint8Array([2, 0, 0]))).toBe(-E.EINVAL);
    expect(n.connect(b, un('@a'))).toBe(0);
    expect(n.send(b, 2)).toBe(2);
    expect(n.connect(a, un('@b'))).toBe(0);
    const c = n.unix(K.SOCK_DGRAM);
    expect(n.sendTo(c, 1, un('@a'))).toBe(-E.EPERM);
    expect(n.connect(c, un('@a'))).toBe(-E.EPERM);
    expect(n.connect(a, UNSPEC)).toBe(0);
    expect(n.sendTo(c, 1, un('@a'))).toBe(1);
    n.close(a);
    expect(n.send(b, 1)).toBe(-E.ECONNREFUSED);
    expect(n.send(b, 1)).toBe(-E.ENOTCONN);
  });

  it('wait for room at a stranger', () => {
    const a = n.unix(K.SOCK_DGRAM);
    n.bind(a, un('@a'));
    const child = n.as(n.fork());
    const b = child.unix(K.SOCK_DGRAM);
    for (let i = 0; i < 11; ++i) expect(child.sendTo(b, 1, un('@a'))).toBe(1);
    expect(child.sendTo(b, 1, un('@a'), K.MSG_DONTWAIT)).toBe(-E.EAGAIN);
    expect(child.sendTo(b, 1, un('@a'))).toBe(SLEEPS);
    expect(n.recv(a, 1)).toBe(1);
    expect(n.resume(child.tid)).toBe(1);
  });

  it('a sender that asks for credentials gets a name', () => {
    const a = n.unix(K.SOCK_DGRAM);
    n.bind(a, un('@a'));
    const b = n.unix(K.SOCK_DGRAM);
    n.setopt(b, K.SOL_SOCKET, K.SO_PASSCRED, 1);
    n.sendTo(b, 1, un('@a'));
    expect([n.recvFrom(a, 1), text(n.name)]).toEqual([1, expect.stringMatching(/^@[0-9a-f]{5}$/)]);
  });
});

describe('files in messages', () => {
  /** sendmsg of one byte with descriptor `fd`. */
  const sendFile = (to: number, fd: number): number => {
    const bytes = new Uint8Array(128);
    const wide = [0, 0, USER + 64, 1, USER + 80, 24, 0, 0, 0x9000, 1, 20].map(BigInt);
    bytes.set(new Uint8Array(BigUint64Array.from(wide).buffer));
    bytes.set(words(1, 1, fd), 88);
    return n.mem(1, OP.OP_SENDMSG, [to, USER, 0], bytes);
  };

  it('to a connection that waits in a listener which only messages hold are collected', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const c = n.unix();
    n.connect(c, un('@one'));
    // the listener lies in the queue of its own connection
    expect(sendFile(c, s)).toBe(1);
    n.close(s);
    expect(n.k.counts().sockets).toBe(3);
    n.close(c);
    expect(n.k.counts()).toMatchObject({ sockets: 0, messages: 0 });
  });

  it('are kept as long as somebody can accept them', () => {
    const s = n.server(K.AF_UNIX, un('@one'));
    const c = n.unix();
    n.connect(c, un('@one'));
    sendFile(c, c);
    n.close(c);
    expect(n.k.counts().messages).toBe(1);
    expect(n.k.check()).toEqual([]);
    n.close(s);
    expect(n.k.counts()).toMatchObject({ sockets: 0, messages: 0 });
  });
});
