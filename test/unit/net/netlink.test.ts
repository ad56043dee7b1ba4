// Protects: rtnetlink: what is listed, made and removed in one network namespace and nowhere else,
// by whom, with which answers; and the older ioctls about interfaces.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as N from '../../../assembly/uapi/net.ts';
import * as L from '../../../assembly/uapi/netlink.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { in4, type Net, net, SLEEPS, USER } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = await net();
  return () => expect(n.k.check()).toEqual([]);
});

const KERNEL = new Uint8Array([16, 0, ...Array<number>(10).fill(0)]);
const text = (s: string): Uint8Array => new TextEncoder().encode(`${s}\0`);
const u32 = (v: number): Uint8Array => new Uint8Array(Uint32Array.of(v).buffer);
const join = (...parts: Uint8Array[]): Uint8Array => new Uint8Array(parts.flatMap((p) => [...p]));
const padded = (b: Uint8Array): Uint8Array => join(b, new Uint8Array(-b.length & 3));

/** An attribute. */
const attr = (type: number, value: Uint8Array): Uint8Array =>
  padded(join(new Uint8Array(Uint16Array.of(4 + value.length, type).buffer), value));
/** A request: type, flags besides NLM_F_REQUEST, body. */
function request(type: number, flags: number, ...body: Uint8Array[]): Uint8Array {
  const rest = join(...body);
  const head = new Uint8Array(16);
  const view = new DataView(head.buffer);
  view.setUint32(0, 16 + rest.length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags | L.NLM_F_REQUEST, true);
  view.setUint32(8, 7, true);
  return join(head, rest);
}
/** struct ifinfomsg. */
const link = (index = 0, flags = 0, change = 0): Uint8Array =>
  join(new Uint8Array(4), u32(index), u32(flags), u32(change));
/** struct ifaddrmsg. */
const address = (family: number, prefix: number, index: number): Uint8Array =>
  join(new Uint8Array([family, prefix, 0, 0]), u32(index));
const kind = (name: string): Uint8Array =>
  attr(L.IFLA_LINKINFO, attr(L.IFLA_INFO_KIND, text(name)));
const named = (name: string): Uint8Array => attr(L.IFLA_IFNAME, text(name));

interface Message {
  type: number;
  flags: number;
  seq: number;
  body: DataView;
  attrs: Map<number, Uint8Array>;
}

class Route {
  readonly fd: number;
  readonly who: Net;

  constructor(who: Net, fd = who.socket(K.AF_NETLINK, K.SOCK_RAW)) {
    this.who = who;
    this.fd = fd;
  }

  send(bytes: Uint8Array): number {
    const memory = join(bytes, new Uint8Array(-bytes.length & 7), KERNEL);
    const at = USER + bytes.length + (-bytes.length & 7);
    const args = [this.fd, USER, bytes.length, 0, at, 12];
    return this.who.mem(this.who.tid, OP.OP_SENDTO, args, memory);
  }

  /** The messages of one datagram. */
  receive(head = L.IFINFOMSG_BYTES): Message[] {
    const args = [this.fd, USER, 4096, K.MSG_DONTWAIT, 0, 0];
    const length = this.who.mem(this.who.tid, OP.OP_RECVFROM, args, 4096);
    const out: Message[] = [];
    for (let at = 0; at < length;) {
      const view = new DataView(this.who.out.buffer, this.who.out.byteOffset + at);
      const size = view.getUint32(0, true);
      const attrs = new Map<number, Uint8Array>();
      for (let i = 16 + head; i + 4 <= size;) {
        const bytes = view.getUint16(i, true);
        const from = view.byteOffset + i + 4;
        attrs.set(
          view.getUint16(i + 2, true),
          new Uint8Array(view.buffer.slice(from, from + bytes - 4)),
        );
        i += Math.max(4, (bytes + 3) & ~3);
      }
      const body = new DataView(view.buffer.slice(view.byteOffset + 16, view.byteOffset + size));
      const [type, flags] = [view.getUint16(4, true), view.getUint16(6, true)];
      out.push({ type, flags, seq: view.getUint32(8, true), body, attrs });
      at += (size + 3) & ~3;
    }
    return out;
  }

