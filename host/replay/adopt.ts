// What the log doesn't show: the state of tasks from before it, descriptors whose opening was
// filtered out. A first observation is adopted and not compared; later ones are.
import * as OP from '../../assembly/uapi/op.ts';
import { INR_OPEN_MAX } from '../../assembly/uapi/limits.ts';
import { EBADF, ERESTARTNOHAND } from '../../assembly/uapi/errno.ts';
import { PRIO_PROCESS } from '../../assembly/uapi/sched.ts';
import { SIG_SETMASK, SIGCHLD } from '../../assembly/uapi/signal.ts';
import { DISP_DONE } from '../kernel.ts';
import { fieldOf, sigsetOf, statusOf } from '../trace/values.ts';
import { adoptTask } from './adopt-task.ts';
import { type Call, expectedRax, failed, type ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { adoptCred, forgetByExec, isFirstId, learnCred, prepareCred } from './creds.ts';
import { madeFds, MAKES_FD, MAKES_PAIR } from './fd-calls.ts';
import { isBeyondTable } from './file-class.ts';
import { valueOf } from './value.ts';
import { filterExplains } from './filtered.ts';
import { shownMask } from './handlers.ts';
import { prepareHidden } from './gaps-before.ts';
import { adoptInherited } from './inherited.ts';
import { addReason, type CallClass } from './result.ts';
import { forkRefused, isFork, numberArg, type Outcome } from './run.ts';
import { adoptSetting, learnSetting, prepareSetting } from './settings.ts';
import { adoptSparse } from './sparse.ts';
import { adoptTerminal, prepareTerminal } from './terminals.ts';

/** Calls on descriptors that may be from before the log. */
const USES_FD = new Set([
  OP.OP_DUP,
  OP.OP_DUP2,
  OP.OP_DUP3,
  OP.OP_CLOSE,
  OP.OP_FCNTL,
  OP.OP_FSCONFIG,
  OP.OP_FSMOUNT_TODAY,
]);
/** Calls that ask about or signal one process, and the argument that names it; -1: a field. */
const NAMES_PROCESS = new Map([
  [OP.OP_PIDFD_OPEN, 0],
  [OP.OP_KILL, 0],
  [OP.OP_GETPGID, 0],
  [OP.OP_GETSID, 0],
  [OP.OP_CAPGET, -1],
  [OP.OP_PRLIMIT64, 0],
  [OP.OP_GETPRIORITY, 1],
  [OP.OP_SETPRIORITY, 1],
  [OP.OP_SCHED_GETSCHEDULER, 0],
  [OP.OP_SCHED_GETPARAM, 0],
  [OP.OP_SCHED_GETATTR, 0],
]);
const EXECS = new Set([OP.OP_EXECVE, OP.OP_EXECVEAT]);
/** Calls that wait under a signal mask of their own. */
const MASK_CALLS = ['pselect6', 'ppoll', 'epoll_pwait', 'epoll_pwait2', 'io_pgetevents'];
/** Options of prctl that the kernel decides. */
const PRCTL = new RegExp(
  '^PR_((SET|GET)_(PDEATHSIG|CHILD_SUBREAPER|NAME|NO_NEW_PRIVS|KEEPCAPS|SECUREBITS)' +
    '|(SET|GET)_(DUMPABLE|TIMERSLACK)|GET_TID_ADDRESS|CAPBSET_(READ|DROP)|CAP_AMBIENT)$',
);

/** A mask that was set, whatever it had been. */
const WHOLE_MASK = 2;
/** of masks that are nobody else's */
const KNOWN = { known: true };

/** What a call shows of signals: the action of one, or with 1 the mask; 0: nothing. */
export function lessonOf(call: Call): number {
  const { op } = call.row!;
  if (op === OP.OP_RT_SIGRETURN) return shownMask(call) === undefined ? 0 : 1;
  if (op === OP.OP_RT_SIGPROCMASK) {
    if (failed(call)) return 0;
    if (call.args[2]?.kind === 'array') return 1;
    const whole = numberArg(call, 0) === SIG_SETMASK && call.args[1]?.kind === 'array';
    return whole ? WHOLE_MASK : 0;
  }
  return op === OP.OP_RT_SIGACTION ? (numberArg(call, 0) ?? 0) : 0;
}

export function learnSignals(task: ReplayTask, op: number, lesson: number): void {
  if (op === OP.OP_RT_SIGACTION && lesson) task.actionsKnown.add(lesson);
  const shows = op === OP.OP_RT_SIGPROCMASK || op === OP.OP_RT_SIGRETURN;
  if (!shows || !lesson) return;
  if (lesson !== WHOLE_MASK) task.mask.known = true;
  else if (!task.mask.known) task.mask = KNOWN;
}

export class Adopter {
  readonly #r: Replay;
  /** do the log's lines show every call that opens or closes a descriptor? */
  readonly #fdsShown: boolean;

  constructor(replay: Replay) {
    this.#r = replay;
    const names = replay.index.names;
    this.#fdsShown = names.has('openat') || names.has('open');
  }

  /** Who decides this call, by what it acts on. */
  classOf(task: ReplayTask, call: Call): CallClass {
    if (call.injected) return 'injected';
    const row = call.row;
    if (!row || row.op === OP.OP_NONE || row.class === 'unmodelled') return 'unmodelled';
    const first = call.args[0];
    if (isFork(row.op) && forkRefused(call)) return 'assisted';
    if (row.classBy === 'byOption') {
      return first?.kind === 'sym' && PRCTL.test(first.text) ? 'emulated' : 'unmodelled';
    }
    if (row.classBy) return this.#r.namespaces.classOf(task, call) ?? this.#r.files.classOf(call);
    return row.class;
  }

  /** Descriptors that the call needs and the log never showed opened. */
  prepare(task: ReplayTask, call: Call): void {
    const op = call.row!.op;
    this.#adoptTarget(call);
    const hidden = prepareHidden(this.#r, task, call);
    if (hidden) this.#r.adopted(hidden);
    const kept = prepareCred(this.#r.kernel, task, call);
    if (kept) this.#r.adopted(kept);
    const setting = prepareSetting(this.#r.kernel, task, call);
    if (setting) this.#r.adopted(setting);
    const terminal = prepareTerminal(this.#r.kernel, call);
    if (terminal) this.#r.adopted(terminal);
    const uses = USES_FD.has(op);
    if ((!uses && !MAKES_FD.has(op) && !MAKES_PAIR.has(op)) || failed(call)) return;
    const fd = numberArg(call, 0);
    const isOpen = (n: number): boolean => this.#r.kernel.file(task.pid, n) !== undefined;
    if (uses && fd !== undefined && fd >= 0 && !isOpen(fd)) this.#adoptFd(task, fd);
    const all = madeFds(call);
    const made = all?.[0];
    if (!all || made === undefined) return;
    const from = op === OP.OP_FCNTL ? (numberArg(call, 2) ?? 0) : 0;
    if (this.#fdsShown) {
      adoptInherited(this.#r, call, all, from);
      return;
    }
    if (made > INR_OPEN_MAX) return;
    // gaps below the new number were opened where the log didn't look
    const taken = isOpen(made);
    for (let gap = from; gap < made; ++gap) if (!isOpen(gap)) this.#adoptFd(task, gap);
    if (taken) this.#r.kernel.exports.do_syscall_64(this.#closeFrame(task.pid, made));
  }

  #closeFrame(pid: number, fd: number): number {
    return this.#r.kernel.frame.begin(pid, 0, OP.OP_CLOSE).setArg(0, fd).address;
  }

  /** The process that a call succeeded on is there. */
  #adoptTarget(call: Call): void {
    const at = NAMES_PROCESS.get(call.row!.op);
    if (at === undefined || failed(call)) return;
    if (call.row!.op === OP.OP_GETPRIORITY && numberArg(call, 0) !== PRIO_PROCESS) return;
    const asked = at < 0 ? valueOf(fieldOf(call.args[0], 'pid')) : numberArg(call, at);
    const inner = (this.#r.kernel.task(call.pid)?.nsLevel ?? 0) > 0;
    if (!inner) this.#adoptOutside(asked === undefined ? undefined : Number(asked));
  }

  /** A process that is there, but is none of the log's. */
  #adoptOutside(pid: number | undefined): void {
    const k = this.#r.kernel;
    if (!pid || pid < 0 || k.task(pid) || this.#r.index.tasks.has(pid)) return;
    if (!adoptTask(k, { pid })) return;
    this.#r.adopted('process outside the log');
  }

  #adoptFd(task: ReplayTask, fd: number): void {
    if (this.#r.kernel.adoptFd(task.pid, fd)) this.#r.adopted('descriptor that was open before');
  }

  /** A number that is still taken in the kernel while the log gives it to a new task. */
  removeStale(pid: number): void {
    const k = this.#r.kernel;
    const view = k.task(pid);
    if (!view) return;
    if (view.state !== 'Z') {
      k.raise(pid, true, { signo: 9 });
      k.die(pid, true);
    }
    const left = k.task(pid);
    if (!left) return;
    // nobody in the log waited for it: its parent does so now
    k.frame
      .begin(left.ppid || 1, 0, OP.OP_WAIT4)
      .setArg(0, pid)
      .setArg(2, 0x4000_0001);
    k.trap();
  }

  /** The mask was from before the log and lets this signal through. */
  unblock(task: ReplayTask, signo: number): boolean {
    const view = this.#r.kernel.task(task.pid);
    if (!view) return false;
    const bit = 1n << BigInt(signo - 1);
    if (!(view.pending & bit)) return false;
    this.#r.kernel.setBlocked(task.pid, view.blocked & ~bit);
    this.#r.adopted('signal mask from before the log');
    return true;
  }

  /** A call that swaps the mask while it sleeps, hidden or not modelled, let the signal through. */
  temporaryMask(task: ReplayTask, signo: number): boolean {
    const k = this.#r.kernel;
    const view = k.task(task.pid);
    const bit = 1n << BigInt(signo - 1);
    if (!view || !(view.pending & bit)) return false;
    const hidden = !MASK_CALLS.some((name) => this.#r.index.names.has(name));
    if (!hidden && !MASK_CALLS.includes(task.lastName)) return false;
    k.setTemporaryMask(task.pid, view.blocked & ~bit);
    if (hidden) task.lastRet = BigInt(-ERESTARTNOHAND);
    this.#r.adopted('mask of a call that is not modelled');
    return true;
  }

  /** Takes a difference as a first observation of unknown state. Return: whether it was one. */
  adoptFact(task: ReplayTask, call: Call, outcome: Outcome, wrong: string): boolean {
    const reason =
      this.#adopt(task, call, outcome) ??
      this.#r.files.explain(call) ??
      filterExplains(task, call) ??
      (this.#r.sparse ? adoptSparse(this.#r, call, outcome) : undefined);
    if (!reason) return false;
    void wrong;
    this.#r.adopted(reason);
    addReason(this.#r.result.reasons.blind, `${call.name}: ${reason}`);
    return true;
  }

  #adopt(task: ReplayTask, call: Call, outcome: Outcome): string | undefined {
    if (outcome.disposition !== DISP_DONE) return undefined;
    const op = call.row!.op;
    // what differs must be what was written: a result itself is never a fact from before
    const agrees = outcome.rax === expectedRax(call);
    switch (op) {
      case OP.OP_RT_SIGPROCMASK:
        return agrees ? this.#adoptMask(task, call) : undefined;
      case OP.OP_RT_SIGACTION:
        return agrees ? this.#adoptAction(task, call) : undefined;
      case OP.OP_WAIT4:
      case OP.OP_WAITPID:
        return this.#adoptChild(call) ?? this.#adoptReaped(task, call, outcome);
      case OP.OP_RT_SIGRETURN:
        return this.#adoptSaved(task, call, outcome);
      case OP.OP_INOTIFY_RM_WATCH:
        // its file was removed, or it was for one event
        return call.errno === 'EINVAL' && outcome.rax === 0n ? 'a watch that had ended' : undefined;
      case OP.OP_ALARM:
      case OP.OP_GETITIMER:
      case OP.OP_SETITIMER:
        return this.#r.attached ? 'timer from before the log' : undefined;
      case OP.OP_FSCONFIG:
      case OP.OP_FSMOUNT_TODAY:
      case OP.OP_MOVE_MOUNT:
      case OP.OP_MOUNT_SETATTR:
        // what it stands for was opened where the log did not look
        return this.#r.attached && outcome.rax === BigInt(-EBADF)
          ? 'descriptor that was open before'
          : undefined;
      case OP.OP_KILL:
        if (numberArg(call, 0) === -1 && call.ret === 0) return 'processes outside the log';
        return adoptCred(this.#r.kernel, task, call, outcome, this.#r.gaps.hidesIds());
      case OP.OP_SELECT:
      case OP.OP_PSELECT6:
        return isBeyondTable(call) ? 'size of the descriptor table from before the log' : undefined;
      case OP.OP_GETPPID:
        return this.#adoptParent(task, call);
      case OP.OP_GETPGRP:
      case OP.OP_GETPGID:
      case OP.OP_GETSID:
        return this.#adoptGroup(task, call);
      default:
        return (
          adoptSetting(this.#r.kernel, task, call, agrees) ??
          adoptTerminal(this.#r, call, outcome) ??
          this.#r.namespaces.adopt(call, outcome) ??
          adoptCred(this.#r.kernel, task, call, outcome, this.#r.gaps.hidesIds())
        );
    }
  }

  /** The mask that a handler's return shows is the one from before the log. */
  #adoptSaved(task: ReplayTask, call: Call, { frame }: Outcome): string | undefined {
    const mask = shownMask(call);
    if (task.mask.known || mask === undefined || mask === frame.assistedMask) return undefined;
    this.#r.kernel.setBlocked(task.pid, mask);
    task.mask = KNOWN;
    return 'signal mask from before the log';
  }

  #adoptMask(task: ReplayTask, call: Call): string | undefined {
    if (task.mask.known) return undefined;
    const old = sigsetOf(call.args[2]);
    if (old === undefined) return undefined;
    const set = sigsetOf(call.args[1]);
    const how = numberArg(call, 0) ?? 0;
    const mask = set === undefined ? old : how === 0 ? old | set : how === 1 ? old & ~set : set;
    this.#r.kernel.setBlocked(task.pid, BigInt.asUintN(64, mask));
    task.mask = KNOWN;
    return 'signal mask from before the log';
  }

  #adoptAction(task: ReplayTask, call: Call): string | undefined {
    const signo = numberArg(call, 0);
    if (signo === undefined) return undefined;
    if (this.#r.gaps.wasReset(call)) return 'an exec that the log does not show';
    if (task.actionsKnown.has(signo)) return undefined;
    task.actionsKnown.add(signo);
    return 'signal action from before the log';
  }

  /** A child that was forked in the log but is not recorded: its end is known by its wait. */
  endUnseenChild(call: Call): boolean {
    const op = call.row!.op;
    if (op !== OP.OP_WAIT4 && op !== OP.OP_WAITPID) return false;
    const child = typeof call.ret === 'number' ? call.ret : 0;
    const seq = this.#r.index.splits.endOf(call.seq) || call.seq;
    return child > 0 && this.endUnseen(child, statusOf(call.args[1]) ?? 0, seq);
  }

  /**
   * Line `seq` says that a task has ended whose end is not recorded, nor maybe anything of it.
   * Return: whether that was news to the kernel.
   */
  endUnseen(pid: number, status: number, seq: number): boolean {
    const k = this.#r.kernel;
    const stopped = (status & 0x7f) === 0x7f;
    if (pid <= 1 || stopped || this.#isSeen(pid, seq) || (k.views.state(pid) ?? 'Z') === 'Z')
      return false;
    if (status & 0x7f) {
      k.raise(pid, true, { signo: status & 0x7f });
      k.exitToUser(pid);
      k.die(pid);
    } else {
      k.frame.begin(pid, 0, OP.OP_EXIT_GROUP).setArg(0, status >> 8);
      k.trap();
    }
    const task = this.#r.tasks.get(pid);
    if (task) this.#r.bury(task);
    this.#r.adopted('end of a task that is not recorded');
    return true;
  }

  /** Does the log show what becomes of a task behind line `seq`, or how it ended before? */
  #isSeen(pid: number, seq: number): boolean {
    const last = this.#r.index.tasks.get(pid)?.at(-1);
    const { unordered, traced } = this.#r;
    return last !== undefined && (last.exit > 0 || unordered || !traced || last.last > seq);
  }

  /** A child from before the log that was waited for: it is gone now. */
  #adoptChild(call: Call): string | undefined {
    const child = typeof call.ret === 'number' ? call.ret : 0;
    if (!this.#r.attached || child <= 0 || this.#r.tasks.has(child) || this.#r.kernel.task(child))
      return undefined;
    return 'child from before the log';
  }

  /** Children vanish where SIGCHLD is ignored: a call that does not show it may have asked so. */
  #adoptReaped(task: ReplayTask, call: Call, outcome: Outcome): string | undefined {
    const gone = call.errno === 'ECHILD' && outcome.rax > 0n;
    return gone && task.actionsUnseen.has(SIGCHLD) ? 'an action that is not shown' : undefined;
  }

  #adoptParent(task: ReplayTask, call: Call): string | undefined {
    if (task.ppidKnown || typeof call.ret !== 'number' || call.ret <= 0) return undefined;
    const k = this.#r.kernel;
    if (!k.task(call.ret)) adoptTask(k, { pid: call.ret });
    task.ppidKnown = true;
    return k.setParent(task.pid, call.ret) ? 'parent from before the log' : undefined;
  }

  #adoptGroup(caller: ReplayTask, call: Call): string | undefined {
    const k = this.#r.kernel;
    const op = call.row!.op;
    const whom = op === OP.OP_GETPGRP ? 0 : (numberArg(call, 0) ?? 0);
    const task = whom ? this.#r.tasks.get(whom) : caller;
    const known = op === OP.OP_GETSID ? 'sidKnown' : 'groupKnown';
    if (!task || task[known] || typeof call.ret !== 'number' || call.ret <= 0) return undefined;
    if (!k.task(call.ret)) adoptTask(k, { pid: call.ret });
    const before = k.task(task.pid);
    const shown = call.ret;
    const change = (pid: number): boolean => {
      const view = k.task(pid);
      if (op === OP.OP_GETSID) return k.setGroup(pid, view?.pgid ?? 1, shown);
      return k.setGroup(pid, shown, view?.sid ?? 1);
    };
    // children that were forked before share what they inherited
    for (const other of this.#r.living) {
      const view = other.dead || other[known] ? undefined : k.task(other.pid);
      const together = op === OP.OP_GETSID || view?.pgid === before?.pgid;
      if (!view || !together || view.sid !== before?.sid || other === task) continue;
      change(other.pid);
      other[known] = true;
    }
    task[known] = true;
    return change(task.pid) ? 'process group from before the log' : undefined;
  }

  /** Does a call show what began before the log, and that for the first time? */
  isFirst(task: ReplayTask, call: Call): boolean {
    const { op } = call.row!;
    const whom = op === OP.OP_GETPGRP ? 0 : (numberArg(call, 0) ?? 0);
    if (op === OP.OP_GETPPID) return !task.ppidKnown;
    if (op === OP.OP_GETPGRP || (op === OP.OP_GETPGID && !whom)) return !task.groupKnown;
    return op === OP.OP_GETSID && !whom ? !task.sidKnown : isFirstId(task, call);
  }

  /** What a call that agreed has made known. */
  learn(task: ReplayTask, call: Call, outcome: Outcome): void {
    // where ids change unseen, each observation is a first one
    if (!this.#r.gaps.hidesIds()) learnCred(task, call, outcome.unknown);
    learnSetting(task, call);
    this.#r.namespaces.learn(call, outcome.rax);
    if (EXECS.has(call.row!.op) && outcome.rax === 0n) {
      forgetByExec(this.#r.kernel, task);
      this.#r.gaps.bear(task.pid);
    }
    if (outcome.unknown || outcome.unseen) {
      if (call.row!.op === OP.OP_RT_SIGPROCMASK) task.mask = { known: false };
      if (call.row!.op === OP.OP_RT_SIGACTION) task.actionsUnseen.add(numberArg(call, 0) ?? 0);
      return;
    }
    learnSignals(task, call.row!.op, lessonOf(call));
    this.#learnGroup(task, call, outcome.rax);
  }

  /** Whoever leads a session or joins a group is known to be there. */
  #learnGroup(task: ReplayTask, call: Call, rax: bigint): void {
    const op = call.row!.op;
    if (rax < 0n || (op !== OP.OP_SETSID && op !== OP.OP_SETPGID)) return;
    const whom = op === OP.OP_SETPGID ? this.#r.tasks.get(numberArg(call, 0) ?? 0) : undefined;
    (whom ?? task).groupKnown = true;
    if (op === OP.OP_SETSID) task.sidKnown = true;
  }

  #isChild(task: ReplayTask, pid: number): boolean {
    const k = this.#r.kernel;
    const parent = k.task(task.pid);
    return pid > 1 && parent !== undefined && k.task(pid)?.ppid === parent.tgid;
  }

  /** After a divergence the recorded outcome counts, so that one fault is reported once. */
  force(task: ReplayTask, call: Call, outcome: Outcome): void {
    const k = this.#r.kernel;
    const op = call.row!.op;
    const ret = typeof call.ret === 'number' ? call.ret : -1;
    if (isFork(op) && ret > 0 && outcome.rax <= 0n && !k.task(ret)) {
      const child = { pid: ret, ppid: task.pid, traced: this.#r.traced };
      if (adoptTask(k, child)) this.#r.newTask(ret, task);
    }
    if ((op === OP.OP_WAIT4 || op === OP.OP_WAITPID) && this.#isChild(task, ret))
      this.removeStale(ret);
    if (MAKES_FD.has(op) && ret >= 0 && outcome.rax < 0n) k.adoptFd(task.pid, ret);
    if (op === OP.OP_RT_SIGPROCMASK) {
      const old = sigsetOf(call.args[2]);
      const set = sigsetOf(call.args[1]);
      if (old !== undefined && set === undefined) k.setBlocked(task.pid, BigInt.asUintN(64, old));
    }
    const mask = op === OP.OP_RT_SIGRETURN ? shownMask(call) : undefined;
    if (mask !== undefined) k.setBlocked(task.pid, mask);
  }
}
