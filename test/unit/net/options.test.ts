// Protects: setsockopt and getsockopt: what each option gives, its errnos, limits of buffers; and
// several messages in one call.
import { beforeEach, describe, expect, it } from 'vitest';
import * as E from '../../../assembly/uapi/errno.ts';
import * as N from '../../../assembly/uapi/net.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { in4, type Net, net, un, USER, SLEEPS } from './machine.ts';

let n: Net;
beforeEach(async () => {
  n = await net();
  return () => expect(n.k.check()).toEqual([]);
});

const get = (fd: number, option: number): number[] | number => n.getopt(fd, K.SOL_SOCKET, option);
const set = (fd: number, option: number, ...values: number[]): number =>
  n.setopt(fd, K.SOL_SOCKET, option, ...values);

describe('options', () => {
  it('tell what a socket is', () => {
    const s = n.server(K.AF_INET, in4('127.0.0.1', 0));
    const kinds = [K.SO_TYPE, K.SO_DOMAIN, K.SO_PROTOCOL, K.SO_ACCEPTCONN].map((o) => get(s, o));
    expect(kinds).toEqual([[K.SOCK_STREAM], [K.AF_INET], [N.IPPROTO_TCP], [1]]);
    const u = n.unix(K.SOCK_DGRAM);
    const other = [K.SO_TYPE, K.SO_DOMAIN, K.SO_PROTOCOL, K.SO_ACCEPTCONN].map((o) => get(u, o));
    expect(other).toEqual([[K.SOCK_DGRAM], [K.AF_UNIX], [0], [0]]);
    for (const option of [K.SO_TYPE, K.SO_DOMAIN, K.SO_PROTOCOL, K.SO_ACCEPTCONN, K.SO_ERROR]) {
      expect(set(s, option, 1)).toBe(-E.ENOPROTOOPT);
    }
    expect([get(s, 250), set(s, 250, 1)]).toEqual([-E.ENOPROTOOPT, -E.ENOPROTOOPT]);
    expect(get(99, K.SO_TYPE)).toBe(-E.EBADF);
  });

  it('are switched on and off', () => {
    const s = n.tcp();
    for (const o of [K.SO_REUSEADDR, K.SO_REUSEPORT, K.SO_KEEPALIVE, K.SO_BROADCAST]) {
      expect([get(s, o), set(s, o, 7), get(s, o), set(s, o, 0), get(s, o)]).toEqual([
        [0],
        0,
        [1],
        0,
        [0],
      ]);
    }
    expect(n.setopt(s, N.IPPROTO_TCP, N.TCP_NODELAY, 1)).toBe(0);
    expect(n.getopt(s, N.IPPROTO_TCP, N.TCP_NODELAY)).toEqual([1]);
    expect([set(s, K.SO_LINGER, 1, 5), get(s, K.SO_LINGER)]).toEqual([0, [1, 5]]);
    expect(set(s, K.SO_LINGER, 1)).toBe(-E.EINVAL);
    expect(set(s, K.SO_PASSCRED, 1)).toBe(-E.EOPNOTSUPP);
    expect(n.mem(1, OP.OP_SETSOCKOPT, [s, 1, K.SO_REUSEADDR, USER, 3], 4)).toBe(-E.EINVAL);
    expect(n.fault(1, OP.OP_SETSOCKOPT, s, 1, K.SO_REUSEADDR, USER, 4)).toBe(-E.EFAULT);
  });

  it('buffers are doubled, within limits', () => {
    const u = n.udp();
    expect([get(u, K.SO_SNDBUF), get(u, K.SO_RCVBUF)]).toEqual([[212_992], [212_992]]);
    const t = n.tcp();
    expect([get(t, K.SO_SNDBUF), get(t, K.SO_RCVBUF)]).toEqual([[16_384], [131_072]]);
    for (const [asked, send, receive] of [
      [100, 4608, 2304],
      [10_000, 20_000, 20_000],
      [1e9, 425_984, 425_984],
      [-1, 425_984, 425_984],
    ] as const) {
      set(u, K.SO_SNDBUF, asked);
      set(u, K.SO_RCVBUF, asked);
      expect([get(u, K.SO_SNDBUF), get(u, K.SO_RCVBUF)]).toEqual([[send], [receive]]);
    }
    expect([set(u, K.SO_RCVBUFFORCE, 1e6), get(u, K.SO_RCVBUF)]).toEqual([0, [2_000_000]]);
    const user = n.as(n.unprivileged());
    expect(user.setopt(u, K.SOL_SOCKET, K.SO_SNDBUFFORCE, 1e6)).toBe(-E.EPERM);
  });

  it('times are given back as they were set', () => {
    const s = n.udp();
    expect(set(s, K.SO_RCVTIMEO, 3, 0, 250_000, 0)).toBe(0);
    expect(get(s, K.SO_RCVTIMEO)).toEqual([3, 0, 250_000, 0]);
    expect(get(s, K.SO_SNDTIMEO)).toEqual([0, 0, 0, 0]);
    expect(set(s, K.SO_RCVTIMEO, 0, 0, 1_000_000, 0)).toBe(-E.EDOM);
    expect(set(s, K.SO_RCVTIMEO, 1, 0)).toBe(-E.EINVAL);
    // less than no time is none
    expect(set(s, K.SO_RCVTIMEO, -1, -1, 0, 0)).toBe(0);
    n.bind(s, in4('127.0.0.1', 0));
    expect(n.recv(s, 1)).toBe(-E.EAGAIN);
  });

  it('an interface is named by SO_BINDTODEVICE', () => {
    const s = n.udp();
    const lo = 0x6f6c;
    expect([set(s, K.SO_BINDTODEVICE, lo), set(s, K.SO_BINDTODEVICE, 0x78)]).toEqual([
      0,
      -E.ENODEV,
    ]);
    const user = n.as(n.unprivileged());
    expect(user.setopt(s, K.SOL_SOCKET, K.SO_BINDTODEVICE, 0)).toBe(-E.EPERM);
  });
});