  /** A request that asks for an acknowledgement: its error. */
  ask(type: number, flags: number, ...body: Uint8Array[]): number {
    const bytes = request(type, flags | L.NLM_F_ACK, ...body);
    expect(this.send(bytes)).toBe(bytes.length);
    const [answer] = this.receive(0);
    expect([answer?.type, answer?.seq]).toEqual([L.NLMSG_ERROR, 7]);
    return answer!.body.getInt32(0, true);
  }

  /** A dump: its messages; NLMSG_DONE comes in a datagram of its own. */
  dump(type: number, head: number, family = 0): Message[] {
    this.send(request(type, L.NLM_F_DUMP, new Uint8Array([family, 0, 0, 0])));
    const all: Message[] = [];
    for (let part = this.receive(head); part.length; part = this.receive(head)) all.push(...part);
    const done = all.pop();
    expect([done?.type, done?.flags]).toEqual([L.NLMSG_DONE, L.NLM_F_MULTI]);
    return all;
  }

  links(): [string, number, boolean][] {
    return this.dump(L.RTM_GETLINK, L.IFINFOMSG_BYTES).map(({ body, attrs }) => [
      new TextDecoder().decode(attrs.get(L.IFLA_IFNAME)!.slice(0, -1)),
      body.getInt32(4, true),
      (body.getUint32(8, true) & N.IFF_UP) !== 0,
    ]);
  }

  addresses(family = 0): string[] {
    return this.dump(L.RTM_GETADDR, L.IFADDRMSG_BYTES, family).map(({ body, attrs }) => {
      const local = attrs.get(L.IFA_LOCAL) ?? attrs.get(L.IFA_ADDRESS)!;
      return `${local.join('.')}/${body.getUint8(1)} dev ${body.getInt32(4, true)}`;
    });
  }
}

const LO6 = `${'0.'.repeat(15)}1/128 dev 1`;
const FIVE = new Uint8Array([10, 0, 0, 5]);

describe('lists', () => {
  it('the loopback of the initial namespace, which is up', () => {
    const r = new Route(n);
    expect(r.links()).toEqual([['lo', 1, true]]);
    expect(r.addresses()).toEqual(['127.0.0.1/8 dev 1', LO6]);
    expect(r.addresses(K.AF_INET)).toEqual(['127.0.0.1/8 dev 1']);
    const routes = r.dump(L.RTM_GETROUTE, L.RTMSG_BYTES, K.AF_INET);
    expect(routes.map((m) => [...m.attrs.get(L.RTA_DST)!])).toEqual([[127, 0, 0, 0]]);
  });

  it('one link by index or name, one route by destination', () => {
    const r = new Route(n);
    r.send(request(L.RTM_GETLINK, 0, link(1)));
    const [one] = r.receive();
    expect(one).toMatchObject({ type: L.RTM_NEWLINK, flags: 0, seq: 7 });
    expect(one!.attrs.get(L.IFLA_MTU)).toEqual(u32(65_536));
    r.send(request(L.RTM_GETLINK, 0, link(), named('lo')));
    expect(r.receive()).toHaveLength(1);
    expect(r.ask(L.RTM_GETLINK, 0, link(9))).toBe(-E.ENODEV);
    expect(r.ask(L.RTM_GETLINK, 0, link())).toBe(-E.EINVAL);
    const to = (host: number[]): Uint8Array[] => [
      new Uint8Array([2, 32, ...Array<number>(10).fill(0)]),
      attr(L.RTA_DST, new Uint8Array(host)),
    ];
    r.send(request(L.RTM_GETROUTE, 0, ...to([127, 0, 0, 9])));
    expect(r.receive(L.RTMSG_BYTES)[0]!.body.getUint8(7)).toBe(L.RTN_LOCAL);
    expect(r.ask(L.RTM_GETROUTE, 0, ...to([8, 8, 8, 8]))).toBe(-E.ENETUNREACH);
  });
});

