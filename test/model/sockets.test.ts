// Protects: sockets under random programs: bind, listen, connect, accept, send, receive, shut down
// and close, compared call by call with a model of a page; and calls with random bytes.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as E from '../../assembly/uapi/errno.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as K from '../../assembly/uapi/socket.ts';
import { in4, in6, type Net, net, SLEEPS, un, USER } from '../unit/net/machine.ts';

const RUNS = 60;
const STEPS = 120;
const NAMES = 3;

interface End {
  inet: boolean;
  state: 'new' | 'listens' | 'connected' | 'over';
  name: number | undefined;
  queue: number;
  peer: End | undefined;
  /** connections that wait, the oldest first */
  waiting: End[];
  backlog: number;
  shutRead: boolean;
  shutWrite: boolean;
  reset: number;
  open: boolean;
  /** it was accepted: of unix it has the listener's name */
  accepted: boolean;
}

const fresh = (inet: boolean): End => ({
  inet,
  state: 'new',
  name: undefined,
  queue: 0,
  peer: undefined,
  waiting: [],
  backlog: 0,
  shutRead: false,
  shutWrite: false,
  reset: 0,
  open: true,
  accepted: false,
});

/** What each call has to answer. Sockets do not wait: those that would are EAGAIN. */
class Model {
  readonly ends = new Map<number, End>();

  #holder(end: End, name: number): boolean {
    const all = [...this.ends.values()];
    return all.some((o) => o !== end && o.inet === end.inet && o.name === name && o.open);
  }

  bind(fd: number, name: number): number {
    const end = this.ends.get(fd)!;
    const named = end.name !== undefined || end.accepted;
    if (named || (end.inet && end.state !== 'new')) return -E.EINVAL;
    if (this.#holder(end, name)) return -E.EADDRINUSE;
    end.name = name;
    return 0;
  }

  listen(fd: number, backlog: number): number {
    const end = this.ends.get(fd)!;
    if (end.name === undefined && !end.accepted) return -E.EINVAL;
    if (end.state !== 'new' && end.state !== 'listens') return -E.EINVAL;
    end.state = 'listens';
    end.backlog = backlog;
    return 0;
  }

  connect(fd: number, name: number): number {
    const end = this.ends.get(fd)!;
    const server = [...this.ends.values()].find(
      (o) => o.inet === end.inet && o.name === name && o.state === 'listens' && o.open,
    );
    if (end.inet && end.state !== 'new') return -E.EISCONN;
    if (!server && end.inet) end.shutRead = end.shutWrite = false;
    if (!server || (server.shutRead && !server.inet)) return -E.ECONNREFUSED;
    if (!end.inet && server.waiting.length > server.backlog) return -E.EAGAIN;
    if (end.state === 'connected' || end.state === 'over') return -E.EISCONN;
    if (end.state === 'listens') return -E.EINVAL;
    const child = fresh(end.inet);
    Object.assign(child, { state: 'connected', peer: end, accepted: true });
    end.state = 'connected';
    end.peer = child;
    server.waiting.push(child);
    return 0;
  }

  accept(fd: number, made: number): number {
    const end = this.ends.get(fd)!;
    if (end.state !== 'listens') return -E.EINVAL;
    const child = end.waiting.shift();
    if (!child) return -E.EAGAIN;
    this.ends.set(made, child);
    return made;
  }

  send(fd: number, bytes: number): number {
    const end = this.ends.get(fd)!;
    const never = end.state === 'new' || end.state === 'listens';
    if (never) return end.inet ? -E.EPIPE : -E.ENOTCONN;
    if (end.inet && end.reset) {
      const errno = end.reset;
      end.reset = 0;
      return -errno;
    }
    if (end.shutWrite) return -E.EPIPE;
    const { peer } = end;
    if (end.inet && (!peer?.open || (peer.shutRead && peer.shutWrite))) {
      end.reset = end.shutRead ? E.EPIPE : E.ECONNRESET;
      end.shutRead = end.shutWrite = true;
      end.state = 'over';
      return bytes;
    }
    if (end.reset) return this.#take(end);
    peer!.queue += bytes;
    return bytes;
  }

  #take(end: End): number {
    const errno = end.reset;
    end.reset = 0;
    return -errno;
  }

  recv(fd: number, room: number): number {
    const end = this.ends.get(fd)!;
    if (end.state === 'new' && end.inet && end.shutRead) return 0;
    if (end.state === 'new') return end.inet ? -E.ENOTCONN : -E.EINVAL;
    if (end.state === 'listens') return end.inet ? -E.ENOTCONN : -E.EINVAL;
    const got = Math.min(room, end.queue);
    end.queue -= got;
    if (got) return got;
    if (end.reset) return this.#take(end);
    return end.shutRead ? 0 : -E.EAGAIN;
  }

  shutdown(fd: number, how: number): number {
    const end = this.ends.get(fd)!;
    if (end.state === 'listens') return 0;
    if (how !== K.SHUT_WR) end.shutRead = true;
    if (how !== K.SHUT_RD) end.shutWrite = true;
    const { peer } = end;
    if (peer && end.state === 'connected') {
      if (how !== K.SHUT_RD) peer.shutRead = true;
      if (how !== K.SHUT_WR && !end.inet) peer.shutWrite = true;
    }
    return end.inet && end.state !== 'connected' ? -E.ENOTCONN : 0;
  }

  #end(end: End, embryo: boolean): void {
    end.open = false;
    const { peer } = end;
    if (!peer || peer.state === 'over') return;
    const unread = embryo || end.queue > 0;
    if (!end.inet) {
      peer.shutRead = peer.shutWrite = true;
      if (unread) peer.reset = E.ECONNRESET;
    } else if (unread) {
      peer.reset = peer.shutRead ? E.EPIPE : E.ECONNRESET;
      peer.shutRead = peer.shutWrite = true;
      peer.state = 'over';
    } else {
      peer.shutRead = true;
    }
  }

  close(fd: number): number {
    const end = this.ends.get(fd)!;
    for (const child of end.waiting) this.#end(child, true);
    end.waiting = [];
    if (end.state !== 'over') this.#end(end, false);
    end.open = false;
    this.ends.delete(fd);
    return 0;
  }
}

