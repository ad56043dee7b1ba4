// First look at an audit log: which call made which task, and since when. A record is written when
// its call is over, so a child's records may stand before the one that says who made it; and the
// numbers that a call returned are those of its caller's own pid namespace.
import { CLONE_NEWPID, CLONE_PARENT, CLONE_THREAD } from '../../../assembly/uapi/sched.ts';
import { isForkLike } from '../index.ts';
import { type AuditEvent, keptEvent } from './assemble.ts';
import { type CallFacts, resultNumber } from './facts.ts';

/** A call that made a task. */
export interface Birth {
  /** number of its event, counted from 1 in order of reading */
  at: number;
  /** the parent, as the log numbers it */
  pid: number;
  /** the result, in the caller's own pid namespace */
  ret: number;
  /** the child, as the log numbers it; 0: nothing of it is in the log */
  child: number;
  thread: boolean;
  /** the call began before the event of this number; `at` for most */
  begin: number;
  /** kept only for calls that begin earlier than they stand */
  event: AuditEvent | undefined;
  /** does the child live in a pid namespace below the recorder's? */
  readonly inner: Inner;
}

/** Are the numbers of a task's children its own namespace's? */
export type Inner = 'no' | 'yes' | 'unknown';

/** A birth as the builder knows it. */
class OneBirth implements Birth {
  readonly at: number;
  readonly pid: number;
  readonly ret: number;
  readonly thread: boolean;
  child = 0;
  begin: number;
  event: AuditEvent | undefined = undefined;
  /** the child's life, when it has one */
  life: Life | undefined = undefined;

  constructor(at: number, pid: number, ret: number, thread: boolean) {
    this.at = at;
    this.begin = at;
    this.pid = pid;
    this.ret = ret;
    this.thread = thread;
  }

  get inner(): Inner {
    return this.life?.inner ?? 'unknown';
  }
}

/** Calls whose result is the caller's own number. */
const SAYS_ITS_NUMBER = new Set(['getpid', 'set_tid_address']);

/** One life of a pid. */
interface Life {
  pid: number;
  ppid: number;
  /** the event before which it existed */
  first: number;
  /** last event in which it is the caller; 0: none so far */
  last: number;
  birth: OneBirth | undefined;
  inner: Inner;
  /** will its next children's be? */
  innerNext: Inner;
  /** births by this task whose child is not known, or not sure */
  open: OneBirth[];
  /** tasks that name this one as their parent, whose birth is not known */
  orphans: Life[];
}

export interface AuditPlan {
  /** by the number of the event of their call */
  births: Map<number, Birth>;
  /** calls that begin before the event of this number */
  begins: Map<number, Birth[]>;
  /** first and last event of each life of a pid, in order; see {@link taskKey} */
  lives: Map<string, [first: number, last: number][]>;
  events: number;
}

/** Tasks of different machines may have one number. */
export const taskKey = (node: string, pid: number): string => `${node}\0${pid}`;

/** Is `pid` seen as a caller after event `at`, before its number is used again? */
export function actsAfter(plan: AuditPlan, node: string, pid: number, at: number): boolean {
  const lives = plan.lives.get(taskKey(node, pid)) ?? [];
  return lives.some(([first, last]) => first <= at && last > at);
}

export class PlanBuilder {
  readonly #births = new Map<number, OneBirth>();
  readonly #lives = new Map<string, Life>();
  /** lives that are over and whose birth stands further down */
  readonly #over = new Map<string, Life>();
  readonly #past = new Map<string, [first: number, last: number][]>();
  #events = 0;

  /** One event, in order of reading; `facts` when it is a call. */
  add(facts: CallFacts | undefined, event: AuditEvent): void {
    const at = ++this.#events;
    if (facts === undefined) return;
    const life = this.#caller(event.node, facts, at);
    if (facts.retKind === 'value') {
      if (isForkLike(facts.name) && resultNumber(facts) > 0) this.#fork(life, facts, event, at);
      else if (SAYS_ITS_NUMBER.has(facts.name)) saysItsNumber(life, resultNumber(facts));
      else if (facts.name === 'unshare') enter(life, facts.args[0], 'yes');
      else if (facts.name === 'setns') enter(life, facts.args[1] || undefined, 'unknown');
    }
    life.last = at;
    if (facts.name === 'exit_group') this.#end(event.node, life);
  }