describe('interfaces', () => {
  it('are made, named, set up, renamed and removed', () => {
    const r = new Route(n);
    const NEW = L.NLM_F_CREATE | L.NLM_F_EXCL;
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), named('d0'), kind('dummy'))).toBe(0);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), named('d0'), kind('dummy'))).toBe(-E.EEXIST);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), named('b0'), kind('bridge'))).toBe(-E.EOPNOTSUPP);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), named('a/b'), kind('dummy'))).toBe(-E.EINVAL);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), named('x'.repeat(16)), kind('dummy'))).toBe(-E.EINVAL);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(), kind('dummy'))).toBe(0);
    expect(r.ask(L.RTM_NEWLINK, NEW, link(7), kind('dummy'))).toBe(0);
    expect(r.links().map(([name, index]) => [name, index])).toEqual([
      ['lo', 1],
      ['d0', 2],
      ['dummy0', 3],
      ['dummy1', 7],
    ]);
    expect(r.ask(L.RTM_NEWLINK, 0, link(2, N.IFF_UP, N.IFF_UP), named('eth9'))).toBe(0);
    expect(r.ask(L.RTM_SETLINK, 0, link(3), named('eth9'))).toBe(-E.EEXIST);
    expect(r.ask(L.RTM_NEWLINK, 0, link(99))).toBe(-E.ENODEV);
    expect(r.links()[1]).toEqual(['eth9', 2, true]);
    expect(r.ask(L.RTM_DELLINK, 0, link(0), named('eth9'))).toBe(0);
    expect(r.ask(L.RTM_DELLINK, 0, link(3))).toBe(0);
    expect(r.ask(L.RTM_DELLINK, 0, link(3))).toBe(-E.ENODEV);
    expect(r.ask(L.RTM_DELLINK, 0, link(1))).toBe(-E.EOPNOTSUPP);
    expect(r.links().map(([name]) => name)).toEqual(['lo', 'dummy1']);
  });

  it('have addresses, at which sockets are reached', () => {
    const r = new Route(n);
    r.ask(L.RTM_NEWLINK, L.NLM_F_CREATE, link(0, N.IFF_UP, N.IFF_UP), kind('dummy'));
    const five = (index: number): Uint8Array[] => [
      address(K.AF_INET, 24, index),
      attr(L.IFA_LOCAL, FIVE),
      attr(L.IFA_ADDRESS, FIVE),
    ];
    expect(n.bind(n.tcp(), in4('10.0.0.5', 80))).toBe(-E.EADDRNOTAVAIL);
    expect(r.ask(L.RTM_NEWADDR, L.NLM_F_CREATE, ...five(2))).toBe(0);
    expect(r.ask(L.RTM_NEWADDR, L.NLM_F_CREATE, ...five(2))).toBe(-E.EEXIST);
    expect(r.ask(L.RTM_NEWADDR, 0, ...five(9))).toBe(-E.ENODEV);
    expect(r.ask(L.RTM_NEWADDR, 0, address(K.AF_INET, 33, 2), attr(L.IFA_LOCAL, FIVE))).toBe(
      -E.EINVAL,
    );
    expect(r.ask(L.RTM_NEWADDR, 0, address(K.AF_INET, 24, 2))).toBe(-E.EINVAL);
    n.server(K.AF_INET, in4('10.0.0.5', 80));
    const c = n.tcp();
    expect(n.connect(c, in4('10.0.0.5', 80))).toBe(0);
    n.getsockname(c);
    expect([...n.name.slice(4, 8)]).toEqual([...FIVE]);
    // behind the interface nobody answers
    const hasty = n.socket(K.AF_INET, K.SOCK_STREAM | K.SOCK_NONBLOCK);
    expect(n.connect(hasty, in4('10.0.0.6', 80))).toBe(-E.EINPROGRESS);
    expect(n.connect(hasty, in4('10.0.0.6', 80))).toBe(-E.EALREADY);
    expect(n.sendTo(n.udp(), 3, in4('10.0.0.6', 80))).toBe(3);
    expect(r.ask(L.RTM_DELADDR, 0, ...five(2))).toBe(0);
    expect(r.ask(L.RTM_DELADDR, 0, ...five(2))).toBe(-E.EADDRNOTAVAIL);
    expect(n.connect(n.tcp(), in4('10.0.0.5', 80))).toBe(-E.ENETUNREACH);
  });

  it('a loopback that goes up has its addresses, and is reached', () => {
    const child = n.as(n.fork());
    child.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    const r = new Route(child);
    expect([r.links(), r.addresses()]).toEqual([[['lo', 1, false]], []]);
    expect(r.ask(L.RTM_NEWLINK, 0, link(1, N.IFF_UP, N.IFF_UP))).toBe(0);
    expect(r.addresses()).toEqual(['127.0.0.1/8 dev 1', LO6]);
    expect(child.connect(child.tcp(), in4('127.0.0.1', 9))).toBe(-E.ECONNREFUSED);
    expect(child.bind(child.tcp(), in4('10.0.0.1', 9))).toBe(-E.EADDRNOTAVAIL);
    expect(r.ask(L.RTM_NEWLINK, 0, link(1, 0, N.IFF_UP))).toBe(0);
    expect(r.addresses()).toEqual(['127.0.0.1/8 dev 1']);
    expect(child.connect(child.tcp(), in4('127.0.0.1', 9))).toBe(-E.ENETUNREACH);
    // with the address given by hand before, as some tools do it
    expect(r.ask(L.RTM_NEWLINK, 0, link(1, N.IFF_UP, N.IFF_UP))).toBe(0);
    expect(r.addresses(K.AF_INET)).toHaveLength(1);
  });

  it("a supervisor's socket works in the container alone", () => {
    const flags = U.CONTAINER_NEW_NET_NS;
    const cfd = n.mem(1, OP.OP_CONTAINER_CREATE, [USER, flags], text('box'));
    const fd = n.do(OP.OP_CONTAINER_SOCKET, cfd, K.AF_NETLINK, K.SOCK_RAW, 0);
    const inside = new Route(n, fd);
    const outside = new Route(n);
    expect(inside.ask(L.RTM_NEWLINK, L.NLM_F_CREATE, link(), named('in0'), kind('dummy'))).toBe(0);
    expect(inside.links().map(([name]) => name)).toEqual(['lo', 'in0']);
    expect(outside.links().map(([name]) => name)).toEqual(['lo']);
    const init = n.as(n.do(OP.OP_FORK_INTO_CONTAINER, cfd));
    expect(new Route(init).links().map(([name]) => name)).toEqual(['lo', 'in0']);
    n.close(fd);
    n.close(cfd);
    init.do(OP.OP_EXIT_GROUP, 0);
  });

  it('whoever asks needs CAP_NET_ADMIN, and so did whoever opened the socket', () => {
    const user = n.as(n.unprivileged());
    const r = new Route(user);
    expect(r.links()).toHaveLength(1);
    expect(r.ask(L.RTM_NEWLINK, L.NLM_F_CREATE, link(), kind('dummy'))).toBe(-E.EPERM);
    expect(r.ask(L.RTM_DELLINK, 0, link(1))).toBe(-E.EPERM);
    const root = new Route(n);
    const child = n.as(n.fork());
    child.do(OP.OP_SETRESUID, 5, 5, 5);
    expect(new Route(child, root.fd).ask(L.RTM_DELLINK, 0, link(1))).toBe(-E.EPERM);
    user.do(OP.OP_UNSHARE, C.CLONE_NEWUSER);
    expect(r.ask(L.RTM_NEWLINK, L.NLM_F_CREATE, link(), kind('dummy'))).toBe(-E.EPERM);
    user.do(OP.OP_UNSHARE, C.CLONE_NEWNET);
    expect(new Route(user).ask(L.RTM_NEWLINK, L.NLM_F_CREATE, link(), kind('dummy'))).toBe(0);
  });

  it('without memory: an error or ENOBUFS, and nothing half made', () => {
    const r = new Route(n);
    const bytes = request(L.RTM_NEWLINK, L.NLM_F_ACK | L.NLM_F_CREATE, link(), kind('dummy'));
    for (let nth = 1; nth < 20; ++nth) {
      const devices = n.k.counts().netDevices;
      n.k.allocFail(nth);
      const sent = r.send(bytes);
      const made = n.k.allocCount();
      n.k.allocFail(0);
      expect(n.k.check()).toEqual([]);
      const answer = r.receive(0)[0]?.body.getInt32(0, true);
      if (made < nth) break;
      if (sent < 0) expect([sent, n.k.counts().netDevices]).toEqual([-E.ENOMEM, devices]);
      else if (answer !== undefined) expect(answer).toBe(-E.ENOMEM);
      expect(nth).toBeLessThan(19);
    }
  });
});

