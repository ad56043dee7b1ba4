// Protects: how sockets are made: the errno of each wrong family, type and protocol, who may make
// raw ones, and in which container's network a socket lies.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { in4, type Net, net, un, USER, words } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = await net();
  return () => expect(n.k.check()).toEqual([]);
});

/** Family, type, protocol, result of socket(2) for who may do everything. */
const KINDS: [number, number, number, number][] = [
  [K.AF_UNIX, K.SOCK_STREAM, 0, 3],
  [K.AF_UNIX, K.SOCK_DGRAM, 1, 3],
  [K.AF_UNIX, K.SOCK_SEQPACKET, 0, 3],
  [K.AF_UNIX, K.SOCK_RAW, 0, 3],
  [K.AF_UNIX, K.SOCK_STREAM, 5, -E.EPROTONOSUPPORT],
  [K.AF_UNIX, 4, 0, -E.ESOCKTNOSUPPORT],
  [K.AF_INET, K.SOCK_STREAM, 6, 3],
  [K.AF_INET, K.SOCK_DGRAM, 17, 3],
  [K.AF_INET, K.SOCK_STREAM, 17, -E.EPROTONOSUPPORT],
  [K.AF_INET, K.SOCK_STREAM, 99, -E.EPROTONOSUPPORT],
  [K.AF_INET, K.SOCK_STREAM, -1, -E.EINVAL],
  [K.AF_INET, K.SOCK_STREAM, 263, -E.EINVAL],
  [K.AF_INET, K.SOCK_DGRAM, 1, -E.EACCES],
  [K.AF_INET, K.SOCK_SEQPACKET, 0, -E.ESOCKTNOSUPPORT],
  [K.AF_INET, K.SOCK_RAW, 0, -E.EPROTONOSUPPORT],
  [K.AF_INET, K.SOCK_RAW, 1, 3],
  [K.AF_INET6, K.SOCK_STREAM, 0, 3],
  [K.AF_INET6, K.SOCK_DGRAM, 0, 3],
  [K.AF_INET6, K.SOCK_RAW, 58, 3],
  [K.AF_NETLINK, K.SOCK_RAW, 0, 3],
  [K.AF_NETLINK, K.SOCK_DGRAM, 0, 3],
  [K.AF_NETLINK, K.SOCK_STREAM, 0, -E.ESOCKTNOSUPPORT],
  [K.AF_NETLINK, K.SOCK_RAW, 9, -E.EPROTONOSUPPORT],
  [K.AF_NETLINK, K.SOCK_RAW, 32, -E.EPROTONOSUPPORT],
  [K.AF_NETLINK, K.SOCK_RAW, -1, -E.EPROTONOSUPPORT],
  [K.AF_PACKET, K.SOCK_RAW, 3, 3],
  [K.AF_PACKET, K.SOCK_STREAM, 3, -E.ESOCKTNOSUPPORT],
  [3, K.SOCK_STREAM, 0, -E.EAFNOSUPPORT],
  [0, K.SOCK_STREAM, 0, -E.EAFNOSUPPORT],
  [99, K.SOCK_STREAM, 0, -E.EAFNOSUPPORT],
  [-1, K.SOCK_STREAM, 0, -E.EAFNOSUPPORT],
  [K.AF_INET, 11, 0, -E.EINVAL],
  [K.AF_INET, K.SOCK_STREAM | 0x60, 0, -E.EINVAL],
];

describe('socket', () => {
  it.each(KINDS)('of family %i, type %i, protocol %i: %i', (family, type, protocol, want) => {
    expect(n.socket(family, type, protocol)).toBe(want);
    expect(n.k.counts().sockets).toBe(want > 0 ? 1 : 0);
  });

  it('takes SOCK_CLOEXEC and SOCK_NONBLOCK', () => {
    const fd = n.socket(K.AF_INET, K.SOCK_STREAM | K.SOCK_CLOEXEC | K.SOCK_NONBLOCK);
    expect(n.k.fds(1)[fd]).toMatchObject({ kind: 'socket', cloexec: true });
    expect(n.do(OP.OP_FCNTL, fd, 3)).toBe(2 | 0x800);
  });

  it('raw and of packets need CAP_NET_RAW over the namespace', () => {
    const user = n.as(n.unprivileged());
    expect(user.socket(K.AF_INET, K.SOCK_RAW, 1)).toBe(-E.EPERM);
    expect(user.socket(K.AF_INET6, K.SOCK_RAW, 58)).toBe(-E.EPERM);
    expect(user.socket(K.AF_PACKET, K.SOCK_RAW, 3)).toBe(-E.EPERM);
    // lord of a user namespace, but not of the network
    user.do(OP.OP_UNSHARE, C.CLONE_NEWUSER);
    expect(user.socket(K.AF_INET, K.SOCK_RAW, 1)).toBe(-E.EPERM);
    user.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(user.socket(K.AF_INET, K.SOCK_RAW, 1)).toBe(3);
  });

  it('EMFILE comes after everything else', () => {
    n.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], words(3, 0, 3, 0));
    expect(n.socket(99, 1)).toBe(-E.EAFNOSUPPORT);
    expect(n.tcp()).toBe(-E.EMFILE);
    expect(n.k.counts().sockets).toBe(0);
  });

  it('of the world is made where the host says that it is there', () => {
    n.k.frame.begin(1, 0, OP.OP_SOCKET).setArg(0, 40).setArg(1, 1).assistRet(0);
    n.k.trap();
    expect(n.k.frame.result).toBe(3);
    expect(n.k.fds(1)[3]).toMatchObject({ kind: 'world' });
    expect(n.listen(3)).toBe(0);
  });
});

