// Tasks under a filter of system calls (seccomp(2)). The log shows that one was installed, not
// what it says: a call that it stopped did not run, which is seen from the SIGSYS behind it; an
// error may be the filter's.
import * as OP from '../../assembly/uapi/op.ts';
import type { Call, ReplayTask } from './call.ts';
import { failed } from './call.ts';
import { valueOf } from './value.ts';
import type { Replay } from './engine.ts';
import { addReason, countCall } from './result.ts';

const SIGKILL = 9;
const PR_SET_SECCOMP = 22n;
const SIGSYS = 31;
const INSTALLS = /\bSECCOMP_(MODE|SET_MODE)_(STRICT|FILTER)\b/;

/** The same where the recorder prints numbers. */
function rawMode(call: Call): string | undefined {
  const at = call.name === 'prctl' ? 1 : 0;
  if (at && valueOf(call.args[0]) !== PR_SET_SECCOMP) return undefined;
  const mode = call.args[at]?.kind === 'int' ? Number(valueOf(call.args[at])) - at : -1;
  return ['STRICT', 'FILTER'][mode];
}

/** A call has ended: does its task have a filter from now on, or all threads of its process? */
export function learnFilter(r: Replay, task: ReplayTask, call: Call): void {
  if ((call.name !== 'prctl' && call.name !== 'seccomp') || call.retKind !== 'value') return;
  const mode = INSTALLS.exec(call.text)?.[2] ?? rawMode(call);
  if (!mode || /\bPR_GET_SECCOMP\b/.test(call.text)) return;
  const filter = mode === 'STRICT' ? 'strict' : 'filter';
  task.filter = filter;
  if (!call.text.includes('FILTER_FLAG_TSYNC')) return;
  const group = r.kernel.task(task.pid)?.tgid;
  for (const other of r.living) {
    if (r.kernel.task(other.pid)?.tgid === group) other.filter = filter;
  }
}

/** Did the filter keep this call from running? Then it is counted, and that is all. */
export function keptFromRunning(r: Replay, task: ReplayTask, call: Call): boolean {
  if (!task.filter || !r.index.trapped.has(call.seq)) return false;
  const cls = r.adopter.classOf(task, call);
  const decided = cls === 'emulated' || cls === 'assisted';
  countCall(r.result, call.name, cls, decided ? 'blind' : undefined);
  if (decided) addReason(r.result.reasons.blind, `${call.name}: a filter kept it from running`);
  return true;
}

/** An error that the kernel would not give may be the filter's. */
export function filterExplains(task: ReplayTask, call: Call): string | undefined {
  return task.filter && failed(call) ? 'a filter of system calls decides' : undefined;
}

/**
 * Brings about the end by `signo` of a task, if its filter killed it: the whole process, or this
 * thread alone.
 */
export function killedByFilter(r: Replay, task: ReplayTask, signo: number): void {
  if (!task.filter || (signo !== SIGSYS && !(signo === SIGKILL && task.filter === 'strict'))) {
    return;
  }
  const view = r.kernel.task(task.pid);
  const group = view ? r.index.tasks.get(view.tgid) : undefined;
  const alone = view !== undefined && view.tid !== view.tgid && group?.at(-1)?.left === true;
  if (alone) {
    r.kernel.frame.begin(task.pid, 0, OP.OP_EXIT).setArg(0, 0);
    r.kernel.trap();
  } else if (signo === SIGSYS) r.kernel.fault(task.pid, signo);
  else r.kernel.raise(task.pid, true, { signo });
  r.adopted('an end that a filter of system calls decided');
}
