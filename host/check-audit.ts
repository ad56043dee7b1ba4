// The invariant checker's part about audit: contexts of tasks and the ids they refer to.
import { layout as L } from './generated/layout.ts';
import type { Views } from './views.ts';

/** What the checker does with a reference, and with something that is wrong. */
export interface AuditFindings {
  ref(kind: 'pid', at: number): boolean;
  say(text: string): void;
}

const PF_AUDIT = 0x1000000;
const LIST_MAX = 1_000_000;

export class AuditChecker {
  readonly #v: Views;
  readonly #f: AuditFindings;
  readonly #contexts = new Map<number, number>();
  readonly #ids = new Map<number, number>();
  readonly #names = new Map<number, number>();

  constructor(views: Views, findings: AuditFindings) {
    this.#v = views;
    this.#f = findings;
  }

  #count(map: Map<number, number>, at: number): void {
    if (at) map.set(at, (map.get(at) ?? 0) + 1);
  }

  /** A task names its context, or says that it has none. */
  task(task: number, nr: number): void {
    const context = this.#v.word(this.#v.rare(task) + L.task_rare.audit);
    const marked = (this.#v.word(task + L.task_struct.flags) & PF_AUDIT) !== 0;
    if (marked !== (context !== 0)) this.#f.say(`task ${nr}: its audit context is not marked`);
    this.#count(this.#contexts, context);
  }

  /** Once all tasks have been seen: counters, and the list of ids. */
  finish(): void {
    for (const [at, found] of this.#contexts) {
      this.#compare('an audit context', at, found);
      this.#count(this.#ids, this.#v.word(at + L.audit_context.cont));
      this.#count(this.#names, this.#v.word(at + L.audit_context.exe));
    }
    for (const [at, found] of this.#names) this.#compare('a program name', at, found);
    const listed: number[] = [];
    const state = this.#v.root('audit');
    let at = state ? this.#v.word(state + L.audit_state.contobjs) : 0;
    for (; at && listed.length < LIST_MAX; at = this.#v.word(at + L.audit_contobj.next)) {
      listed.push(at);
      this.#count(this.#ids, this.#v.word(at + L.audit_contobj.parent));
      this.#f.ref('pid', this.#v.word(at + L.audit_contobj.owner));
    }
    for (const one of listed) this.#compare('an audit id', one, this.#ids.get(one) ?? 0);
    for (const one of this.#ids.keys()) {
      if (!listed.includes(one)) this.#f.say('an audit id is not on the list');
    }
  }

  #compare(what: string, at: number, found: number): void {
    const count = this.#v.word(at) | 0;
    if (count !== found) this.#f.say(`${what}: ${found} references found, ${count} counted`);
  }
}