const step = fc.record({
  what: fc.constantFrom(
    'socket',
    'bind',
    'listen',
    'connect',
    'accept',
    'send',
    'recv',
    'close',
    'shutdown',
  ),
  which: fc.nat(),
  name: fc.nat(NAMES - 1),
  size: fc.integer({ min: 1, max: 300 }),
  inet: fc.boolean(),
});

/** Ports with a connection that was accepted stay taken in a way that the model does not follow. */
const nameOf = (inet: boolean, name: number): Uint8Array =>
  inet ? in4('127.0.0.1', 2000 + name) : un(`@${name}`);

it('random programs agree with the model', { timeout: 7_200_000 }, async () => {
  const n = await net('debug');
  const start = n.k.snapshot();
  fc.assert(
    fc.property(fc.array(step, { minLength: STEPS, maxLength: STEPS }), (steps) => {
      n.k.restore(start);
      const model = new Model();
      let next = 3;
      for (const { what, which, name, size, inet } of steps) {
        const fds = [...model.ends.keys()];
        if (what === 'socket' || fds.length === 0) {
          const family = inet ? K.AF_INET : K.AF_UNIX;
          const fd = n.socket(family, K.SOCK_STREAM | K.SOCK_NONBLOCK);
          if (inet) n.setopt(fd, K.SOL_SOCKET, K.SO_REUSEPORT, 0);
          model.ends.set(fd, fresh(inet));
          next = Math.max(next, fd + 1);
          continue;
        }
        const fd = fds[which % fds.length]!;
        const end = model.ends.get(fd)!;
        const bytes = nameOf(end.inet, name);
        // a port is found where the model knows of none, and a full backlog lets inet wait
        if (end.inet && (what === 'listen' || what === 'bind') && end.state !== 'new') continue;
        if (end.inet && what === 'listen' && end.name === undefined) continue;
        let have: number;
        let want: number;
        switch (what) {
          case 'bind':
            have = n.bind(fd, bytes);
            if (end.inet && have === -E.EADDRINUSE) continue;
            want = model.bind(fd, name);
            break;
          case 'listen':
            have = n.listen(fd, 64);
            want = model.listen(fd, 64);
            break;
          case 'connect':
            have = n.connect(fd, bytes);
            want = model.connect(fd, name);
            if (end.inet && have === -E.EINPROGRESS) {
              // how it went the next one tells
              have = n.connect(fd, bytes);
            }
            break;
          case 'accept':
            have = n.accept(fd, K.SOCK_NONBLOCK);
            want = model.accept(fd, have);
            break;
          case 'send':
            have = n.send(fd, size, K.MSG_NOSIGNAL);
            want = model.send(fd, size);
            break;
          case 'recv':
            have = n.recv(fd, size);
            want = model.recv(fd, size);
            break;
          case 'shutdown':
            have = n.shutdown(fd, size % 3);
            want = end.state === 'listens' ? have : model.shutdown(fd, size % 3);
            if (end.state === 'listens' && end.inet && size % 3 !== K.SHUT_WR) {
              model.close(fd);
              n.close(fd);
            }
            if (end.state === 'listens' && !end.inet) {
              model.close(fd);
              n.close(fd);
            }
            break;
          default:
            have = n.close(fd);
            want = model.close(fd);
        }
        expect([what, fd, have]).toEqual([what, fd, want]);
      }
      expect(n.k.check()).toEqual([]);
    }),
    { numRuns: RUNS, seed: 7 },
  );
});

