// Limits, accounts, priorities and scheduling.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own, part } from '../def.ts';

const HELD = 'NOFILE, NPROC, SIGPENDING, NICE and RTPRIO have an effect; the others are kept';
const CGROUP = "a cgroup's refusal is the world's; nothing is scheduled by it";
const CPUS = "which CPUs there are is the world's";
const USED = "what was used is the world's: zeros";

/** Calls on limits and on scheduling. */
export const LIMIT_CALLS: Readonly<Record<string, CallDef>> = {
  prlimit64: part(OP.OP_PRLIMIT64, 'zero', 'pid op in:rlimit64 out:rlimit64', HELD),
  getrlimit: part(OP.OP_GETRLIMIT, 'zero', 'op out:rlimit', HELD),
  setrlimit: part(OP.OP_SETRLIMIT, 'zero', 'op in:rlimit', HELD),
  getrusage: own(OP.OP_GETRUSAGE, 'zero', 'op out:rusage', { note: USED }),
  times: own(OP.OP_TIMES, 'time', 'out:tms', { class: 'assisted', note: USED }),
  getpriority: own(OP.OP_GETPRIORITY, 'int', 'op id'),
  setpriority: own(OP.OP_SETPRIORITY, 'zero', 'op id int'),
  nice: own(OP.OP_NICE, 'zero', 'int'),
  personality: own(OP.OP_PERSONALITY, 'mask', 'uint', { note: 'kept, without an effect' }),
  sched_setscheduler: own(OP.OP_SCHED_SETSCHEDULER, 'zero', 'pid op in:sched_param', {
    note: CGROUP,
  }),
  sched_getscheduler: own(OP.OP_SCHED_GETSCHEDULER, 'int', 'pid'),
  sched_setparam: own(OP.OP_SCHED_SETPARAM, 'zero', 'pid in:sched_param', { note: CGROUP }),
  sched_getparam: own(OP.OP_SCHED_GETPARAM, 'zero', 'pid out:sched_param'),
  sched_setattr: own(OP.OP_SCHED_SETATTR, 'zero', 'pid in:sched_attr uint', { note: CGROUP }),
  sched_getattr: own(OP.OP_SCHED_GETATTR, 'zero', 'pid out:sched_attr uint uint'),
  sched_setaffinity: part(OP.OP_SCHED_SETAFFINITY, 'zero', 'pid uint in:cpumask', CPUS),
  sched_getaffinity: part(OP.OP_SCHED_GETAFFINITY, 'int', 'pid uint out:cpumask', CPUS, {
    class: 'assisted',
  }),
  sched_get_priority_max: own(OP.OP_SCHED_GET_PRIORITY_MAX, 'int', 'op'),
  sched_get_priority_min: own(OP.OP_SCHED_GET_PRIORITY_MIN, 'int', 'op'),
  sched_rr_get_interval: part(
    OP.OP_SCHED_RR_GET_INTERVAL,
    'zero',
    'pid out:timespec',
    "100 ms for SCHED_RR, 0 for others; the world's may be another",
  ),
};
