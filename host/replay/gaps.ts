// Logs of chosen calls (strace -e trace=..., -z, -Z): whole kinds of calls are missing, and what
// they did shows in what is there. A task ends though nobody called for it; a signal comes that no
// call sent, or is survived that no handler was set for; a parent waits for a child that it never
// made. All of that is adopted, and only where the log shows none of those calls at all.
import * as OP from '../../assembly/uapi/op.ts';
import {
  LINUX_REBOOT_CMD_POWER_OFF,
  LINUX_REBOOT_CMD_RESTART,
  LINUX_REBOOT_MAGIC1,
} from '../../assembly/uapi/reboot.ts';
import { SI_QUEUE, SI_TKILL, SI_USER, SIG_DFL, SIG_IGN } from '../../assembly/uapi/signal.ts';
import { signalName } from '../abi/constants.ts';
import type { SigInfoFields, TraceLine } from '../trace/event.ts';
import { isForkLike, type TraceIndex } from '../trace/index.ts';
import { fieldOf } from '../trace/values.ts';
import type { Call, ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { handlerOf, setAction } from './sparse.ts';

const EXECS = ['execve', 'execveat'];
const GROUPS = ['setpgid', 'setsid'];
const ACTIONS = ['rt_sigaction', 'sigaction', 'signal'];
/** Calls that change who a task is. */
const SETS_IDS = ['setuid', 'setresuid', 'setreuid', 'setgid', 'setresgid', 'setregid'];
/** Calls that send a signal, by the si_code that says so. */
const SENDS = new Map([
  [SI_USER, ['kill', 'pidfd_send_signal']],
  [SI_TKILL, ['tgkill', 'tkill']],
  [SI_QUEUE, ['rt_sigqueueinfo', 'rt_tgsigqueueinfo', 'pidfd_send_signal']],
]);
/** What ends a namespace's init by which signal. */
const REBOOTS = new Map([
  [1, LINUX_REBOOT_CMD_RESTART],
  [2, LINUX_REBOOT_CMD_POWER_OFF],
]);
/** Some address of user code. */
const HANDLER = 0x1000;

export class Gaps {
  readonly #r: Replay;
  readonly #index: TraceIndex;
  /** somebody chose which calls are shown */
  readonly #chosen: boolean;
  readonly #groupExits: boolean;
  readonly #exits: boolean;
  readonly #execs: boolean;
  readonly #groups: boolean;
  readonly #actions: boolean;
  /** si_codes of signals whose calls are not shown */
  readonly #sends: ReadonlySet<number>;
  /** what keeps a signal from ending its task: a handler, where its return is shown */
  readonly #kept: number;
  /** forks are not shown: who made a task is known by who is told of its end */
  readonly forks: boolean;

  constructor(r: Replay) {
    const { names } = r.index;
    // where a recorder shows no signals, or not all of them, that is another matter (sparse.ts)
    const calls = r.traced && !r.sparse;
    const hides = (kind: readonly string[]): boolean =>
      calls && !kind.some((name) => names.has(name));
    // every program begins with these, unless it had begun before
    const begins = names.has('brk') || names.has('arch_prctl');
    const maps = names.has('mmap') || names.has('mmap2');
    this.#chosen = names.has('execve') ? !begins : !maps || !begins;
    this.#r = r;
    this.#index = r.index;
    this.#groupExits = hides(['exit_group']);
    this.#exits = hides(['exit']);
    this.#execs = this.#chosen && hides(EXECS);
    this.#actions = this.#chosen && hides(ACTIONS);
    this.#groups = this.#chosen && hides(GROUPS) && names.has('kill');
    this.#sends = new Set([...SENDS].filter(([, calls]) => hides(calls)).map(([code]) => code));
    this.#kept = names.has('rt_sigreturn') || names.has('sigreturn') ? HANDLER : SIG_IGN;
    const forks = [...names.keys()].some(isForkLike);
    this.forks = calls && !forks && r.index.tasks.size > 1;
  }

  /** Is this a log of chosen calls, without any of these? */
  hides(...names: string[]): boolean {
    return this.#chosen && !names.some((name) => this.#index.names.has(name));
  }

  /** Do ids change unseen? */
  hidesIds(): boolean {
    return this.hides(...SETS_IDS);
  }

  /** Was a signal sent by a call that this log does not show? */
  sent(info: SigInfoFields): boolean {
    return this.#sends.has(info.code ?? 0);
  }

  /** Who made a task, as far as that can be told: 0 where forks are shown, or nobody knows. */
  parentOf(pid: number): number {
    const parent = this.forks ? (this.#index.parents.get(pid) ?? 0) : 0;
    return parent !== pid && this.#index.tasks.has(parent) ? parent : 0;
  }

  /** A task begins, or begins another program: what it will survive does not end it. */
  bear(pid: number, parent = 0): void {
    if (!this.#actions) return;
    const { signals } = this.#index;
    const own = signals.survivedBy(pid);
    for (const signo of signals.survivedBy(parent)) {
      if (!own.has(signo)) setAction(this.#r, pid, signo, SIG_DFL);
    }
    for (const signo of own) {
      const ends = handlerOf(this.#r, pid, signo) === SIG_DFL;
      if (ends && setAction(this.#r, pid, signo, this.#kept)) {
        this.#r.adopted(`action of ${signalName(signo)}, which is not shown`);
      }
    }
  }

  /** A signal line, about to be taken: one that ends its task finds no handler. */
  beforeSignal(task: ReplayTask, line: TraceLine): void {
    if (!this.#execs || !this.#index.signals.fatal.has(line.seq)) return;
    if (handlerOf(this.#r, task.pid, line.signo) === SIG_DFL) return;
    setAction(this.#r, task.pid, line.signo, SIG_DFL);
    this.#r.adopted('an exec that the log does not show');
  }

  /** Is a signal waiting that this task never takes, because it was in no group that got it? */
  missed(pid: number, signo: number): boolean {
    return this.#groups && !this.#index.signals.took(pid, signo);
  }

  /** The end line of a task that is alive: where no exit is shown, it ends as the line says. */
  endUnasked(task: ReplayTask, line: TraceLine): void {
    const { kernel } = this.#r;
    const alone = (kernel.task(task.pid)?.threads ?? 1) === 1;
    if (line.kind !== 'exit' || !(alone ? this.#groupExits : this.#exits)) return;
    const frame = kernel.frame.begin(task.pid, 0, alone ? OP.OP_EXIT_GROUP : OP.OP_EXIT);
    frame.setArg(0, line.exitCode);
    kernel.trap();
    this.#r.adopted('an end that no shown call asked for');
  }

  /** As that, for a task that was killed: where no signal is shown to be sent, somebody did so. */
  killUnasked(task: ReplayTask, line: TraceLine): void {
    if (line.kind !== 'killed' || this.#sends.size < SENDS.size) return;
    this.#r.kernel.raise(task.pid, true, { signo: line.signo });
    this.#r.adopted('an end that no shown call asked for');
  }

  /** A namespace's init that dies of SIGINT or SIGHUP called reboot(2): the log leaves it out. */
  hiddenReboot(task: ReplayTask, line: TraceLine): void {
    const { kernel } = this.#r;
    const view = kernel.task(task.pid);
    const command = REBOOTS.get(line.kind === 'killed' ? line.signo : 0);
    if (command === undefined || !this.hides('reboot') || !view) return;
    if (view.nspid !== 1 || view.nsLevel === 0) return;
    const frame = kernel.frame.begin(task.pid, 0, OP.OP_REBOOT);
    frame.setArg(0, LINUX_REBOOT_MAGIC1).setArg(2, command);
    kernel.trap();
    this.#r.adopted('a reboot that the log does not show');
  }

  /** Does this rt_sigaction show an action that an exec, which is not shown, has reset? */
  wasReset(call: Call): boolean {
    const old = fieldOf(call.args[2], 'sa_handler');
    return this.#execs && old?.kind === 'sym' && old.text === 'SIG_DFL';
  }
}
