// The invariant checker: walks the kernel's memory like a file-system check. It finds every object
// from the roots, counts the references it meets and compares them with the counters, follows
// every list both ways, and compares the number of objects found with what the slab caches hold.
import { AuditChecker } from './check-audit.ts';
import { FileChecker } from './check-files.ts';
import { NsChecker } from './check-ns.ts';
import { checkIpc, checkMqueue } from './check-ipc.ts';
import { checkKeys, type Finder } from './check-keys.ts';
import { checkSignals } from './check-signals.ts';
import { checkTerminals } from './check-tty.ts';
import { VfsChecker } from './check-vfs.ts';
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';
import { Views } from './views.ts';

const DEAD = 2;
const ZOMBIE = 16;
const EXITING = 1;
const RARE = 0x80000000;
const RARE_BYTES = 128;
/** A list longer than this does not end. */
const LIST_MAX = 8_000_000;
const UPIDS = 40;

/** Objects by kind: address -> references found. */
type Found = Map<number, number>;

class Checker {
  readonly findings: string[] = [];
  readonly #k: Kernel;
  readonly #v: Views;
  #procFiles = 0;
  #procTexts = 0;
  readonly found = {
    cred: new Map() as Found,
    nsproxy: new Map() as Found,
    files: new Map() as Found,
    file: new Map() as Found,
    fs: new Map() as Found,
    sighand: new Map() as Found,
    signal: new Map() as Found,
    pid: new Map() as Found,
    container: new Map() as Found,
    user: new Map() as Found,
    namespace: new Map() as Found,
    ucounts: new Map() as Found,
    groups: new Map() as Found,
  };
  readonly #ns: NsChecker;
  readonly #audit: AuditChecker;

  readonly #open: FileChecker;
  readonly #vfs: VfsChecker;

