// Text of ftrace (trace, trace-cmd report) and of perf script: raw_syscalls events, or syscalls
// events, and beside them those of forks, ends and signals, as far as they were switched on.
import * as S from '../../../assembly/uapi/signal.ts';
import { signalName } from '../../abi/constants.ts';
import type { SyscallTable } from '../../syscall-abi.ts';
import { lineBatches } from '../lines.ts';
import type { TraceSource } from '../source.ts';
import { argsText, CallLines, exited, killed, nameOf } from './notation.ts';
import type { Translator } from './source.ts';

/** `comm-123 [000] d..1. 12.34: event: ...`; of perf `comm 123 [000] 12.34: group:event: ...` */
const EVENT = new RegExp(
  '^ *.*?[- ](\\d+)(?:/\\d+)? +(?:\\( *[\\d-]+\\) +)?\\[\\d+\\] +(?:\\S{4,6} +)?' +
    '(\\d+\\.\\d+): +(?:\\w+:)?(\\w+)(?::\\s?|(?=\\(| ->))(.*)$',
);
const ENTER = /^NR (\d+) \((.*)\)/;
const LEAVE = /^NR (\d+) = (-?\d+)/;
const NAMED_ENTER = /^\((.*)\)$/;
const NAMED_LEAVE = /^ ?-> (0x[0-9a-f]+|-?\d+)/;
/** Signals whose default action ends nothing. */
const HARMLESS: readonly number[] = [
  S.SIGCHLD,
  S.SIGCONT,
  S.SIGSTOP,
  S.SIGTSTP,
  S.SIGTTIN,
  S.SIGTTOU,
  S.SIGURG,
  S.SIGWINCH,
];

/** Names that the kernel's functions have and strace doesn't use. */
const KERNEL_NAMES: Readonly<Record<string, string>> = {
  newfstat: 'fstat',
  newstat: 'stat',
  newlstat: 'lstat',
  newuname: 'uname',
  sendfile64: 'sendfile',
};

/** What the events of a log can show. */
export interface FtraceShows {
  ends: boolean;
  signals: boolean;
}

/** Looks through the log as far as it has to: are ends and signals among its events? */
export async function eventsOf(source: TraceSource): Promise<FtraceShows> {
  const shows = { ends: false, signals: false };
  for (const file of source.files) {
    for await (const lines of lineBatches(file.chunks())) {
      for (const line of lines) {
        if (!shows.ends && line.includes('sched_process_exit:')) shows.ends = true;
        if (!shows.signals && line.includes('signal_deliver:')) shows.signals = true;
      }
      if (shows.ends && shows.signals) return shows;
    }
  }
  return shows;
}

export class FtraceTranslator implements Translator {
  readonly #calls = new CallLines();
  readonly #table: SyscallTable;
  readonly #shows: FtraceShows;
  /** code of an exit that was called, by task */
  readonly #exits = new Map<number, number>();
  /** the last signal that a task took and that ends it */
  readonly #fatal = new Map<number, number>();
  /** signals that were sent and not taken, by target: who sent each, the last one last */
  readonly #sent = new Map<number, Map<number, number>>();
  /** tasks that are about to tell their parent of their end */
  readonly #ending = new Set<number>();

  constructor(table: SyscallTable, shows: FtraceShows) {
    this.#table = table;
    this.#shows = shows;
  }

  line(text: string): string {
    const hit = EVENT.exec(text.endsWith('\r') ? text.slice(0, -1) : text);
    if (!hit) return text.startsWith('#') || !/\S/.test(text) ? '' : text;
    const pid = Number(hit[1]);
    const prefix = `${pid} ${hit[2]} `;
    const event = hit[3]!;
    const rest = hit[4]!;
    switch (event) {
      case 'sys_enter':
        return this.#enter(prefix, pid, rest);
      case 'sys_exit':
        return this.#leave(prefix, pid, rest);
      case 'signal_generate':
        this.#generate(pid, rest);
        return this.#ending.delete(pid) ? this.#over(prefix, pid) : '';
      case 'signal_deliver':
        return this.#deliver(prefix, pid, rest);
      case 'sched_process_exit':
        return this.#end(prefix, pid, rest);
      default:
        return event.startsWith('sys_') ? this.#named(prefix, pid, event.slice(4), rest) : '';
    }
  }

