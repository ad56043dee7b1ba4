// The invariant checker's part about sockets and networks: what lies in queues, who is connected to
// whom, who waits to be accepted, ports and names on their chains, interfaces and addresses.
import type { CheckContext } from './check-files.ts';
import type { Counts } from './counts.ts';
import { layout as L } from './generated/layout.ts';

const LISTEN = 10;
const CHAINS = 64;
const NEWNET = 0x40000000;
const UNIX = 1;
const S = L.sock;

/** What sockets refer to that the whole check counts. */
export interface NetFindings {
  file(at: number): void;
  namespace(at: number): void;
  groups(at: number): void;
}

export class SockChecker {
  readonly #c: CheckContext;
  readonly #f: NetFindings;
  /** sockets: references found */
  readonly #socks = new Map<number, number>();
  readonly #seen = new Set<number>();
  readonly #wmem = new Map<number, number>();
  readonly #names = new Map<number, number>();
  /** files in messages */
  readonly inflight = new Map<number, number>();
  #messages = 0;
  #devices = 0;
  #addresses = 0;

  constructor(context: CheckContext, findings: NetFindings) {
    this.#c = context;
    this.#f = findings;
  }

  /** A socket with an open file. */
  open(sock: number, file: number): void {
    this.#ref(sock);
    if (this.#c.word(sock + S.file) !== file) this.#c.say('a socket has another file');
    if (this.#c.word(sock + S.parent) && this.#c.word(sock + S.state) === LISTEN) {
      this.#c.say('a listener waits for another');
    }
  }

  #ref(sock: number): void {
    this.#socks.set(sock, (this.#socks.get(sock) ?? 0) + 1);
    if (this.#seen.has(sock)) return;
    this.#seen.add(sock);
    const c = this.#c;
    const peer = c.word(sock + S.peer);
    if (peer) this.#ref(peer);
    const maker = c.word(sock + S.peer_pid);
    if (maker) c.ref('pid', maker);
    const name = c.word(sock + S.addr);
    if (name) this.#names.set(name, (this.#names.get(name) ?? 0) + 1);
    const node = c.word(sock + S.node);
    if (node) c.vfs.file(node);
    const groups = c.word(sock + S.groups);
    if (groups) this.#f.groups(groups);
    this.#f.namespace(c.word(sock + S.net));
    this.#queue(sock);
    this.#lists(sock);
  }

  #queue(sock: number): void {
    const c = this.#c;
    let bytes = 0;
    let messages = 0;
    for (const skb of c.list(sock + S.queue_next, 'messages of a socket')) {
      messages += 1;
      bytes += c.word(skb + L.sk_buff.len);
      const sender = c.word(skb + L.sk_buff.sender);
      this.#ref(sender);
      const size = c.word(skb + L.sk_buff.truesize);
      this.#wmem.set(sender, (this.#wmem.get(sender) ?? 0) + size);
      const pid = c.word(skb + L.sk_buff.pid);
      if (pid) c.ref('pid', pid);
      const fds = c.word(skb + L.sk_buff.fds);
      for (let i = 0; i < c.word(skb + L.sk_buff.nr_fds); ++i) {
        const at = c.word(fds + i * 4);
        this.inflight.set(at, (this.inflight.get(at) ?? 0) + 1);
        this.#f.file(at);
      }
    }
    this.#messages += messages;
    if (bytes !== c.word(sock + S.bytes)) c.say('a socket counts its bytes wrong');
    if (messages !== c.word(sock + S.qlen)) c.say('a socket counts its messages wrong');
  }

