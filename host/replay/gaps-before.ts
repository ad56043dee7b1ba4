// Before a call of a log of chosen calls (gaps.ts): what it shows of others, which are left out. A
// group that is signalled or waited for is there, a child that is waited for is the caller's, a
// table that is full is as large as that.
import * as OP from '../../assembly/uapi/op.ts';
import { RLIMIT_NOFILE } from '../../assembly/uapi/resource.ts';
import { P_PGID } from '../../assembly/uapi/wait.ts';
import { fieldOf } from '../trace/values.ts';
import { type Call, failed, type ReplayTask } from './call.ts';
import type { Replay } from './engine.ts';
import { MAKES_FD, MAKES_PAIR, OWN_LIMITS } from './fd-calls.ts';
import { nextFds } from './peek.ts';
import { numberArg } from './run.ts';
import { setLimit } from './settings.ts';
import { valueOf } from './value.ts';

/** Is `pid` a descendant of `top`, as the log shows it? */
function descends(r: Replay, pid: number, top: number): boolean {
  let at = r.tasks.get(pid);
  for (let depth = 0; at && depth < 64; ++depth) {
    if (at.pid === top) return true;
    at = r.tasks.get(at.parent);
  }
  return false;
}

/** A process group that exists, though nobody was seen to make it: its leader and his children. */
function adoptGroup(r: Replay, group: number): string | undefined {
  const { kernel } = r;
  if (!group || !r.tasks.has(group) || !kernel.task(group)) return undefined;
  if (kernel.task(group)?.pgid === group) return undefined;
  for (const { pid } of r.living) {
    const view = kernel.task(pid);
    if (view && descends(r, pid, group)) kernel.setGroup(pid, group, view.sid);
  }
  kernel.setGroup(group, group, kernel.task(group)?.sid ?? 1);
  return 'a process group that the log does not show';
}

/** A child that another process had, by whatever was not shown. */
function adoptOrphan(r: Replay, task: ReplayTask, call: Call): string | undefined {
  const { kernel } = r;
  const child = typeof call.ret === 'number' ? call.ret : 0;
  const caller = kernel.task(task.pid);
  const view = child > 1 ? kernel.task(child) : undefined;
  if (!caller || !view || view.ppid === caller.tgid || !descends(r, child, task.pid)) {
    return undefined;
  }
  return kernel.setParent(child, caller.tgid)
    ? 'a subreaper that the log does not show'
    : undefined;
}

/** No descriptor is left, below a limit that was not seen to be set. */
function adoptFull(r: Replay, task: ReplayTask, call: Call): string | undefined {
  const op = call.row!.op;
  if (!MAKES_FD.has(op) && !MAKES_PAIR.has(op)) return undefined;
  if (OWN_LIMITS.has(call.name) || task.limitsKnown.has(RLIMIT_NOFILE)) return undefined;
  const limit = BigInt(nextFds(r, task.pid, 1)[0]!);
  setLimit(r.kernel, task.pid, RLIMIT_NOFILE, limit, limit);
  return 'limit from before the log';
}

/** What a call that is about to be run shows of others that the log leaves out. */
export function prepareHidden(r: Replay, task: ReplayTask, call: Call): string | undefined {
  const { gaps } = r;
  const op = call.row!.op;
  if (call.errno === 'EMFILE') {
    return gaps.hides('prlimit64', 'setrlimit') ? adoptFull(r, task, call) : undefined;
  }
  if (failed(call)) return undefined;
  if (op === OP.OP_WAIT4 && gaps.hides('prctl')) {
    const orphan = adoptOrphan(r, task, call);
    if (orphan) return orphan;
  }
  if (!gaps.hides('setpgid', 'setsid')) return undefined;
  if (op === OP.OP_KILL) return adoptGroup(r, Math.max(0, -(numberArg(call, 0) ?? 0)));
  if (op !== OP.OP_WAITID || numberArg(call, 0) !== P_PGID) return undefined;
  const found = valueOf(fieldOf(call.args[2], 'si_pid'));
  return found ? adoptGroup(r, numberArg(call, 1) ?? 0) : undefined;
}