describe('container_socket', () => {
  const make = (flags: number): number => {
    const name = new TextEncoder().encode('box\0');
    return n.mem(1, OP.OP_CONTAINER_CREATE, [USER, flags], name);
  };
  const inside = (who: Net, cfd: number, family: number, type: number, protocol = 0): number =>
    who.do(OP.OP_CONTAINER_SOCKET, cfd, family, type, protocol);

  // spec: container_socket EBADF; container_socket EINVAL; container_socket EAFNOSUPPORT
  // spec: container_socket EPROTONOSUPPORT; container_socket ESOCKTNOSUPPORT
  it('says what is wrong in order: descriptor, container, then as socket does', () => {
    const cfd = make(U.CONTAINER_NEW_NET_NS);
    expect(inside(n, 99, 99, 1)).toBe(-E.EBADF);
    expect(inside(n, 0, 99, 1)).toBe(-E.EINVAL);
    for (const [family, type, protocol, want] of KINDS) {
      const fd = inside(n, cfd, family, type, protocol);
      expect([family, type, protocol, Math.min(fd, 4)]).toEqual([
        family,
        type,
        protocol,
        want > 0 ? 4 : want,
      ]);
      if (fd > 0) n.close(fd);
    }
  });

  // spec: container_socket EPERM
  it('needs the creator or CAP_SYS_ADMIN, and for raw sockets CAP_NET_RAW', () => {
    const cfd = make(0);
    const user = n.as(n.unprivileged());
    expect(inside(user, cfd, K.AF_INET, 1)).toBe(-E.EPERM);
    const lord = n.as(n.unprivileged(500));
    const own = new TextEncoder().encode('own\0');
    const flags = U.CONTAINER_NEW_USER_NS | U.CONTAINER_NEW_NET_NS;
    const mine = lord.mem(lord.tid, OP.OP_CONTAINER_CREATE, [USER, flags], own);
    // the creator of the user namespace has every capability in it
    expect(inside(lord, mine, K.AF_INET, K.SOCK_RAW, 1)).toBeGreaterThan(mine);
    const shared = lord.mem(lord.tid, OP.OP_CONTAINER_CREATE, [USER, 0], own);
    expect(inside(lord, shared, K.AF_INET, K.SOCK_RAW, 1)).toBe(-E.EPERM);
    expect(inside(lord, shared, K.AF_INET, K.SOCK_STREAM)).toBeGreaterThan(shared);
  });

  // spec: container_socket EMFILE
  it('needs a descriptor', () => {
    const cfd = make(0);
    n.mem(1, OP.OP_PRLIMIT64, [0, 7, USER, 0], words(4, 0, 4, 0));
    expect(inside(n, cfd, K.AF_INET, 1)).toBe(-E.EMFILE);
    expect(n.k.counts().sockets).toBe(0);
  });

  // spec: D-29
  it("lies in the container's network, with its ports and names", () => {
    const cfd = make(U.CONTAINER_NEW_NET_NS);
    const init = n.call(1, OP.OP_FORK_INTO_CONTAINER, cfd);
    n.server(K.AF_INET, in4('0.0.0.0', 80));
    n.server(K.AF_UNIX, un('@name'));
    // the same port and name are free there, and are the members' own
    const web = inside(n, cfd, K.AF_INET, K.SOCK_STREAM);
    const name = inside(n, cfd, K.AF_UNIX, K.SOCK_STREAM);
    expect([n.bind(web, in4('0.0.0.0', 80)), n.listen(web)]).toEqual([0, 0]);
    expect([n.bind(name, un('@name')), n.listen(name)]).toEqual([0, 0]);
    const member = n.as(init);
    const other = member.tcp();
    expect(member.bind(other, in4('0.0.0.0', 80))).toBe(-E.EADDRINUSE);
    const client = member.unix();
    expect(member.connect(client, un('@name'))).toBe(0);
    expect(n.accept(name)).toBeGreaterThan(name);
  });

  it('keeps the network when the container is gone', () => {
    const before = n.k.counts().namespaces;
    const cfd = make(U.CONTAINER_NEW_NET_NS);
    const fd = inside(n, cfd, K.AF_INET, K.SOCK_STREAM);
    n.close(cfd);
    expect(n.k.counts()).toMatchObject({ containers: 1, namespaces: before + 1 });
    expect(n.bind(fd, in4('0.0.0.0', 80))).toBe(0);
    n.close(fd);
    expect(n.k.counts()).toMatchObject({ namespaces: before, sockets: 0 });
    // what the initial namespace has is there for good
    expect(n.k.counts().netDevices).toBe(0);
  });
});