  /** Connections that wait in a listener, and sockets that wait for room. */
  #lists(sock: number): void {
    const c = this.#c;
    let children = 0;
    for (const link of c.list(sock + S.children_next, 'connections of a listener')) {
      const child = link - S.link_next;
      children += 1;
      this.#ref(child);
      if (c.word(child + S.parent) !== sock) c.say('a connection waits in another listener');
      if (c.word(child + S.file)) c.say('a connection that waits has a file');
    }
    if (children !== c.word(sock + S.nr_children)) c.say('a listener counts its connections wrong');
    if (children && c.word(sock + S.state) !== LISTEN) c.say('connections wait in no listener');
    for (const link of c.list(sock + S.pending_next, 'sockets that wait for room')) {
      if (c.word(link - S.link_next + S.parent) !== sock) c.say('a socket waits for another');
    }
    const link = sock + S.link_next;
    const linked = c.word(link) !== link;
    if (linked !== (c.word(sock + S.parent) !== 0)) c.say('a socket waits on no list, or is lost');
  }

  /** Once every file is known: references, flights, ports and names. */
  finish(counts: Counts): void {
    const c = this.#c;
    const listed = new Set<number>();
    for (const link of c.list(c.rootAt('inflight_next'), 'sockets in flight')) {
      listed.add(link - S.inflight_next);
    }
    for (const [sock, references] of this.#socks) {
      if (c.word(sock) !== references) {
        c.say(`socket: ${c.word(sock)} counted, ${references} found`);
      }
      if (c.word(sock + S.wmem) !== (this.#wmem.get(sock) ?? 0)) c.say('wmem of a socket');
      const file = c.word(sock + S.file);
      const flying = file !== 0 && (this.inflight.get(file) ?? 0) > 0;
      if (flying !== listed.has(sock)) c.say('a socket in flight is not listed, or is listed');
    }
    for (const [name, references] of this.#names) {
      if (c.word(name) !== references) c.say('references to the name of a socket');
    }
    const live: [string, number, number][] = [
      ['sockets', counts.sockets, this.#socks.size],
      ['messages', counts.messages, this.#messages],
      ['names of sockets', counts.socketNames, this.#names.size],
    ];
    for (const [what, have, found] of live) {
      if (have !== found) c.say(`${what}: ${have} live, ${found} reachable`);
    }
  }

  /** What network namespaces hold, once all namespaces are known. */
  namespaces(all: Iterable<number>, counts: Counts): void {
    const hashed = new Set<number>();
    for (const ns of all) {
      if (this.#c.word(ns + L.ns_common.type) !== NEWNET) continue;
      this.#devicesOf(ns);
      this.#chainsOf(ns, hashed);
    }
    for (const sock of this.#socks.keys()) {
      const link = sock + S.hash_next;
      if ((this.#c.word(link) !== link) !== hashed.has(sock)) {
        this.#c.say('a socket is on a chain of no namespace');
      }
    }
    if (counts.netDevices !== this.#devices) this.#c.say('interfaces that nobody has');
    if (counts.netAddresses !== this.#addresses) this.#c.say('addresses that nobody has');
  }

  #devicesOf(ns: number): void {
    const c = this.#c;
    const names = new Set<string>();
    let last = 0;
    for (let at = c.word(ns + L.net_namespace.devs); at; at = c.word(at + L.net_device.next)) {
      this.#devices += 1;
      const index = c.word(at + L.net_device.ifindex);
      if (index <= last) c.say('interfaces are out of order');
      last = index;
      const name = [0, 4, 8, 12].map((i) => c.word(at + L.net_device.name0 + i)).join();
      if (names.has(name)) c.say('two interfaces have one name');
      names.add(name);
      for (let a = c.word(at + L.net_device.addrs); a; a = c.word(a + L.in_ifaddr.next)) {
        this.#addresses += 1;
      }
    }
  }

  #chainsOf(ns: number, hashed: Set<number>): void {
    const c = this.#c;
    const chains = c.word(ns + L.net_namespace.chains);
    if (!chains) return;
    for (let i = 0; i < CHAINS; ++i) {
      for (const link of c.list(chains + i * 8, 'sockets by name or port')) {
        const sock = link - S.hash_next;
        hashed.add(sock);
        const unix = c.word(sock + S.family) === UNIX;
        // a path is known in the initial namespace, whoever bound it
        if (!unix && c.word(sock + S.net) !== ns) c.say('a port in a foreign namespace');
        if (!c.word(sock + (unix ? S.addr : S.num))) c.say('a socket without name is on a chain');
      }
    }
  }
}
