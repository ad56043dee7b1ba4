// Protects: inet and inet6 over the loopback: ports and who may have them, connections and their
// ends, datagrams and where they go, errno by errno as Linux 6.18 answers them.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as N from '../../../assembly/uapi/net.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { in4, in6, type Net, net, SLEEPS, UNSPEC, USER } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = await net();
  return () => expect(n.k.check()).toEqual([]);
});

const LO = '127.0.0.1';
const OUT = O.POLLOUT | O.POLLWRNORM;
const IN = O.POLLIN | O.POLLRDNORM;
const tcp6 = (): number => n.socket(K.AF_INET6, K.SOCK_STREAM);
const hasty = (type: number = K.SOCK_STREAM): number => n.socket(K.AF_INET, type | K.SOCK_NONBLOCK);
const set = (fd: number, option: number): number => n.setopt(fd, K.SOL_SOCKET, option, 1);

/** Two connected ends: who connected, who accepted. */
function pair(): [number, number] {
  const s = n.server(K.AF_INET, in4(LO, 0));
  const c = n.tcp();
  expect(n.connect(c, in4(LO, n.portOf(s)))).toBe(0);
  const a = n.accept(s);
  n.close(s);
  return [c, a];
}

describe('bind', () => {
  it('checks length, family, address, right, state, port in this order', () => {
    const s = n.tcp();
    expect(n.bind(s, in4(LO, 80).slice(0, 15))).toBe(-E.EINVAL);
    expect(n.bind(s, in6('::1', 80))).toBe(-E.EAFNOSUPPORT);
    const any = in4('0.0.0.0', 80);
    any[0] = 0;
    expect(n.bind(s, in4('10.0.0.1', 80))).toBe(-E.EADDRNOTAVAIL);
    const user = n.as(n.unprivileged());
    const u = user.tcp();
    expect(user.bind(u, in4('10.0.0.1', 80))).toBe(-E.EADDRNOTAVAIL);
    expect(user.bind(u, in4(LO, 1023))).toBe(-E.EACCES);
    expect(user.bind(u, in4(LO, 1024))).toBe(0);
    expect(user.bind(u, in4(LO, 80))).toBe(-E.EACCES);
    expect(user.bind(u, in4(LO, 1025))).toBe(-E.EINVAL);
    expect(n.bind(s, any)).toBe(0);
    expect(n.portOf(s)).toBe(80);
    expect(n.bind(tcp6(), in6('::1', 81).slice(0, 23))).toBe(-E.EINVAL);
    expect(n.bind(tcp6(), in4(LO, 81))).toBe(-E.EINVAL);
    expect(n.bind(tcp6(), new Uint8Array([...in4(LO, 81), ...UNSPEC]))).toBe(-E.EAFNOSUPPORT);
    expect(n.bind(tcp6(), in6('::1', 81))).toBe(0);
  });

  it('a port below 1024 is for CAP_NET_BIND_SERVICE over the namespace', () => {
    const user = n.as(n.unprivileged());
    user.do(OP.OP_UNSHARE, C.CLONE_NEWUSER);
    expect(user.bind(user.tcp(), in4('0.0.0.0', 80))).toBe(-E.EACCES);
    user.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(user.bind(user.tcp(), in4('0.0.0.0', 80))).toBe(0);
  });

  it('finds a free port, another one each time', () => {
    const ports = [0, 0, 0].map(() => {
      const s = n.tcp();
      n.bind(s, in4(LO, 0));
      return n.portOf(s);
    });
    expect(new Set(ports).size).toBe(3);
    for (const port of ports) expect(port).toBeGreaterThanOrEqual(N.LOCAL_PORT_FIRST);
  });

  const taken = (a: Uint8Array, b: Uint8Array, options: number[] = [], listens = false): number => {
    const make = (name: Uint8Array): number => {
      const s = n.socket(name.length === 16 ? K.AF_INET : K.AF_INET6, K.SOCK_STREAM);
      for (const option of options) set(s, option);
      const r = n.bind(s, name);
      return r || (listens ? n.listen(s) : 0);
    };
    expect(make(a)).toBe(0);
    return make(b);
  };

  it.each([
    ['the same address', in4(LO, 9), in4(LO, 9), [], false, -E.EADDRINUSE],
    ['another address', in4(LO, 9), in4('127.0.0.2', 9), [], false, 0],
    ['the wildcard over an address', in4(LO, 9), in4('0.0.0.0', 9), [], false, -E.EADDRINUSE],
    ['an address under the wildcard', in4('0.0.0.0', 9), in4(LO, 9), [], false, -E.EADDRINUSE],
    ['another port', in4(LO, 9), in4(LO, 10), [], false, 0],
    ['both reuse', in4(LO, 9), in4(LO, 9), [K.SO_REUSEADDR], false, 0],
    ['both reuse and listen', in4(LO, 9), in4(LO, 9), [K.SO_REUSEADDR], true, -E.EADDRINUSE],
    ['both share the port', in4(LO, 9), in4(LO, 9), [K.SO_REUSEPORT], true, 0],
    ['IPv4 beside the wildcard of IPv6', in6('::', 9), in4(LO, 9), [], false, -E.EADDRINUSE],
    ['IPv6 beside IPv4', in4(LO, 9), in6('::1', 9), [], false, 0],
    ['mapped beside IPv4', in4(LO, 9), in6(LO, 9), [], false, -E.EADDRINUSE],
  ])('%s', (_what, a, b, options, listens, want) => {
    expect(taken(a, b, options, listens)).toBe(want);
  });

  it('ports are of one protocol, one namespace, and free after close', () => {
    const s = n.server(K.AF_INET, in4(LO, 9));
    expect(n.bind(n.udp(), in4(LO, 9))).toBe(0);
    const child = n.as(n.fork());
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(child.bind(child.tcp(), in4(LO, 9))).toBe(0);
    expect(n.bind(n.tcp(), in4(LO, 9))).toBe(-E.EADDRINUSE);
    child.close(s);
    n.close(s);
    expect(n.bind(n.tcp(), in4(LO, 9))).toBe(0);
  });

  it('SO_REUSEPORT is for sockets of one user', () => {
    const s = n.udp();
    set(s, K.SO_REUSEPORT);
    n.bind(s, in4(LO, 2000));
    const user = n.as(n.unprivileged());
    const u = user.udp();
    user.setopt(u, K.SOL_SOCKET, K.SO_REUSEPORT, 1);
    expect(user.bind(u, in4(LO, 2000))).toBe(-E.EADDRINUSE);
  });

  it('IPV6_V6ONLY leaves IPv4 to others, and is set before bind', () => {
    const s = tcp6();
    expect(n.setopt(s, N.IPPROTO_IPV6, N.IPV6_V6ONLY, 1)).toBe(0);
    expect(n.getopt(s, N.IPPROTO_IPV6, N.IPV6_V6ONLY)).toEqual([1]);
    expect(n.bind(s, in6(LO, 9))).toBe(-E.EINVAL);
    expect(n.bind(s, in6('::', 9))).toBe(0);
    expect(n.setopt(s, N.IPPROTO_IPV6, N.IPV6_V6ONLY, 0)).toBe(-E.EINVAL);
    expect(n.bind(n.tcp(), in4('0.0.0.0', 9))).toBe(0);
  });
});

