// Calls whose answer depends on what other tasks have put in or taken out: pipes, sockets,
// counters, and whatever waits for them. Where such a call is an open interval, it is looked at
// ahead, without its effect, until the kernel would give what the log shows; then it is run.
import * as OP from '../../assembly/uapi/op.ts';
import { DISP_BLOCKED, DISP_SLEEPS } from '../kernel.ts';
import type { TraceLine } from '../trace/event.ts';
import type { Call } from './call.ts';
import type { Replay } from './engine.ts';
import { goOn, type Moment, runNow } from './execute.ts';
import { EPOLL_WAITS, fdOf } from './file-class.ts';
import { IPC_SLEEPS } from './ipc.ts';
import { MQ_SLEEPS } from './mqueue.ts';
import { help, STEPS } from './order.ts';
import { judge, numberArg, runCall } from './run.ts';
import { NAME_CALLS } from './sockets.ts';
import { terminalCommand } from './terminals.ts';

const READS = new Set([OP.OP_READ, OP.OP_READV, OP.OP_RECVFROM, OP.OP_RECVMSG]);
const WRITES = new Set([
  OP.OP_WRITE,
  OP.OP_WRITEV,
  OP.OP_SENDTO,
  OP.OP_SENDMSG,
  OP.OP_SPLICE,
  OP.OP_TEE,
  OP.OP_VMSPLICE,
  OP.OP_SENDFILE,
]);
const OTHERS = new Set([
  OP.OP_CONNECT,
  OP.OP_ACCEPT,
  OP.OP_ACCEPT4,
  OP.OP_POLL,
  OP.OP_PPOLL,
  OP.OP_SELECT,
  OP.OP_PSELECT6,
  OP.OP_IOCTL,
  ...EPOLL_WAITS,
]);
/** Calls after which another one may have something to read, or room to write. */
const STIRS: ReadonlySet<string> = new Set([
  'read',
  'write',
  'readv',
  'writev',
  'sendto',
  'recvfrom',
  'sendmsg',
  'recvmsg',
  'splice',
  'tee',
  'vmsplice',
  'sendfile',
  'close',
  'close_range',
  'dup2',
  'dup3',
  'execve',
  'execveat',
  'shutdown',
  'connect',
  'accept',
  'accept4',
  'bind',
  'listen',
  'exit',
  'exit_group',
  'kill',
  'tkill',
  'tgkill',
  'epoll_ctl',
  'timerfd_settime',
]);

/** How much a write(2) or sendto(2) was asked to write. */
function lengthOf(call: Call): number {
  return numberArg(call, 2) ?? 0;
}

/** Files on which a call depends on nothing that others put in; it can't be looked at ahead. */
const APART = new Set(['proc', 'nsfs', 'container', 'supervisor']);

/** May a call of this name let an open one go on? */
export function stirsFlows(name: string): boolean {
  return STIRS.has(name);
}

export class Flows {
  readonly #r: Replay;
  /** open intervals that have not been run, by where they end */
  readonly #open: Call[] = [];
  /** the sleeping call whose end is being brought about */
  waking: Call | undefined;
  /** calls on System V objects that sleep, those that began first in front */
  readonly #sleepers: Call[] = [];

  constructor(r: Replay) {
    this.#r = r;
  }