  #enter(prefix: string, pid: number, rest: string): string {
    const hit = ENTER.exec(rest);
    if (!hit) return '';
    const nr = Number(hit[1]);
    const args = hit[2]!.split(/, ?/).map((arg) => (arg === '0' ? arg : `0x${arg}`));
    return this.#begin(prefix, pid, nameOf(nr, this.#table), args);
  }

  #begin(prefix: string, pid: number, name: string, args: readonly string[]): string {
    if (name === 'exit' || name === 'exit_group') this.#exits.set(pid, Number(args[0]) & 0xff);
    return this.#calls.begin(prefix, pid, name, argsText(args, this.#table.byName.get(name)));
  }

  #leave(prefix: string, pid: number, rest: string): string {
    const hit = LEAVE.exec(rest);
    if (!hit) return '';
    return this.#calls.end(prefix, pid, nameOf(Number(hit[1]), this.#table), BigInt(hit[2]!));
  }

  /** An event of the call's own: `sys_dup2(oldfd: 0xa, newfd: 1)`, `sys_dup2 -> 0x1`. */
  #named(prefix: string, pid: number, kernelName: string, rest: string): string {
    const name = KERNEL_NAMES[kernelName] ?? kernelName;
    const leave = NAMED_LEAVE.exec(rest);
    if (leave) {
      return this.#calls.end(prefix, pid, name, BigInt.asIntN(64, BigInt(leave[1]!)));
    }
    const enter = NAMED_ENTER.exec(rest);
    if (!enter) return '';
    const args = [...enter[1]!.matchAll(/\w+: (0x[0-9a-f]+|-?\d+)/g)].map((arg) => arg[1]!);
    return this.#begin(prefix, pid, name, args);
  }

  /** A signal is sent by the event's own task; `res` 0: it is pending from now on. */
  #generate(sender: number, rest: string): void {
    const hit = /sig=(\d+) .*?pid=(\d+).* res=(\d+)/.exec(rest);
    if (hit?.[3] !== '0') return;
    const target = Number(hit[2]);
    const sent = this.#sent.get(target) ?? new Map<number, number>();
    this.#sent.set(target, sent);
    sent.delete(Number(hit[1]));
    sent.set(Number(hit[1]), sender);
  }

  #deliver(prefix: string, pid: number, rest: string): string {
    const hit = /sig=(\d+) errno=\d+ code=(-?\d+) sa_handler=([0-9a-f]+)/.exec(rest);
    if (!hit) return '';
    const sent = this.#sent.get(pid);
    const signo = Number(hit[1]);
    if (signo === S.SIGKILL) {
      // a signal that ends the process is sent on to its threads as SIGKILL: its own name is lost
      const cause = [...(sent?.keys() ?? [])].filter(ends).at(-1);
      this.#fatal.set(pid, cause ?? S.SIGKILL);
      return '';
    }
    if (/^0+$/.test(hit[3]!) && ends(signo)) this.#fatal.set(pid, signo);
    const sender = sent?.get(signo);
    sent?.delete(signo);
    // the event has no si_pid: who sent it is known where the event of sending is there
    const from = sender === undefined || hit[2] === String(S.SI_KERNEL) ? '' : `, si_pid=${sender}`;
    return `${prefix}--- ${signalName(signo)} {si_signo=${signo}, si_code=${hit[2]}${from}} ---`;
  }

  /** A process is on its way out; it is gone for others when it tells its parent. */
  #end(prefix: string, pid: number, rest: string): string {
    const whole = rest.includes('group_dead=true');
    if (!whole || !this.#shows.signals) return this.#over(prefix, pid);
    this.#ending.add(pid);
    return '';
  }

  #over(prefix: string, pid: number): string {
    const code = this.#exits.get(pid);
    const signo = this.#fatal.get(pid);
    for (const one of [this.#exits, this.#fatal, this.#sent]) one.delete(pid);
    if (code !== undefined) return exited(prefix, code);
    if (signo !== undefined) return killed(prefix, signo);
    // what ended it is not shown where signals aren't
    return this.#shows.signals ? exited(prefix, 0) : '';
  }
}

/** Does the signal end a process that does nothing about it? */
function ends(signo: number): boolean {
  return !HARMLESS.includes(signo);
}
