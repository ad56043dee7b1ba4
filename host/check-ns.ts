// The invariant checker's part about namespaces: who holds them, that users' counts are right, that
// id maps are sorted and sound.
import { layout as L } from './generated/layout.ts';
import type { Views } from './views.ts';

/** What the checker does with a reference, and with something that is wrong. */
export interface NsFindings {
  /** counts a reference; true when it is the first one to this object */
  ref(kind: 'namespace' | 'ucounts' | 'groups' | 'pid' | 'cred', at: number): boolean;
  say(text: string): void;
}

const NEWUSER = 0x10000000;
const NEWPID = 0x20000000;
const NEWUTS = 0x04000000;
const MAX_BASE_EXTENTS = 5;
const UCOUNT_CHAINS = 64;
/** Behind the types of namespaces: tasks, queued signals. */
const PROCESSES = 8;
const SIGPENDING = 9;
const COUNTERS = 10;
const NSPROXY_FIELDS = [
  'mnt_ns',
  'uts_ns',
  'ipc_ns',
  'pid_ns_for_children',
  'cgroup_ns',
  'net_ns',
  'time_ns',
  'time_ns_for_children',
] as const;

/** Position of a type's counter in struct ucounts. */
function counterOf(type: number): number {
  const bit = 31 - Math.clz32(type);
  return bit === 7 ? 0 : bit === 17 ? 1 : bit - 23;
}

export class NsChecker {
  readonly #v: Views;
  readonly #f: NsFindings;
  /** bytes of message queues that should stand, by ucounts */
  readonly #bytes = new Map<number, bigint>();
  /** counters that should stand: `ucounts address + position` -> count */
  readonly #counts = new Map<string, number>();

  constructor(views: Views, findings: NsFindings) {
    this.#v = views;
    this.#f = findings;
  }