  constructor(kernel: Kernel) {
    this.#k = kernel;
    this.#v = new Views(kernel);
    this.#ns = new NsChecker(this.#v, {
      ref: (kind, at) => this.#ref(kind, at),
      say: (text) => this.#say(text),
    });
    this.#audit = new AuditChecker(this.#v, {
      ref: (kind, at) => this.#ref(kind, at),
      say: (text) => this.#say(text),
    });
    this.#vfs = new VfsChecker({
      word: (at) => this.#word(at),
      say: (text) => this.#say(text),
      ref: (kind, at) => (kind === 'namespace' ? this.#ns.namespace(at) : this.#ref(kind, at)),
      list: (head, what) => this.#list(head, what),
      queue: (at) => this.#queue(at),
    });
    this.#open = new FileChecker({
      vfs: this.#vfs,
      word: (at) => this.#word(at),
      say: (text) => this.#say(text),
      ref: (kind, at) => this.#ref(kind, at),
      see: (kind, at) => {
        if (this.found[kind].has(at)) return false;
        this.found[kind].set(at, 0);
        return true;
      },
      list: (head, what) => this.#list(head, what),
      rootAt: (field) => kernel.exports.root_ptr() + L.kernel_root[field],
    });
  }

  #word(at: number): number {
    return this.#v.word(at);
  }

  #say(text: string): void {
    if (this.findings.length < 50) this.findings.push(text);
  }

  #ref(kind: keyof Checker['found'], at: number): boolean {
    if (!at) return false;
    const map = this.found[kind];
    const before = map.get(at) ?? 0;
    map.set(at, before + 1);
    return before === 0;
  }

  /** Entries of the list whose head is at `head`, checked both ways. */
  *#list(head: number, what: string): Generator<number> {
    let link = head;
    for (let n = 0; n < LIST_MAX; ++n) {
      const next = this.#word(link);
      if (this.#word(next + 4) !== link) {
        this.#say(`${what}: ${next.toString(16)} does not point back`);
        return;
      }
      if (next === head) return;
      yield next;
      link = next;
    }
    this.#say(`${what}: does not end`);
  }

  run(): string[] {
    if (this.#v.root('magic') !== 0x4b4c4842) this.#say('the root has no magic: not booted');
    const tasks = [...this.#v.taskAddresses()];
    const known = new Set(tasks);
    const idle = this.#v.root('idle_task');
    known.add(idle);
    this.#ref('cred', this.#v.root('init_cred'));
    this.#ref('nsproxy', this.#v.root('init_nsproxy'));
    this.#ref('cred', this.#word(idle + L.task_struct.cred));
    this.#ref('signal', this.#word(idle + L.task_struct.signal));
    let processes = 0;
    for (const task of tasks) {
      this.#task(task, known);
      if (this.#isLeader(task)) processes += 1;
    }
    this.#audit.finish();
    this.#containers(tasks);
    checkSignals({
      views: this.#v,
      counts: this.#k.counts(),
      groups: this.found.signal.keys(),
      tasks,
      list: (head, what) => this.#list(head, what),
      pid: (at) => this.#ref('pid', at),
      queued: (at) => this.#ns.queued(at),
      say: (text) => this.#say(text),
    });
    this.#files();
    checkTerminals({
      views: this.#v,
      say: (text) => this.#say(text),
      pid: (at) => this.#ref('pid', at),
      groups: this.found.signal.keys(),
      ends: this.#open.terminals,
    });
    checkKeys(this.#finder(), this.found.cred.keys());
    const systemV = this.#ipc();
    this.#users();
    for (const at of this.found.fs.keys()) this.#vfs.fs(at);
    this.#namespaces();
    const sum = systemV + this.#vfs.queueSpaces + this.#messages;
    const live = this.#v.root('nr_ipc');
    if (sum !== live) this.#say(`objects of ipc: ${live} live, ${sum} reachable`);
    this.#counters();
    if (processes !== this.#v.root('nr_processes')) {
      this.#say(`${processes} processes found, ${this.#v.root('nr_processes')} counted`);
    }
    if (tasks.length !== this.#v.root('nr_threads')) {
      this.#say(`${tasks.length} threads found, ${this.#v.root('nr_threads')} counted`);
    }
    this.#totals();
    return this.findings;
  }

  #finder(): Finder {
    return {
      kernel: this.#k,
      views: this.#v,
      say: (text) => this.#say(text),
      user: (at) => void this.#ref('user', at),
    };
  }

  #isLeader(task: number): boolean {
    return (this.#word(this.#v.cold(task) + L.task_cold.exit_signal) | 0) >= 0;
  }

  #task(task: number, known: Set<number>): void {
    const T = L.task_struct;
    const C = L.task_cold;
    const cold = this.#v.cold(task);
    const nr = this.#word(task + T.pid);
    const state = this.#word(task + T.state);
    const pid = this.#word(task + T.thread_pid);
    const signal = this.#word(task + T.signal);
    if (this.#word(pid + UPIDS) !== nr) this.#say(`task ${nr}: its struct pid has another number`);
    if (this.#word(pid + L.pid.task) !== task) this.#say(`task ${nr}: its struct pid is another's`);
    this.#ref('pid', pid);
    this.#ref('cred', this.#word(task + T.cred));
    this.#ns.task(this.#word(task + T.cred));
    this.#ref('sighand', this.#word(cold + C.sighand));
    this.#audit.task(task, nr);
    const first = this.#ref('signal', signal);
    if (first) this.#group(signal, nr);
    const parent = this.#word(task + T.real_parent);
    if (!known.has(parent)) this.#say(`task ${nr}: its parent is no task`);
    for (const link of this.#list(task + T.children_next, `children of ${nr}`)) {
      const child = link - T.sibling_next;
      if (this.#word(child + T.real_parent) !== task) {
        this.#say(`task ${nr}: a child has another parent`);
      }
    }
    if (!(this.#word(task + T.flags) & RARE)) this.#clean(task, nr);
    const exiting = (this.#word(task + T.flags) & EXITING) !== 0;
    if (state === ZOMBIE && !exiting) this.#say(`task ${nr}: a zombie that is not exiting`);
    if (exiting) {
      for (const field of [C.files, C.fs, C.nsproxy] as const) {
        if (this.#word(cold + field)) this.#say(`task ${nr}: dead, but holds resources`);
      }
      if (this.#word(this.#v.rare(task) + L.task_rare.waiters))
        this.#say(`task ${nr}: dead, waits`);
      return;
    }
    this.#waiters(task, this.#word(this.#v.rare(task) + L.task_rare.waiters), nr);
    if (this.#ref('nsproxy', this.#word(cold + C.nsproxy))) void 0;
    this.#ref('files', this.#word(cold + C.files));
    this.#ref('fs', this.#word(cold + C.fs));
  }

  /** A rare record that is not marked as used is all zero. */
  #clean(task: number, nr: number): void {
    const rare = this.#v.rare(task);
    for (let at = 0; at < RARE_BYTES; at += 4) {
      if (this.#word(rare + at)) this.#say(`task ${nr}: its rare record is in use, unmarked`);
    }
  }

  /** The files that a sleeping call holds. */
  #waiters(task: number, first: number, nr: number): void {
    const W = L.waiter;
    for (let at = first; at; at = this.#word(at + W.next)) {
      if (this.#word(at + W.task) !== task) this.#say(`task ${nr}: a waiter is another's`);
      const file = this.#word(at + W.file);
      if (file) this.#open.file(file);
    }
  }

  #group(signal: number, nr: number): void {
    const S = L.signal_struct;
    let threads = 0;
    let live = 0;
    for (const link of this.#list(signal + S.threads_next, `threads of ${nr}`)) {
      const cold = link - L.task_cold.thread_next;
      const task = this.#v.hot(cold);
      if (this.#word(task + L.task_struct.signal) !== signal) {
        this.#say(`group of ${nr}: a thread belongs to another group`);
      }
      threads += 1;
      if (!(this.#word(task + L.task_struct.flags) & EXITING)) live += 1;
    }
    if (threads !== this.#word(signal + S.nr_threads)) this.#say(`group of ${nr}: thread count`);
    if (live !== this.#word(signal + S.live)) this.#say(`group of ${nr}: live count`);
    this.#ref('pid', this.#word(signal + S.pgrp));
    this.#ref('pid', this.#word(signal + S.session));
    let member = false;
    const pgrp = this.#word(signal + S.pgrp);
    for (const link of this.#list(pgrp + L.pid.members_next, `process group of ${nr}`)) {
      if (link - S.pgrp_next === signal) member = true;
    }
    if (!member) this.#say(`group of ${nr}: not on its process group's list`);
  }

  #containers(tasks: number[]): void {
    const C = L.container;
    const init = this.#v.root('init_container');
    const members = new Map<number, number>();
    for (const task of tasks) {
      const container = this.#word(task + L.task_struct.container);
      if (!container || !this.#isLeader(task)) continue;
      members.set(container, (members.get(container) ?? 0) + 1);
      this.#ref('container', container);
      if (container === init) continue;
      const slot = this.#word(task + L.task_struct.member_slot);
      if (this.#word(this.#word(container + C.members) + slot * 4) !== task) {
        this.#say(`task ${this.#word(task + L.task_struct.pid)}: not in its member slot`);
      }
    }
    this.#ref('container', init);
    let count = 0;
    for (const at of this.#v.containerAddresses()) {
      count += 1;
      const id = this.#word(at + C.id);
      for (const link of this.#list(at + C.children_next, `children of container ${id}`)) {
        if (this.#word(link - C.child_next + C.parent) !== at) {
          this.#say(`container ${id}: a child has another parent`);
        }
        this.#ref('container', at);
      }
      if (this.#word(at + C.nr_members) !== (members.get(at) ?? 0)) {
        this.#say(`container ${id}: member count`);
      }
      const init_signal = this.#word(at + C.init);
      if (this.#word(at + C.flags) & DEAD && init_signal)
        this.#say(`container ${id}: dead with init`);
      if (init_signal) this.#ref('signal', init_signal);
      this.#ref('cred', this.#word(at + C.cred));
      this.#ref('nsproxy', this.#word(at + C.ns));
      this.#ref('user', this.#word(at + C.user));
      this.#vfs.container(at);
      const number = this.#word(at + C.init_pid);
      if (number) this.#ref('pid', number);
    }
    if (count !== this.#v.root('nr_containers')) this.#say(`${count} containers found`);
  }

  #upcalls(): number {
    return this.#k.exports.root_ptr() + L.kernel_root.upcalls_next;
  }

  /** Supervisors and their containers point at each other; questions are on the right list. */
  #supervisors(all: Set<number>): void {
    const asked = [...this.#list(this.#upcalls(), 'questions to the host')];
    for (const at of all) {
      const container = this.#word(at + L.supervisor.container);
      this.#ref('container', container);
      if (this.#word(container + L.container.supervisor) !== at) {
        this.#say('a supervisor: its container has another');
      }
      asked.push(...this.#list(at + L.supervisor.requests_next, 'questions to a supervisor'));
    }
    if (all.size !== this.#v.root('nr_supervisors')) this.#say(`${all.size} supervisors found`);
    const { upcalls, supervisors } = this.#k.counts();
    if (supervisors !== all.size) this.#say(`${supervisors} supervisors live`);
    if (upcalls !== asked.length) this.#say(`${upcalls} upcalls live, ${asked.length} on lists`);
    for (const at of asked) {
      const task = this.#word(at + L.upcall.task);
      if (this.#word(this.#v.rare(task) + L.task_rare.upcall) !== at) {
        this.#say('an upcall: its task has another');
      }
      this.#ref('cred', this.#word(at + L.upcall.cred));
      const c = this.#word(at + L.upcall.container);
      this.#ref('cred', c && this.#word(c + L.container.cred));
      this.#ref('nsproxy', c && this.#word(c + L.container.ns));
      this.#ref('user', c && this.#word(c + L.container.user));
      if (c) this.#vfs.container(c);
    }
  }

  /** Users: the containers that are counted to them, and every record is in its bucket. */
  #users(): void {
    const U = L.user_struct;
    const made = new Map<number, number>();
    for (const at of this.#v.containerAddresses()) {
      const user = this.#word(at + L.container.user);
      if (user) made.set(user, (made.get(user) ?? 0) + 1);
    }
    const buckets = this.#v.root('user_buckets');
    let count = 0;
    for (let i = 0; i < buckets; ++i) {
      const first = this.#word(this.#v.root('users') + i * 4);
      for (let at = first; at && count < LIST_MAX; at = this.#word(at + U.next)) {
        count += 1;
        const uid = this.#word(at + U.uid);
        if ((uid & (buckets - 1)) !== i) this.#say(`user ${uid}: in the wrong bucket`);
        if (!this.found.user.has(at)) this.#say(`user ${uid}: nothing is counted to it`);
        if (this.#word(at + U.nr_containers) !== (made.get(at) ?? 0)) {
          this.#say(`user ${uid}: container count`);
        }
      }
    }
    if (count !== this.#v.root('nr_users')) this.#say(`${count} users found`);
  }

  #files(): void {
    for (const table of this.found.files.keys()) {
      const slots = this.#word(table + L.files_struct.fds);
      const max = this.#word(table + L.files_struct.max_fds);
      const next = this.#word(table + L.files_struct.next_fd);
      for (let fd = 0; fd < max; ++fd) {
        const slot = this.#word(slots + fd * 4);
        if (!slot && fd < next) this.#say(`a table's next_fd ${next} is above the free ${fd}`);
        if (slot) this.#open.file(slot & ~1);
      }
    }
    this.#open.run(this.#k.counts());
    for (const data of this.#open.procFiles) {
      this.#procFiles += 1;
      this.#ref('cred', this.#ns.procFile(data));
    }
    for (const data of this.#open.procTexts) {
      this.#procTexts += 1;
      this.#ref('pid', this.#word(data + L.proc_text_file.pid));
    }
    for (const data of this.#open.nsFiles) this.#ns.namespace(data);
    for (const data of this.#open.netNamespaces) this.#ns.namespace(data);
    for (const data of this.#open.peerGroups) this.#ref('groups', data);
    const { containers } = this.#open;
    this.#supervisors(this.#open.supervisors);
    for (const at of this.#v.containerAddresses()) {
      const counted = this.#word(at + L.container.nr_files);
      if (counted !== (containers.get(at) ?? 0)) {
        this.#say(`container ${this.#word(at + L.container.id)}: file count`);
      }
    }
  }

  /** POSIX message queues and the messages in them */
  #messages = 0;

  #queue(at: number): void {
    this.#ns.queue(at);
    const list = (head: number, what: string): Generator<number> => this.#list(head, what);
    const say = (text: string): void => this.#say(text);
    this.#messages += 1 + checkMqueue({ views: this.#v, say, list }, at);
  }

  #ipc(): number {
    return checkIpc({
      views: this.#v,
      say: (text) => this.#say(text),
      pid: (at) => this.#ref('pid', at),
      namespace: (at) => this.#ns.namespace(at),
      proxies: this.found.nsproxy.keys(),
      files: this.#open.nsFiles,
      list: (head, what) => this.#list(head, what),
    });
  }

  /** Every namespace is held by a proxy, a cred, a struct pid, a file or one below it. */
  #namespaces(): void {
    this.#ns.namespace(this.#v.root('init_user_ns'));
    this.#ns.mounts();
    for (const at of this.found.nsproxy.keys()) this.#ns.nsproxy(at);
    for (const at of this.found.cred.keys()) this.#ns.cred(at);
    for (const at of this.found.namespace.keys()) this.#vfs.namespace(at);
    this.#vfs.run(this.#k.counts(), this.#v.root('super_blocks'));
    // names of proc keep processes that are gone
    for (const at of this.found.pid.keys()) {
      this.#ns.namespace(this.#word(at + UPIDS + this.#word(at + L.pid.level) * 8 + 4));
    }
    this.#ns.counters();
    this.#open.net.namespaces(this.found.namespace.keys(), this.#k.counts());
  }

  /** The counter is the first word of every counted object. */
  #counters(): void {
    for (const [kind, map] of Object.entries(this.found)) {
      for (const [at, references] of map) {
        const counted = this.#word(at) | 0;
        if (counted !== references) {
          this.#say(`${kind} at ${at.toString(16)}: ${counted} counted, ${references} found`);
        }
      }
    }
  }

  /** What is live in a cache is what was found: nothing leaked, nothing freed is reachable. */
  #totals(): void {
    const counts = this.#k.counts();
    const expect: [string, number, number][] = [
      ['creds', counts.creds, this.found.cred.size],
      ['nsproxies', counts.nsproxies, this.found.nsproxy.size],
      ['files', counts.files, this.found.file.size],
      ['fd tables', counts.fdTables, this.found.files.size],
      ['fs structs', counts.fs, this.found.fs.size],
      ['action tables', counts.sighands, this.found.sighand.size],
      ['thread groups', counts.signals, this.found.signal.size],
      ['struct pids', counts.pids, this.found.pid.size],
      ['users', counts.users, this.found.user.size],
      ['namespaces', counts.namespaces, this.found.namespace.size],
      ['user counts', counts.ucounts, this.found.ucounts.size],
      ['proc files', counts.procFiles, this.#procFiles],
      ['proc texts', counts.procTexts, this.#procTexts],
    ];
    for (const [what, live, found] of expect) {
      if (live !== found) this.#say(`${what}: ${live} live, ${found} reachable`);
    }
  }
}

/** What is wrong with the kernel's memory, one finding a line; empty when it is sound. */
export function checkKernel(kernel: Kernel): string[] {
  return new Checker(kernel).run();
}
