// Limits, priorities, scheduling and personality from before the log: the first time that a log
// shows one it is adopted, afterwards it is compared.
import * as OP from '../../assembly/uapi/op.ts';
import { RLIMIT_NICE, RLIMIT_RTPRIO } from '../../assembly/uapi/resource.ts';
import { PRIO_PGRP, PRIO_PROCESS, PRIO_USER } from '../../assembly/uapi/sched.ts';
import { DISP_DONE, type Kernel } from '../kernel.ts';
import { fieldOf } from '../trace/values.ts';
import { adoptTask } from './adopt-task.ts';
import { type Call, failed, type ReplayTask } from './call.ts';
import { limitOf } from './structs.ts';
import { valueOf } from './value.ts';

const USER = 0x1000;
const INIT = 1;
const UNLIMITED = (1n << 64n) - 1n;
/** Marks among the limits that are known: settings that are none. */
const NICE = -1;
const POLICY = -2;
const PERSONALITY = -3;
/** Calls that show or set one of these. */
const MARKS: ReadonlyMap<number, number> = new Map([
  [OP.OP_GETPRIORITY, NICE],
  [OP.OP_SETPRIORITY, NICE],
  [OP.OP_SCHED_SETSCHEDULER, POLICY],
  [OP.OP_SCHED_GETSCHEDULER, POLICY],
  [OP.OP_PERSONALITY, PERSONALITY],
]);
const NICER = -4;
/** Field of struct cred, by the number of set_cred(). */
const UID = 0;
/** Calls that privilege, or a limit from before the log, allows. */
const RAISING = new Set([
  OP.OP_SETPRIORITY,
  OP.OP_NICE,
  OP.OP_SCHED_SETSCHEDULER,
  OP.OP_SCHED_SETPARAM,
  OP.OP_SCHED_SETATTR,
]);

const SETS_LIMIT = new Set([OP.OP_PRLIMIT64, OP.OP_SETRLIMIT]);

const number = (call: Call, i: number): number | undefined => {
  const value = valueOf(call.args[i]);
  return value === undefined ? undefined : Number(value);
};

/** The machine's init, which may do everything, sets the limits of a task. */
export function setLimit(k: Kernel, pid: number, resource: number, cur: bigint, max: bigint): void {
  const bytes = new Uint8Array(BigUint64Array.of(cur, max).buffer);
  const frame = k.frame.begin(INIT, 0, OP.OP_PRLIMIT64).setArg(0, pid).setArg(1, resource);
  frame.setArg(2, USER).window(USER, bytes, 'r');
  k.trap();
}

function adoptLimit(k: Kernel, task: ReplayTask, call: Call): string | undefined {
  const four = call.row!.op === OP.OP_PRLIMIT64;
  const resource = number(call, four ? 1 : 0);
  const old = call.args[four ? 3 : 1];
  if (resource === undefined || !old || task.limitsKnown.has(resource)) return undefined;
  task.limitsKnown.add(resource);
  const set = four ? call.args[2] : undefined;
  if (set && set.kind !== 'null') return 'limit from before the log';
  const cur = limitOf(fieldOf(old, 'rlim_cur'));
  const max = limitOf(fieldOf(old, 'rlim_max'));
  if (cur === undefined || max === undefined) return undefined;
  const whom = four ? number(call, 0) || task.pid : task.pid;
  setLimit(k, whom, resource, BigInt.asUintN(64, cur), BigInt.asUintN(64, max));
  return 'limit from before the log';
}

/** Numbers of processes that no log has, counted down from the last one. */
const OUTSIDER = 4_194_200;

