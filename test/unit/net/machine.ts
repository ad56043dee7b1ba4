// Drives a kernel through the calls on sockets: names as bytes at USER, results as numbers.
import * as OP from '../../../assembly/uapi/op.ts';
import * as K from '../../../assembly/uapi/socket.ts';
import { Driver, driver, USER } from '../kernel/driver.ts';
import type { KernelTarget } from '../../../host/index.ts';

export { SLEEPS, USER, words } from '../kernel/driver.ts';

/** Addresses of IPv4 by their text. */
const quad = (host: string): number[] => host.split('.').map(Number);

export const port16 = (port: number): [number, number] => [port >> 8, port & 255];

/** struct sockaddr_in. */
export function in4(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  bytes.set([K.AF_INET, 0, ...port16(port), ...quad(host)]);
  return bytes;
}

/** struct sockaddr_in6 of `::1`, `::`, or an IPv4 address in mapped form. */
export function in6(host: string, port: number): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes.set([K.AF_INET6, 0, ...port16(port)]);
  if (host === '::1') bytes[23] = 1;
  else if (host.includes('.')) bytes.set([0xff, 0xff, ...quad(host)], 18);
  else if (host !== '::') throw new Error(host);
  return bytes;
}

/** struct sockaddr_un; a name that begins with @ is abstract. */
export function un(name: string): Uint8Array {
  const text = new TextEncoder().encode(name);
  if (name.startsWith('@')) text[0] = 0;
  const path = name.startsWith('@') ? text : [...text, 0];
  return new Uint8Array([K.AF_UNIX, 0, ...path]);
}

export const UNSPEC = new Uint8Array(16);

export class Net extends Driver {
  tid = 1;

  /** The same machine, as another task sees it. */
  as(tid: number): Net {
    const other = new Net(this.k);
    other.tid = tid;
    return other;
  }

  do(op: number, ...args: (number | bigint)[]): number {
    return this.call(this.tid, op, ...args);
  }

  socket(family: number, type: number, protocol = 0): number {
    return this.do(OP.OP_SOCKET, family, type, protocol);
  }

  tcp(): number {
    return this.socket(K.AF_INET, K.SOCK_STREAM);
  }
  udp(): number {
    return this.socket(K.AF_INET, K.SOCK_DGRAM);
  }
  unix(type = K.SOCK_STREAM): number {
    return this.socket(K.AF_UNIX, type);
  }

  bind(fd: number, name: Uint8Array): number {
    return this.mem(this.tid, OP.OP_BIND, [fd, USER, name.length], name);
  }

  connect(fd: number, name: Uint8Array): number {
    return this.mem(this.tid, OP.OP_CONNECT, [fd, USER, name.length], name);
  }

  listen(fd: number, backlog = 8): number {
    return this.do(OP.OP_LISTEN, fd, backlog);
  }

  accept(fd: number, flags = 0): number {
    return this.do(OP.OP_ACCEPT4, fd, 0, 0, flags);
  }

  /** A listener at `name`. */
  server(family: number, name: Uint8Array, backlog = 8): number {
    const fd = this.socket(family, K.SOCK_STREAM);
    const bad = this.bind(fd, name) || this.listen(fd, backlog);
    if (bad) throw new Error(`server: ${bad}`);
    return fd;
  }

  send(fd: number, bytes: number, flags = 0): number {
    return this.do(OP.OP_SENDTO, fd, 0x9000, bytes, flags, 0, 0);
  }

  sendTo(fd: number, bytes: number, name: Uint8Array, flags = 0): number {
    return this.mem(this.tid, OP.OP_SENDTO, [fd, 0x9000, bytes, flags, USER, name.length], name);
  }

  recv(fd: number, bytes: number, flags = 0): number {
    return this.do(OP.OP_RECVFROM, fd, 0x9000, bytes, flags, 0, 0);
  }

  close(fd: number): number {
    return this.do(OP.OP_CLOSE, fd);
  }

  shutdown(fd: number, how: number): number {
    return this.do(OP.OP_SHUTDOWN, fd, how);
  }

  /** A name that a call leaves, by its room; its length lies behind it. */
  #named(op: number, args: (number | bigint)[], room: number): number {
    const memory = new Uint8Array(136);
    new DataView(memory.buffer).setInt32(128, room, true);
    return this.mem(this.tid, op, args, memory);
  }

  /** The name that the last call left. */
  get name(): Uint8Array {
    const length = new DataView(this.out.buffer, this.out.byteOffset).getInt32(128, true);
    return this.out.slice(0, Math.max(0, Math.min(length, 128)));
  }

  getsockname(fd: number, room = 128): number {
    return this.#named(OP.OP_GETSOCKNAME, [fd, USER, USER + 128], room);
  }

  getpeername(fd: number, room = 128): number {
    return this.#named(OP.OP_GETPEERNAME, [fd, USER, USER + 128], room);
  }

  acceptNamed(fd: number, room = 128): number {
    return this.#named(OP.OP_ACCEPT, [fd, USER, USER + 128], room);
  }

  recvFrom(fd: number, bytes: number, flags = 0): number {
    return this.#named(OP.OP_RECVFROM, [fd, 0x9000, bytes, flags, USER, USER + 128], 128);
  }

  portOf(fd: number): number {
    this.getsockname(fd);
    return (this.name[2]! << 8) | this.name[3]!;
  }

  setopt(fd: number, level: number, option: number, ...values: number[]): number {
    const value = new Uint8Array(Int32Array.from(values).buffer);
    const args = [fd, level, option, USER, value.length];
    return this.mem(this.tid, OP.OP_SETSOCKOPT, args, value);
  }

  /** Value of an option as words of 32 bits; a number: the errno. */
  getopt(fd: number, level: number, option: number, room = 16): number[] | number {
    const memory = new Uint8Array(room + 4);
    new DataView(memory.buffer).setInt32(room, room, true);
    const args = [fd, level, option, USER, USER + room];
    const r = this.mem(this.tid, OP.OP_GETSOCKOPT, args, memory);
    if (r < 0) return r;
    const view = new DataView(this.out.buffer, this.out.byteOffset);
    return Array.from({ length: view.getInt32(room, true) >> 2 }, (_, i) =>
      view.getInt32(i * 4, true),
    );
  }

  /** What poll(2) finds of one descriptor, asked for everything. */
  poll(fd: number): number {
    const memory = new Uint8Array(8);
    const view = new DataView(memory.buffer);
    view.setInt32(0, fd, true);
    view.setUint16(4, 0x27ff, true);
    this.mem(this.tid, OP.OP_POLL, [USER, 1, 0], memory);
    return new DataView(this.out.buffer, this.out.byteOffset).getUint16(6, true);
  }
}

export async function net(target: KernelTarget = 'debug'): Promise<Net> {
  return new Net((await driver(target)).k);
}