describe('the protocol', () => {
  it('answers what it does not know, and passes over what is no request', () => {
    const r = new Route(n);
    expect(r.ask(200, 0, new Uint8Array(4))).toBe(-E.EOPNOTSUPP);
    expect(r.ask(60, 0, new Uint8Array(4))).toBe(-E.EOPNOTSUPP);
    expect(r.ask(L.NLMSG_NOOP, 0)).toBe(0);
    expect(r.ask(L.RTM_NEWADDR, 0, new Uint8Array(4))).toBe(-E.EINVAL);
    // two requests in one message, the second one longer than what is there
    const one = request(L.NLMSG_NOOP, L.NLM_F_ACK);
    const long = request(L.NLMSG_NOOP, L.NLM_F_ACK);
    long[0] = 200;
    r.send(join(one, one, long));
    expect([r.receive(0).length, r.receive(0).length, r.receive(0).length]).toEqual([1, 1, 0]);
    expect(r.send(new Uint8Array(7))).toBe(7);
    expect(r.receive()).toEqual([]);
    expect(n.recv(r.fd, 100)).toBe(SLEEPS);
  });

  it('a failed request comes back whole, an acknowledged one by its head', () => {
    const r = new Route(n);
    r.send(request(L.RTM_GETLINK, 0, link(9)));
    const [failed] = r.receive(0);
    expect([failed!.flags, failed!.body.byteLength]).toEqual([0, 4 + 32]);
    r.send(request(L.NLMSG_NOOP, L.NLM_F_ACK));
    const [done] = r.receive(0);
    expect([done!.flags, done!.body.byteLength]).toEqual([L.NLM_F_CAPPED, 4 + 16]);
  });

  it('sockets have numbers: the process, or one of their own', () => {
    const a = new Route(n);
    const b = new Route(n);
    expect(n.bind(a.fd, KERNEL)).toBe(0);
    n.getsockname(a.fd);
    expect([...n.name]).toEqual([16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect(n.bind(b.fd, new Uint8Array([16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))).toBe(-E.EADDRINUSE);
    expect(n.bind(b.fd, KERNEL)).toBe(0);
    n.getsockname(b.fd);
    expect(new DataView(n.name.buffer, n.name.byteOffset).getInt32(4, true)).toBeLessThan(-4095);
    expect(n.bind(b.fd, new Uint8Array([16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]))).toBe(-E.EINVAL);
    expect(n.bind(b.fd, KERNEL.slice(0, 11))).toBe(-E.EINVAL);
    expect(n.bind(b.fd, in4('127.0.0.1', 9))).toBe(-E.EINVAL);
    expect(n.connect(b.fd, KERNEL)).toBe(0);
    expect(n.sendTo(b.fd, 4, new Uint8Array([16, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0]))).toBe(
      -E.ECONNREFUSED,
    );
    expect(n.listen(b.fd)).toBe(-E.EOPNOTSUPP);
    expect(n.accept(b.fd)).toBe(-E.EOPNOTSUPP);
    expect(n.shutdown(b.fd, 0)).toBe(-E.EOPNOTSUPP);
    expect(n.setopt(b.fd, L.SOL_NETLINK, L.NETLINK_ADD_MEMBERSHIP, 1)).toBe(0);
    expect(n.setopt(b.fd, L.SOL_NETLINK, 99, 1)).toBe(-E.ENOPROTOOPT);
  });
});

describe('ioctl', () => {
  const ifreq = (name: string, value = 0): Uint8Array => {
    const bytes = new Uint8Array(40);
    bytes.set(new TextEncoder().encode(name));
    new DataView(bytes.buffer).setInt32(16, value, true);
    return bytes;
  };
  const ask = (who: Net, fd: number, cmd: number, name: string, value = 0): number => {
    const r = who.mem(who.tid, OP.OP_IOCTL, [fd, cmd, USER], ifreq(name, value));
    return r < 0 ? r : who.word(4);
  };

  it('asks for index, name, flags, size, address', () => {
    const s = n.unix(K.SOCK_DGRAM);
    expect(ask(n, s, N.SIOCGIFINDEX, 'lo')).toBe(1);
    expect(ask(n, s, N.SIOCGIFINDEX, 'eth0')).toBe(-E.ENODEV);
    expect(ask(n, s, N.SIOCGIFFLAGS, 'lo')).toBe(N.IFF_UP | N.IFF_LOOPBACK | N.IFF_RUNNING);
    expect(ask(n, s, N.SIOCGIFMTU, 'lo')).toBe(65_536);
    expect(ask(n, s, N.SIOCGIFTXQLEN, 'lo')).toBe(1000);
    expect(ask(n, s, N.SIOCGIFHWADDR, 'lo')).toBe(N.ARPHRD_LOOPBACK);
    expect(ask(n, s, N.SIOCGIFADDR, 'lo')).toBe(-E.ENOTTY);
    const u = n.udp();
    ask(n, u, N.SIOCGIFADDR, 'lo');
    expect([...n.out.slice(16, 24)]).toEqual([2, 0, 0, 0, 127, 0, 0, 1]);
    ask(n, u, N.SIOCGIFNETMASK, 'lo');
    expect([...n.out.slice(20, 24)]).toEqual([255, 0, 0, 0]);
    n.mem(1, OP.OP_IOCTL, [s, N.SIOCGIFNAME, USER], ifreq('', 1));
    expect([...n.out.slice(0, 3)]).toEqual([108, 111, 0]);
    expect(n.fault(1, OP.OP_IOCTL, s, N.SIOCGIFINDEX, USER)).toBe(-E.EFAULT);
    expect(n.do(OP.OP_IOCTL, s, 0x8999, 0)).toBe(-E.ENOTTY);
  });

  it('sets flags and names for CAP_NET_ADMIN', () => {
    const child = n.as(n.unprivileged());
    const s = child.udp();
    expect(ask(child, s, N.SIOCSIFFLAGS, 'lo', 0)).toBe(-E.EPERM);
    child.do(OP.OP_UNSHARE, C.CLONE_NEWUSER | C.CLONE_NEWNET);
    const t = child.udp();
    expect(ask(child, t, N.SIOCSIFFLAGS, 'lo', N.IFF_UP)).toBe(N.IFF_UP);
    expect(child.connect(child.tcp(), in4('127.0.0.1', 9))).toBe(-E.ECONNREFUSED);
    expect(ask(child, t, N.SIOCSIFMTU, 'lo', 1400)).toBe(1400);
    expect(ask(child, t, N.SIOCGIFMTU, 'lo')).toBe(1400);
    expect(ask(child, t, N.SIOCSIFNAME, 'lo', 0x78)).toBe(0x78);
    expect(ask(child, t, N.SIOCGIFINDEX, 'x')).toBe(1);
  });

  it('lists what has an address', () => {
    const s = n.udp();
    const memory = new Uint8Array(16 + 80);
    const view = new DataView(memory.buffer);
    view.setInt32(0, 80, true);
    view.setBigUint64(8, BigInt(USER + 16), true);
    expect(n.mem(1, OP.OP_IOCTL, [s, N.SIOCGIFCONF, USER], memory)).toBe(0);
    expect([n.word(0), n.out[16], n.out[17]]).toEqual([40, 108, 111]);
    expect([...n.out.slice(36, 40)]).toEqual([127, 0, 0, 1]);
    // without a buffer it says how long it has to be
    expect(n.mem(1, OP.OP_IOCTL, [s, N.SIOCGIFCONF, USER], 16)).toBe(0);
    expect(n.word(0)).toBe(40);
  });
});