/** Of a user's or group's processes one that is not in the log is nicer than all that are. */
function adoptNicer(k: Kernel, task: ReplayTask, call: Call, shown: number): string | undefined {
  const which = number(call, 0);
  const view = k.task(task.pid);
  const mark = NICER - (which ?? 0);
  if (failed(call) || !view || task.limitsKnown.has(mark)) return undefined;
  if (which !== PRIO_USER && which !== PRIO_PGRP) return undefined;
  const asked = k.frame.begin(task.pid, 0, OP.OP_GETPRIORITY);
  asked.setArg(0, which).setArg(1, number(call, 1) ?? 0);
  if (k.trap() !== DISP_DONE || asked.resultBig >= BigInt(shown)) return undefined;
  task.limitsKnown.add(mark);
  const pid = OUTSIDER - which;
  if (!k.task(pid)) adoptTask(k, { pid });
  const group = which === PRIO_PGRP ? number(call, 1) || view.pgid : pid;
  k.setGroup(pid, group, which === PRIO_PGRP ? view.sid : pid);
  if (which === PRIO_USER) k.setCred(pid, UID, BigInt(number(call, 1) || view.uid));
  const frame = k.frame.begin(INIT, 0, OP.OP_SETPRIORITY).setArg(0, PRIO_PROCESS);
  frame.setArg(1, pid).setArg(2, 20 - shown);
  k.trap();
  return 'priority of processes outside the log';
}

/** A first observation that differs. Return: what it is, or undefined: it is none. */
export function adoptSetting(
  k: Kernel,
  task: ReplayTask,
  call: Call,
  agrees: boolean,
): string | undefined {
  const ret = typeof call.ret === 'number' ? call.ret : -1;
  const own = (i: number): boolean => number(call, i) === 0 || number(call, i) === task.pid;
  const first = (what: number): boolean => {
    if (failed(call) || task.limitsKnown.has(what)) return false;
    task.limitsKnown.add(what);
    return true;
  };
  switch (call.row!.op) {
    case OP.OP_PRLIMIT64:
    case OP.OP_GETRLIMIT:
    case OP.OP_OLD_GETRLIMIT:
      return agrees ? adoptLimit(k, task, call) : undefined;
    case OP.OP_GETPRIORITY: {
      if (number(call, 0) !== PRIO_PROCESS) return adoptNicer(k, task, call, ret);
      if (!own(1) || !first(NICE)) return undefined;
      const frame = k.frame.begin(INIT, 0, OP.OP_SETPRIORITY).setArg(0, PRIO_PROCESS);
      frame.setArg(1, task.pid).setArg(2, 20 - ret);
      k.trap();
      return 'priority from before the log';
    }
    case OP.OP_SCHED_GETSCHEDULER:
      return own(0) && first(POLICY) ? 'scheduling policy from before the log' : undefined;
    case OP.OP_PERSONALITY: {
      if (!first(PERSONALITY)) return undefined;
      const set = number(call, 0);
      if (set === 0xffff_ffff) {
        k.frame.begin(task.pid, 0, OP.OP_PERSONALITY).setArg(0, ret);
        k.trap();
      }
      return 'personality from before the log';
    }
    default:
      return undefined;
  }
}

/** A limit that a user may not raise was below what the call asks for. */
function lowerLimit(k: Kernel, task: ReplayTask, call: Call): string | undefined {
  const four = call.row!.op === OP.OP_PRLIMIT64;
  const resource = number(call, four ? 1 : 0);
  const asked = limitOf(fieldOf(call.args[four ? 2 : 1], 'rlim_max'));
  const own = !four || number(call, 0) === 0 || number(call, 0) === task.pid;
  if (resource === undefined || !asked || asked < 0n || !own) return undefined;
  if (task.limitsKnown.has(resource) || k.task(task.pid)?.euid === 0) return undefined;
  setLimit(k, task.pid, resource, asked - 1n, asked - 1n);
  return 'limit from before the log';
}

/** A success that needs a limit which the log does not show: it is as high as need be. */
export function prepareSetting(k: Kernel, task: ReplayTask, call: Call): string | undefined {
  if (call.errno === 'EPERM' && SETS_LIMIT.has(call.row!.op)) return lowerLimit(k, task, call);
  if (!RAISING.has(call.row!.op) || failed(call)) return undefined;
  if (k.task(task.pid)?.uid === 0) return undefined;
  const unknown = [RLIMIT_NICE, RLIMIT_RTPRIO].filter((limit) => !task.limitsKnown.has(limit));
  for (const resource of unknown) {
    task.limitsKnown.add(resource);
    setLimit(k, task.pid, resource, UNLIMITED, UNLIMITED);
  }
  return unknown.length ? 'limit from before the log' : undefined;
}

/** What a call that agreed has made known. */
export function learnSetting(task: ReplayTask, call: Call): void {
  const mark = MARKS.get(call.row!.op);
  if (mark !== undefined && !failed(call)) task.limitsKnown.add(mark);
}