describe('a connection', () => {
  it('is refused where nobody listens', () => {
    const c = n.tcp();
    expect(n.connect(c, in4(LO, 9))).toBe(-E.ECONNREFUSED);
    expect(n.getpeername(c)).toBe(-E.ENOTCONN);
    expect(n.connect(c, in4(LO, 9).slice(0, 1))).toBe(-E.EINVAL);
    expect(n.connect(c, in4(LO, 9).slice(0, 15))).toBe(-E.EINVAL);
    expect(n.connect(c, in6('::1', 9))).toBe(-E.EAFNOSUPPORT);
    expect(n.connect(c, in4('8.8.8.8', 9))).toBe(-E.ENETUNREACH);
    expect(n.connect(tcp6(), in6('::1', 9))).toBe(-E.ECONNREFUSED);
    expect(n.fault(1, OP.OP_CONNECT, c, USER, 16)).toBe(-E.EFAULT);
    expect(n.connect(99, in4(LO, 9))).toBe(-E.EBADF);
    expect(n.connect(c, UNSPEC)).toBe(0);
  });

  it('has the names of both ends', () => {
    const s = n.server(K.AF_INET, in4('0.0.0.0', 80));
    const c = n.tcp();
    expect(n.connect(c, in4('0.0.0.0', 80))).toBe(0);
    expect([n.getpeername(c), [...n.name]]).toEqual([0, [...in4(LO, 80)]]);
    const port = n.portOf(c);
    const a = n.acceptNamed(s);
    expect([...n.name]).toEqual([...in4(LO, port)]);
    expect([n.getsockname(a), [...n.name]]).toEqual([0, [...in4(LO, 80)]]);
    expect(n.connect(c, in4(LO, 80))).toBe(-E.EISCONN);
    expect(n.connect(s, in4(LO, 80))).toBe(-E.EISCONN);
    expect(n.listen(c)).toBe(-E.EINVAL);
    expect(n.listen(n.udp())).toBe(-E.EOPNOTSUPP);
    expect(n.accept(n.udp())).toBe(-E.EOPNOTSUPP);
    expect(n.accept(c)).toBe(-E.EINVAL);
  });

  it('of IPv4 reaches a wildcard of IPv6, and shows itself in its form', () => {
    const s = n.server(K.AF_INET6, in6('::', 80));
    const c = n.tcp();
    expect(n.connect(c, in4(LO, 80))).toBe(0);
    n.acceptNamed(s);
    expect([...n.name.slice(8)]).toEqual([...in6(LO, 0).slice(8)]);
    const six = tcp6();
    expect(n.connect(six, in6(LO, 80))).toBe(0);
    expect(n.connect(tcp6(), in6('::1', 80))).toBe(0);
  });

  it('carries bytes, and ends from both sides', () => {
    const [c, a] = pair();
    expect(n.send(c, 10)).toBe(10);
    expect(n.recv(a, 4)).toBe(4);
    expect(n.recv(a, 100)).toBe(6);
    expect(n.shutdown(c, K.SHUT_WR)).toBe(0);
    expect(n.recv(a, 1)).toBe(0);
    expect(n.poll(a)).toBe(IN | OUT | O.POLLRDHUP);
    expect(n.send(c, 1, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
    expect(n.send(a, 3)).toBe(3);
    expect(n.recv(c, 9)).toBe(3);
    n.shutdown(a, K.SHUT_WR);
    expect(n.poll(a)).toBe(IN | OUT | O.POLLRDHUP | O.POLLHUP);
    expect(n.recv(c, 9)).toBe(0);
    expect(n.shutdown(c, 3)).toBe(-E.EINVAL);
    expect(n.shutdown(n.tcp(), K.SHUT_RD)).toBe(-E.ENOTCONN);
  });

  it('SIGPIPE comes with EPIPE, unless the caller does not want it', () => {
    const [c] = pair();
    n.shutdown(c, K.SHUT_WR);
    expect(n.send(c, 1, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
    expect(n.k.task(1)!.pending).toBe(0n);
    const child = n.as(n.fork());
    expect(child.send(c, 1)).toBe(-E.EPIPE);
    expect(n.k.task(child.tid)!.pending & (1n << 12n)).toBe(1n << 12n);
  });

  it('that is closed: the first bytes go out, then EPIPE', () => {
    const [c, a] = pair();
    n.close(a);
    expect(n.poll(c)).toBe(IN | OUT | O.POLLRDHUP);
    expect(n.recv(c, 9)).toBe(0);
    expect(n.send(c, 5)).toBe(5);
    expect(n.send(c, 5, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
    expect(n.recv(c, 5)).toBe(0);
    expect(n.connect(c, in4(LO, 9))).toBe(-E.EISCONN);
  });

  it('that is closed with bytes unread is reset', () => {
    const [c, a] = pair();
    n.send(c, 5);
    n.close(a);
    expect(n.poll(c)).toBe(IN | OUT | O.POLLRDHUP | O.POLLHUP | O.POLLERR);
    expect(n.getopt(c, K.SOL_SOCKET, K.SO_ERROR)).toEqual([E.ECONNRESET]);
    expect(n.getopt(c, K.SOL_SOCKET, K.SO_ERROR)).toEqual([0]);
    expect(n.recv(c, 5)).toBe(0);
    expect(n.send(c, 5, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
  });

  it('that nobody accepted is reset when the listener goes', () => {
    const s = n.server(K.AF_INET, in4(LO, 80));
    const c = n.tcp();
    n.connect(c, in4(LO, 80));
    n.close(s);
    expect(n.recv(c, 1)).toBe(-E.ECONNRESET);
  });

  it('a socket without one neither sends nor receives', () => {
    const c = n.tcp();
    expect(n.poll(c)).toBe(OUT | O.POLLHUP);
    expect(n.recv(c, 1)).toBe(-E.ENOTCONN);
    expect(n.send(c, 1, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
    const s = n.server(K.AF_INET, in4(LO, 0));
    expect(n.recv(s, 1)).toBe(-E.ENOTCONN);
    expect(n.send(s, 1, K.MSG_NOSIGNAL)).toBe(-E.EPIPE);
    expect(n.shutdown(s, K.SHUT_RD)).toBe(0);
    expect(n.accept(s)).toBe(-E.EINVAL);
  });

  it('is undone by AF_UNSPEC', () => {
    const [c, a] = pair();
    expect(n.connect(c, UNSPEC)).toBe(0);
    expect(n.recv(a, 1)).toBe(-E.ECONNRESET);
    expect(n.getpeername(c)).toBe(-E.ENOTCONN);
    const s = n.server(K.AF_INET, in4(LO, 80));
    expect(n.connect(c, in4(LO, 80))).toBe(0);
    expect(n.accept(s)).toBeGreaterThan(s);
  });
});

describe('connect without waiting', () => {
  it('says EINPROGRESS; the next one how it went', () => {
    n.server(K.AF_INET, in4(LO, 80));
    const c = hasty();
    expect(n.connect(c, in4(LO, 80))).toBe(-E.EINPROGRESS);
    expect(n.poll(c)).toBe(OUT);
    expect(n.connect(c, in4(LO, 80))).toBe(0);
    expect(n.connect(c, in4(LO, 80))).toBe(-E.EISCONN);
  });

  it('a refusal is an error of the socket', () => {
    const c = hasty();
    expect(n.connect(c, in4(LO, 9))).toBe(-E.EINPROGRESS);
    expect(n.poll(c)).toBe(IN | OUT | O.POLLERR | O.POLLHUP | O.POLLRDHUP);
    expect(n.getopt(c, K.SOL_SOCKET, K.SO_ERROR)).toEqual([E.ECONNREFUSED]);
    expect(n.connect(c, in4(LO, 9))).toBe(-E.ECONNABORTED);
    expect(n.connect(c, in4(LO, 9))).toBe(-E.EINPROGRESS);
    expect(n.connect(c, in4(LO, 9))).toBe(-E.ECONNREFUSED);
  });

  it('a full backlog lets it wait: EALREADY until there is room', () => {
    const s = n.server(K.AF_INET, in4(LO, 80), 0);
    n.connect(n.tcp(), in4(LO, 80));
    const c = hasty();
    expect(n.connect(c, in4(LO, 80))).toBe(-E.EINPROGRESS);
    expect(n.connect(c, in4(LO, 80))).toBe(-E.EALREADY);
    expect([n.poll(c), n.send(c, 1), n.recv(c, 1)]).toEqual([0, -E.EAGAIN, -E.EAGAIN]);
    n.accept(s);
    expect(n.poll(c)).toBe(OUT);
    expect(n.connect(c, in4(LO, 80))).toBe(0);
    const late = hasty();
    n.connect(late, in4(LO, 80));
    n.close(s);
    expect(n.getopt(late, K.SOL_SOCKET, K.SO_ERROR)).toEqual([E.ECONNREFUSED]);
  });

  it('one that waits sleeps, as long as SO_SNDTIMEO says', () => {
    const s = n.server(K.AF_INET, in4(LO, 80), 0);
    n.connect(n.tcp(), in4(LO, 80));
    const child = n.as(n.fork());
    const c = child.tcp();
    expect(child.connect(c, in4(LO, 80))).toBe(SLEEPS);
    n.accept(s);
    expect(n.resume(child.tid)).toBe(0);
    n.connect(n.tcp(), in4(LO, 80));
    const d = child.tcp();
    child.setopt(d, K.SOL_SOCKET, K.SO_SNDTIMEO, 1, 0, 0, 0);
    expect(child.connect(d, in4(LO, 80))).toBe(SLEEPS);
    n.k.clockSet(3_000_000_000n);
    expect(n.resume(child.tid)).toBe(-E.EINPROGRESS);
  });
});

describe('datagrams', () => {
  it('go to whoever is bound there, and say where they come from', () => {
    const a = n.udp();
    n.bind(a, in4('0.0.0.0', 53));
    const b = n.udp();
    expect(n.send(b, 1)).toBe(-E.EDESTADDRREQ);
    expect(n.sendTo(b, 4, in4(LO, 53))).toBe(4);
    const port = n.portOf(b);
    expect([n.recvFrom(a, 9), [...n.name]]).toEqual([4, [...in4(LO, port)]]);
    expect(n.sendTo(b, 1, in4(LO, 0))).toBe(-E.EINVAL);
    expect(n.sendTo(b, 1, in4(LO, 53).slice(0, 12))).toBe(-E.EINVAL);
    expect(n.sendTo(b, 1, in6('::1', 53))).toBe(-E.EAFNOSUPPORT);
    expect(n.sendTo(b, 1, in4('255.255.255.255', 53))).toBe(-E.EACCES);
    expect(n.sendTo(b, 1, in4('8.8.8.8', 53))).toBe(-E.ENETUNREACH);
    expect(n.sendTo(b, 65_508, in4(LO, 53))).toBe(-E.EMSGSIZE);
    expect(n.sendTo(b, 65_507, in4(LO, 53))).toBe(65_507);
    expect(n.recv(a, 3)).toBe(3);
    expect(n.recv(a, 1, K.MSG_DONTWAIT)).toBe(-E.EAGAIN);
  });

  it('of a connected socket come from its peer alone; nobody there is an error', () => {
    const a = n.udp();
    n.bind(a, in4(LO, 53));
    const b = n.udp();
    expect(n.connect(b, in4(LO, 53))).toBe(0);
    expect([n.getpeername(b), [...n.name]]).toEqual([0, [...in4(LO, 53)]]);
    const stranger = n.udp();
    n.sendTo(stranger, 1, in4(LO, n.portOf(b)));
    expect(n.recv(b, 9, K.MSG_DONTWAIT)).toBe(-E.EAGAIN);
    expect(n.sendTo(a, 2, in4(LO, n.portOf(b)))).toBe(2);
    expect(n.recv(b, 9)).toBe(2);
    n.close(a);
    expect(n.send(b, 1)).toBe(1);
    expect(n.send(b, 1)).toBe(-E.ECONNREFUSED);
    expect(n.send(b, 1)).toBe(1);
    expect(n.poll(b) & O.POLLERR).toBe(O.POLLERR);
    expect(n.recv(b, 1)).toBe(-E.ECONNREFUSED);
    expect(n.connect(b, UNSPEC)).toBe(0);
    expect(n.getpeername(b)).toBe(-E.ENOTCONN);
    expect(n.shutdown(b, K.SHUT_RD)).toBe(-E.ENOTCONN);
  });

  it('wait until they come, or until the time is over', () => {
    const a = n.udp();
    n.bind(a, in4(LO, 53));
    const child = n.as(n.fork());
    expect(child.recv(a, 5)).toBe(SLEEPS);
    n.sendTo(n.udp(), 2, in4(LO, 53));
    expect(n.resume(child.tid)).toBe(2);
    n.setopt(a, K.SOL_SOCKET, K.SO_RCVTIMEO, 0, 0, 500_000, 0);
    expect(child.recv(a, 5)).toBe(SLEEPS);
    n.k.clockSet(600_000_000n);
    expect(n.resume(child.tid)).toBe(-E.EAGAIN);
  });
});

describe('a network namespace', () => {
  it('begins with its loopback down', () => {
    const child = n.as(n.fork());
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(child.connect(child.tcp(), in4(LO, 9))).toBe(-E.ENETUNREACH);
    expect(child.sendTo(child.udp(), 1, in4(LO, 9))).toBe(-E.ENETUNREACH);
    expect(child.connect(child.socket(K.AF_INET6, K.SOCK_STREAM), in6('::1', 9))).toBe(
      -E.EADDRNOTAVAIL,
    );
    // no table of local addresses: any may be bound
    expect(child.bind(child.tcp(), in4('10.0.0.1', 9))).toBe(0);
    expect(child.bind(child.socket(K.AF_INET6, K.SOCK_STREAM), in6('::1', 9))).toBe(
      -E.EADDRNOTAVAIL,
    );
  });

  it('is not reached from another', () => {
    n.server(K.AF_INET, in4('0.0.0.0', 80));
    const child = n.as(n.fork());
    const c = child.tcp();
    const before = n.k.counts().namespaces;
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    // a socket stays where it was made
    expect(child.connect(c, in4(LO, 80))).toBe(0);
    const inside = child.tcp();
    expect(child.connect(inside, in4(LO, 80))).toBe(-E.ENETUNREACH);
    child.do(OP.OP_EXIT_GROUP, 0);
    expect(n.k.counts().namespaces).toBe(before);
  });
});