  #caller(node: string, facts: CallFacts, at: number): Life {
    const known = this.#lives.get(taskKey(node, facts.pid));
    if (known !== undefined) {
      if (known.last === 0 && known.birth === undefined) this.#appear(node, known, facts, at);
      known.ppid = facts.ppid;
      return known;
    }
    const life = this.#newLife(node, facts.pid, facts.ppid, at);
    this.#appear(node, life, facts, at);
    return life;
  }

  /** A task whose birth has not been read has its first record. */
  #appear(node: string, life: Life, facts: CallFacts, at: number): void {
    if (facts.ppid === 0) return;
    const parent =
      this.#lives.get(taskKey(node, facts.ppid)) ?? this.#newLife(node, facts.ppid, 0, at);
    if (parent === life) return;
    parent.first = Math.min(parent.first, life.first);
    const open = parent.inner === 'no' ? undefined : parent.open.find((one) => !one.thread);
    if (open === undefined) parent.orphans.push(life);
    else this.#claim(node, open, life, parent).inner = 'yes';
  }

  #newLife(node: string, pid: number, ppid: number, first: number): Life {
    const life: Life = {
      pid,
      ppid,
      first,
      last: 0,
      birth: undefined,
      inner: 'no',
      innerNext: 'no',
      open: [],
      orphans: [],
    };
    this.#lives.set(taskKey(node, pid), life);
    return life;
  }

  #fork(parent: Life, facts: CallFacts, event: AuditEvent, at: number): void {
    const ret = resultNumber(facts);
    const flags = facts.name === 'clone' ? (facts.args[0] ?? 0n) : 0n;
    const thread = (flags & BigInt(CLONE_THREAD)) !== 0n;
    const birth = new OneBirth(at, parent.pid, ret, thread);
    this.#births.set(at, birth);
    const child = this.#childOf(event.node, parent, birth);
    if (child === undefined) return;
    if (flags & BigInt(CLONE_NEWPID) || parent.inner === 'yes') child.inner = 'yes';
    else if (facts.name === 'clone3' || flagsHidden(facts)) child.inner = 'unknown';
    else child.inner = parent.innerNext === 'no' ? parent.inner : parent.innerNext;
    if (flags & BigInt(CLONE_PARENT)) child.ppid = parent.ppid;
    if (child.first < at) {
      birth.begin = child.first;
      birth.event = keptEvent(event);
      parent.first = Math.min(parent.first, child.first);
    }
  }

  /** The task that a fork made; undefined when its number is not known yet. */
  #childOf(node: string, parent: Life, birth: OneBirth): Life | undefined {
    const key = taskKey(node, birth.ret);
    const named = this.#lives.get(key) ?? this.#over.get(key);
    if (parent.inner !== 'yes') {
      // its records began while this call was under way: later than its parent's last one
      if (named !== undefined && named.birth === undefined && named.first > parent.last) {
        // a number of its own namespace would not be this task's, which names it as parent
        if (named.ppid === parent.pid) parent.inner = 'no';
        if (named !== parent) return this.#claim(node, birth, named, parent);
      }
      if (parent.inner === 'no') return this.#fresh(node, birth, parent);
    }
    const orphan = parent.orphans.find((one) => one.first > parent.last);
    if (orphan !== undefined) return this.#claim(node, birth, orphan, parent);
    parent.open.push(birth);
    return parent.inner === 'unknown' ? this.#fresh(node, birth, parent) : undefined;
  }

  /** A child without a record so far: its number is the result. */
  #fresh(node: string, birth: OneBirth, parent: Life): Life {
    const old = this.#lives.get(taskKey(node, birth.ret));
    if (old !== undefined) this.#end(node, old);
    const life = this.#newLife(node, birth.ret, parent.pid, birth.at);
    birth.child = birth.ret;
    birth.life = life;
    life.birth = birth;
    return life;
  }

  #claim(node: string, birth: OneBirth, child: Life, parent: Life): Life {
    if (birth.child !== 0 && birth.child !== child.pid) {
      // the result was taken for the child's number and is not
      const wrong = this.#lives.get(taskKey(node, birth.child));
      if (wrong?.birth === birth && wrong.last === 0) {
        this.#lives.delete(taskKey(node, birth.child));
      }
      parent.inner = 'yes';
    }
    birth.child = child.pid;
    birth.life = child;
    child.birth = birth;
    this.#over.delete(taskKey(node, child.pid));
    parent.open = parent.open.filter((one) => one !== birth);
    parent.orphans = parent.orphans.filter((one) => one !== child);
    return child;
  }

  #end(node: string, life: Life): void {
    const key = taskKey(node, life.pid);
    const past = this.#past.get(key);
    if (past === undefined) this.#past.set(key, [[life.first, life.last]]);
    else past.push([life.first, life.last]);
    this.#lives.delete(key);
    if (life.birth === undefined) this.#over.set(key, life);
  }

  finish(): AuditPlan {
    for (const [key, life] of [...this.#lives]) this.#end(key.slice(0, key.indexOf('\0')), life);
    const begins = new Map<number, Birth[]>();
    for (const birth of this.#births.values()) {
      if (birth.begin >= birth.at) continue;
      const list = begins.get(birth.begin);
      if (list === undefined) begins.set(birth.begin, [birth]);
      else list.push(birth);
    }
    for (const [at, list] of begins) if (list.length > 1) begins.set(at, parentsFirst(list));
    return { births: this.#births, begins, lives: this.#past, events: this.#events };
  }
}

/** A process that asks for its number: the log has the recorder's for it. */
function saysItsNumber(life: Life, ret: number): void {
  if (ret > 0) life.inner = ret === life.pid ? 'no' : 'yes';
}

/** An interpreted record may name flags that are not known here. */
function flagsHidden(facts: CallFacts): boolean {
  return facts.name === 'clone' && facts.args[0] === undefined;
}

/** The caller's next children live in another pid namespace, if these flags say so. */
function enter(life: Life, flags: bigint | undefined, what: Inner): void {
  if (flags === undefined) life.innerNext = 'unknown';
  else if (flags & BigInt(CLONE_NEWPID)) life.innerNext = what;
}

/** Calls that begin at one place: a task is made before it makes others. */
function parentsFirst(list: Birth[]): Birth[] {
  const makers = new Map(list.map((one) => [one.child, one]));
  const out = new Set<Birth>();
  for (const one of list) {
    const chain: Birth[] = [];
    let at: Birth | undefined = one;
    while (at !== undefined && !out.has(at) && !chain.includes(at)) {
      chain.push(at);
      at = makers.get(at.pid);
    }
    for (const link of chain.reverse()) out.add(link);
  }
  return [...out];
}