  #word(at: number): number {
    return this.#v.word(at);
  }

  /** A reference to a namespace; what a namespace that is met first refers to itself follows. */
  namespace(first: number): void {
    const queue = [first];
    for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
      if (!at || !this.#f.ref('namespace', at)) continue;
      const N = L.ns_common;
      const type = this.#word(at + N.type);
      queue.push(this.#word(at + N.parent), this.#word(at + N.user_ns));
      if (type === NEWUSER) this.#maps(at);
      if (type === NEWPID) this.#numbers(at);
      if (type === NEWUTS) this.#names(this.#word(at + L.uts_namespace.names));
      const ucounts = this.#word(at + N.ucounts);
      if (ucounts) this.#counted(ucounts, counterOf(type));
    }
  }

  /** One more that holds a record: counter `index` of it, and of those above, has to show it. */
  #counted(ucounts: number, index: number): void {
    this.#f.ref('ucounts', ucounts);
    this.#countIn(ucounts, index);
  }

  #countIn(ucounts: number, index: number): void {
    for (let u = ucounts; u;) {
      const key = `${u} ${index}`;
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
      u = this.#word(this.#word(u + L.ucounts.ns) + L.ns_common.ucounts);
    }
  }

  #maps(ns: number): void {
    for (const name of ['nr_uids', 'nr_gids', 'nr_projids'] as const) {
      const nr = this.#word(ns + L.user_namespace[name]);
      const at = this.#word(ns + L.user_namespace[name] + 4);
      this.#sorted(at, nr, 0, name);
      if (nr > MAX_BASE_EXTENTS) this.#sorted(at + nr * 12, nr, 4, name);
    }
  }

  #sorted(at: number, nr: number, field: number, name: string): void {
    for (let i = 1; i < nr; ++i) {
      const before = at + (i - 1) * 12;
      const end = this.#word(before + field) + this.#word(before + 8);
      if (end > this.#word(at + i * 12 + field)) this.#f.say(`id map ${name}: out of order`);
    }
  }

  /** Each field of a utsname ends within its 65 bytes. */
  #names(at: number): void {
    for (let field = 0; field < 6; ++field) {
      if (!at || this.#v.byte(at + field * 65 + 64)) this.#f.say('uts names: no end');
    }
  }

  /** The numbers of a pid namespace are those of its leaves. */
  #numbers(ns: number): void {
    let hashed = 0;
    for (const pid of this.#v.pids(ns)) {
      hashed += 1;
      const level = this.#word(ns + L.ns_common.level);
      if (this.#word(pid + 44 + level * 8) !== ns) this.#f.say('a number in a foreign namespace');
    }
    const counted = this.#word(ns + L.pid_namespace.nr_hashed);
    if (hashed !== counted) this.#f.say(`pid namespace: ${counted} counted, ${hashed} numbers`);
  }

  /** Namespaces that are mounted. */
  mounts(): void {
    for (let at = this.#v.root('ns_binds'); at; at = this.#word(at + L.ns_bind.next)) {
      this.namespace(this.#word(at + L.ns_bind.ns));
    }
  }

  nsproxy(at: number): void {
    for (const field of NSPROXY_FIELDS) this.namespace(this.#word(at + L.nsproxy[field]));
  }

  cred(at: number): void {
    this.#f.ref('ucounts', this.#word(at + L.cred.ucounts));
    this.namespace(this.#word(at + L.cred.user_ns));
    const groups = this.#word(at + L.cred.groups);
    if (groups && this.#f.ref('groups', groups)) {
      const n = this.#word(groups + 4);
      for (let i = 1; i < n; ++i) {
        const a = this.#word(groups + 8 + (i - 1) * 4);
        if (a > this.#word(groups + 8 + i * 4)) this.#f.say('groups: out of order');
      }
    }
    const effective = this.#v.wide(at + L.cred.cap_effective);
    if (effective & ~this.#v.wide(at + L.cred.cap_permitted)) {
      this.#f.say('cred: effective beyond permitted');
    }
    const both =
      this.#v.wide(at + L.cred.cap_permitted) & this.#v.wide(at + L.cred.cap_inheritable);
    if (this.#v.wide(at + L.cred.cap_ambient) & ~both) this.#f.say('cred: ambient beyond its sets');
  }

  /** A task counts for the user of its cred. */
  task(cred: number): void {
    this.#countIn(this.#word(cred + L.cred.ucounts), PROCESSES);
  }

  /** A queued signal keeps its user's record and the namespace of that. */
  queued(entry: number): void {
    const ucounts = this.#word(entry + L.sigqueue.user);
    this.#counted(ucounts, SIGPENDING);
    this.namespace(this.#word(ucounts + L.ucounts.ns));
  }

  /** A message queue keeps the record of who made it, and counts its bytes there. */
  queue(at: number): void {
    const ucounts = this.#word(at + L.mqueue_inode_info.user);
    this.#f.ref('ucounts', ucounts);
    this.namespace(this.#word(ucounts + L.ucounts.ns));
    const bytes = this.#v.wide(at + L.mqueue_inode_info.bytes);
    for (let u = ucounts; u;) {
      this.#bytes.set(u, (this.#bytes.get(u) ?? 0n) + bytes);
      u = this.#word(this.#word(u + L.ucounts.ns) + L.ns_common.ucounts);
    }
  }

  /** An open file of /proc. Return: the cred that it holds. */
  procFile(at: number): number {
    const pid = this.#word(at + L.proc_file.pid);
    if (pid) this.#f.ref('pid', pid);
    this.namespace(this.#word(at + L.proc_file.user_ns));
    return this.#word(at + L.proc_file.cred);
  }

  /** Every counter says what was found; every record is in its chain. */
  counters(): void {
    const hash = this.#v.root('ucounts_hash');
    for (let chain = 0; chain < UCOUNT_CHAINS; ++chain) {
      for (let u = this.#word(hash + chain * 4); u; u = this.#word(u + L.ucounts.next)) {
        if (this.#v.wide(u + L.ucounts.msgqueue) !== (this.#bytes.get(u) ?? 0n)) {
          this.#f.say(`user ${this.#word(u + L.ucounts.uid)}: bytes of message queues`);
        }
        for (let i = 0; i < COUNTERS; ++i) {
          const want = this.#counts.get(`${u} ${i}`) ?? 0;
          const have = this.#word(u + L.ucounts.nr0 + i * 4);
          if (have !== want) this.#f.say(`user ${this.#word(u + L.ucounts.uid)}: counter ${i}`);
        }
      }
    }
  }
}