  /** Is this one of the calls that are looked at ahead? */
  concerns(call: Call): boolean {
    const { op } = call.row!;
    if (!READS.has(op) && !WRITES.has(op) && !OTHERS.has(op)) return false;
    if (terminalCommand(call)) return false;
    // of sockets that are the world's nothing can be looked at ahead
    if (NAME_CALLS.has(op) && this.#r.files.classOf(call) !== 'emulated') return false;
    return !APART.has(this.#r.files.kindOf(call));
  }

  /** A call has begun, and is not over. */
  begin(call: Call): void {
    if (!call.row || call.injected || call.done) return;
    const { op } = call.row;
    if (IPC_SLEEPS.has(op) || MQ_SLEEPS.has(op)) this.#sleep(call);
    if (call.done || !this.concerns(call)) return;
    // of several that one event may end it is the one that the log shows to end first
    const end = this.#endOf(call);
    const at = this.#open.findIndex((other) => this.#endOf(other) > end);
    this.#open.splice(at < 0 ? this.#open.length : at, 0, call);
    this.#try(call);
  }

  /** A call that would wait for another task's does so from its beginning: others see that. */
  #sleep(call: Call): void {
    if (!this.#decided(call)) return;
    const r = this.#r;
    const { disposition } = runCall(r, call, r.tableIndex.get(call.table) ?? 0, 0, true);
    if (disposition === DISP_SLEEPS && runNow(r, call, true)) this.#sleepers.push(call);
  }

  /** Of several that one call has woken the first to sleep goes on first. */
  wakeSleepers(): void {
    if (this.#sleepers.length === 0) return;
    const sleeping = this.#sleepers.filter((call) => call.asleep);
    this.#sleepers.length = 0;
    for (const call of sleeping) {
      const goes = call.retKind !== 'unknown' && call !== this.waking;
      if (!goes || !goOn(this.#r, call, true) || call.asleep) {
        this.#sleepers.push(call);
      }
    }
  }

  /** A line has been replayed: does an open call now give what the log shows? */
  stir(line: TraceLine): void {
    if (this.#open.length === 0) return;
    const ends = line.kind === 'exit' || line.kind === 'killed';
    if (!ends && !STIRS.has(line.name)) return;
    for (const call of [...this.#open]) {
      const task = this.#r.tasks.get(call.pid);
      if (call.done || task?.open !== call) this.#drop(call);
      else this.#try(call);
    }
  }

  #endOf(call: Call): number {
    return this.#r.index.splits.endOf(call.seq) || Infinity;
  }

  #drop(call: Call): void {
    const at = this.#open.indexOf(call);
    if (at >= 0) this.#open.splice(at, 1);
  }

  /** Runs an open call early when it is its time, and waiting could only miss it. */
  #try(call: Call): void {
    if (!this.#eager(call) || !this.#decided(call)) return;
    if (!this.fits(call) && !this.#cutShort(call)) return;
    if (runNow(this.#r, call)) this.#drop(call);
  }

  /** A write that the log shows to have gone in in part: it began while there was room. */
  #cutShort(call: Call): boolean {
    const op = call.row!.op;
    if (op !== OP.OP_WRITE && op !== OP.OP_SENDTO) return false;
    const part = typeof call.ret === 'number' && call.ret > 0 && call.ret < lengthOf(call);
    return part && this.begins(call);
  }

  #decided(call: Call): boolean {
    const task = this.#r.tasks.get(call.pid);
    const cls = task && this.#r.adopter.classOf(task, call);
    return cls === 'emulated' || cls === 'assisted';
  }

  /**
   * Reads take what is there: later there may be more. A write that went in whole has time until
   * somebody needs it, one that did not went as soon as that was so.
   */
  #eager(call: Call): boolean {
    if (call.retKind !== 'value' && call.retKind !== 'error') return false;
    if (!WRITES.has(call.row!.op)) return true;
    return call.retKind === 'error' || call.ret !== numberArg(call, 2);
  }

  /** Would the kernel give what the log shows, were the call run now? */
  fits(call: Call): boolean {
    const r = this.#r;
    r.files.tell(call);
    const outcome = runCall(r, call, r.tableIndex.get(call.table) ?? 0, 0, true);
    r.files.forget(call);
    if (outcome.unknown) return true;
    if (outcome.disposition !== DISP_SLEEPS) return judge(call, outcome, r.timers) === undefined;
    const asleep = { ...outcome, disposition: DISP_BLOCKED };
    return r.files.timesOut(call) || judge(call, asleep, r.timers) === undefined;
  }

  /** Would the call be asleep, having done a part of its work? Only writes keep such a part. */
  begins(call: Call): boolean {
    if (!WRITES.has(call.row!.op) || call.retKind !== 'value') return false;
    const r = this.#r;
    return runCall(r, call, r.tableIndex.get(call.table) ?? 0, 0, true).disposition === DISP_SLEEPS;
  }

  /** Does a call put bytes where another task may read them? */
  puts(call: Call): boolean {
    return WRITES.has(call.row!.op) && call.retKind === 'value' && this.#decided(call);
  }

  /** Does sleeping leave something behind, so that the call must not begin again? */
  keepsPart(call: Call): boolean {
    return WRITES.has(call.row!.op);
  }

  /**
   * Brings about what `call` needs, at its end; before that only looks. Return: whether the call is
   * to be run.
   */
  settle(call: Call, moment: Moment): boolean {
    if (moment !== 'end') return this.fits(call) || (moment === 'early' && this.begins(call));
    for (let tries = 0; tries < STEPS && !this.fits(call); ++tries) {
      if (!this.help(call)) break;
      if (this.fits(call)) this.#r.reordered(`${call.name} needed an open call's effect`);
    }
    return true;
  }

  /** Writes that the log shows to have gone in come before the reader is closed. */
  beforeClose(call: Call): void {
    const object = call.row!.op === OP.OP_CLOSE ? this.#objectOf(call) : 0;
    if (!object) return;
    for (const { open } of this.#r.living) {
      if (!open || open === call || open.done || !open.row || !this.puts(open)) continue;
      if (this.#objectOf(open) !== object || fdOf(open.args[0]) < 0) continue;
      if (runNow(this.#r, open)) this.#r.reordered('a write came before its reader was closed');
    }
  }

  /** One step towards what `call` needs: those at the other end first. */
  help(call: Call): boolean {
    const r = this.#r;
    const tasks = [...r.living].filter((task) => task.open);
    for (const { open } of tasks) if (open && open !== call && goOn(r, open)) return true;
    const object = this.#objectOf(call);
    for (const { open } of tasks) {
      if (!open || open === call || open.done || !open.row) continue;
      if (object && this.#objectOf(open) === object && runNow(r, open)) return true;
    }
    return help(r, call, call.pid);
  }

  /** The pipe behind a call's descriptor, or the pair of sockets; 0: nothing of the sort. */
  #objectOf(call: Call): number {
    const file = this.#r.kernel.file(call.pid, fdOf(call.args[0]));
    if (!file) return 0;
    if (file.kind === 'pipe') return file.object;
    if (file.kind === 'socket') return Math.min(file.object, file.peer);
    return file.kind === 'world' || file.kind === 'null' ? 0 : file.address;
  }
}