describe('several messages in one call', () => {
  /** struct mmsghdr[count], each with a buffer of `length` bytes. */
  const messages = (count: number, length: number): Uint8Array => {
    const bytes = new Uint8Array(64 * count + 16);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < count; ++i) {
      view.setBigUint64(i * 64 + 16, BigInt(USER + 64 * count), true);
      view.setBigUint64(i * 64 + 24, 1n, true);
    }
    view.setBigUint64(64 * count, 0x9000n, true);
    view.setBigUint64(64 * count + 8, BigInt(length), true);
    return bytes;
  };

  it('are sent and received, their lengths beside them', () => {
    n.mem(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_DGRAM, 0, USER], 8);
    const [a, b] = [n.word(0), n.word(1)];
    expect(n.mem(1, OP.OP_SENDMMSG, [a, USER, 3, 0], messages(3, 5))).toBe(3);
    expect([14, 30, 46].map((i) => n.word(i))).toEqual([5, 5, 5]);
    expect(n.mem(1, OP.OP_RECVMMSG, [b, USER, 4, K.MSG_WAITFORONE, 0], messages(4, 9))).toBe(3);
    expect([14, 30, 46, 62].map((i) => n.word(i))).toEqual([5, 5, 5, 0]);
    expect(n.mem(1, OP.OP_RECVMMSG, [b, USER, 4, K.MSG_DONTWAIT, 0], messages(4, 9))).toBe(
      -E.EAGAIN,
    );
    expect(n.mem(1, OP.OP_SENDMMSG, [a, USER, 0, 0], messages(1, 5))).toBe(0);
    expect(n.mem(1, OP.OP_SENDMMSG, [99, USER, 1, 0], messages(1, 5))).toBe(-E.EBADF);
  });

  it('are waited for, all or with MSG_WAITFORONE one', () => {
    n.mem(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_DGRAM, 0, USER], 8);
    const [a, b] = [n.word(0), n.word(1)];
    const child = n.as(n.mem(1, OP.OP_FORK, [], 0));
    const wait = (flags: number): unknown =>
      n.mem(child.tid, OP.OP_RECVMMSG, [b, USER, 3, flags, 0], messages(3, 9));
    n.mem(1, OP.OP_SENDMMSG, [a, USER, 1, 0], messages(1, 5));
    expect(wait(0)).toBe(SLEEPS);
    n.mem(1, OP.OP_SENDMMSG, [a, USER, 1, 0], messages(1, 6));
    n.k.runWoken();
    n.mem(1, OP.OP_SENDMMSG, [a, USER, 1, 0], messages(1, 7));
    n.k.runWoken();
    const frame = n.k.frameOf(child.tid)!;
    expect(frame.result).toBe(3);
    const out = Buffer.from(frame.output(USER, 192)!);
    expect([56, 120, 184].map((at) => out.readUInt32LE(at))).toEqual([5, 6, 7]);
    n.mem(1, OP.OP_SENDMMSG, [a, USER, 1, 0], messages(1, 5));
    expect(wait(K.MSG_WAITFORONE)).toBe(1);
    expect(n.k.check()).toEqual([]);
  });

  it('end when their time is over, and say what is left', () => {
    n.mem(1, OP.OP_SOCKETPAIR, [K.AF_UNIX, K.SOCK_DGRAM, 0, USER], 8);
    const [a, b] = [n.word(0), n.word(1)];
    n.mem(1, OP.OP_SENDMMSG, [a, USER, 2, 0], messages(2, 5));
    const timed = (sec: bigint, nsec: bigint): Uint8Array => {
      const bytes = new Uint8Array([...messages(2, 9), ...new Uint8Array(16)]);
      bytes.set(new Uint8Array(new BigInt64Array([sec, nsec]).buffer), 144);
      return bytes;
    };
    const at = USER + 144;
    expect(n.mem(1, OP.OP_RECVMMSG, [b, USER, 2, 0, at], timed(0n, 1_000_000_000n))).toBe(
      -E.EINVAL,
    );
    // looked at after each message
    expect(n.mem(1, OP.OP_RECVMMSG, [b, USER, 2, 0, at], timed(0n, 0n))).toBe(1);
    expect(n.mem(1, OP.OP_RECVMMSG, [b, USER, 1, 0, at], timed(5n, 7n))).toBe(1);
    expect([n.word(36), n.word(38)]).toEqual([5, 7]);
  });

  it('names go along in struct msghdr', () => {
    const a = n.unix(K.SOCK_DGRAM);
    n.bind(a, un('@a'));
    const b = n.unix(K.SOCK_DGRAM);
    n.bind(b, un('@b'));
    const bytes = new Uint8Array(160);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(USER + 100), true);
    view.setInt32(8, 4, true);
    view.setBigUint64(16, BigInt(USER + 64), true);
    view.setBigUint64(24, 1n, true);
    view.setBigUint64(64, 0x9000n, true);
    view.setBigUint64(72, 6n, true);
    bytes.set(un('@b'), 100);
    expect(n.mem(1, OP.OP_SENDMSG, [a, USER, 0], bytes)).toBe(6);
    view.setInt32(8, 32, true);
    expect(n.mem(1, OP.OP_RECVMSG, [b, USER, 0], bytes)).toBe(6);
    expect([n.word(2), [...n.out.slice(100, 104)]]).toEqual([4, [...un('@a')]]);
  });
});