/** A call that may ask for memory that nobody has; then nothing has happened. */
function tryCall(n: Net, op: number, args: number[], memory: Uint8Array): number {
  try {
    return n.mem(1, op, args, memory);
  } catch (error) {
    if (!/^disposition 3$/.test((error as Error).message)) throw error;
    return 0;
  }
}

it('random names and messages do no harm', { timeout: 7_200_000 }, async () => {
  const n: Net = await net('debug');
  const start = n.k.snapshot();
  const OPS = [OP.OP_BIND, OP.OP_CONNECT, OP.OP_SENDTO, OP.OP_SETSOCKOPT, OP.OP_IOCTL];
  const families = [K.AF_UNIX, K.AF_INET, K.AF_INET6, K.AF_NETLINK, K.AF_PACKET];
  const call = fc.record({
    family: fc.constantFrom(...families),
    type: fc.integer({ min: 1, max: 5 }),
    op: fc.constantFrom(...OPS),
    bytes: fc.uint8Array({ minLength: 0, maxLength: 160 }),
    length: fc.integer({ min: -1, max: 200 }),
    head: fc.constantFrom('raw', 'in4', 'in6', 'netlink'),
    option: fc.integer({ min: 0, max: 80 }),
  });
  fc.assert(
    fc.property(fc.array(call, { minLength: 30, maxLength: 30 }), (calls) => {
      n.k.restore(start);
      for (const { family, type, op, bytes, length, head, option } of calls) {
        const fd = n.socket(family, type);
        if (fd < 0) continue;
        const memory = new Uint8Array(256);
        memory.set(bytes);
        if (head === 'in4') memory.set(in4('127.0.0.1', option));
        if (head === 'in6') memory.set(in6('::1', option));
        if (head === 'netlink') {
          const view = new DataView(memory.buffer);
          view.setUint32(0, Math.max(16, length), true);
          view.setUint16(4, 16 + (option % 12), true);
          view.setUint16(6, 1 + 4 + (option & 3) * 0x100, true);
        }
        const args: Record<number, number[]> = {
          [OP.OP_SENDTO]: [fd, USER, length, 0x40, 0, 0],
          [OP.OP_SETSOCKOPT]: [fd, option % 3 === 0 ? 41 : 1, option, USER, length],
          [OP.OP_IOCTL]: [fd, 0x8910 + option, USER],
        };
        const r = tryCall(n, op, args[op] ?? [fd, USER, length], memory);
        if (r === SLEEPS) n.k.abortCall(1);
        for (let i = 0; i < 4; ++i) {
          n.mem(1, OP.OP_RECVFROM, [fd, USER, 4096, K.MSG_DONTWAIT, 0, 0], 4096);
        }
        if (option % 2) n.close(fd);
      }
      expect(n.k.check()).toEqual([]);
    }),
    { numRuns: RUNS, seed: 11 },
  );
});
