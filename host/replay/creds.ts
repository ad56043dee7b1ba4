// Who the tasks of a log are, as far as it began before them: ids, groups, capability sets. The
// first call that shows such a fact teaches it, later ones are compared.
import { CAP_SYS_RESOURCE } from '../../assembly/uapi/capability.ts';
import * as OP from '../../assembly/uapi/op.ts';
import type { Kernel } from '../kernel.ts';
import type { Frame } from '../frame.ts';
import { fieldOf } from '../trace/values.ts';
import { type Call, expectedRax, type ReplayTask } from './call.ts';
import { valueOf } from './value.ts';
import { capsOf, groupsOf } from './namespaces.ts';
import type { Outcome } from './run.ts';

/** Fields of struct cred, by the numbers of set_cred(). */
const UID = 0;
const GID = 1;
const SUID = 2;
const SGID = 3;
const EUID = 4;
const EGID = 5;
const FSUID = 6;
const FSGID = 7;
const SECUREBITS = 8;
const INHERITABLE = 9;
const PERMITTED = 10;
const EFFECTIVE = 11;
const BOUNDING = 12;
const AMBIENT = 13;
/** Beyond the fields: the groups. */
const GROUPS = 14;

const UIDS = [UID, EUID, SUID, FSUID];
const GIDS = [GID, EGID, SGID, FSGID];
const SETS = [PERMITTED, EFFECTIVE];
/** What exec of a file with set-id bits or capabilities may change. */
const CHANGED_BY_EXEC = [EUID, SUID, FSUID, EGID, SGID, FSGID, PERMITTED, EFFECTIVE, AMBIENT];

const ONE_ID = new Map([
  [OP.OP_GETUID, UID],
  [OP.OP_GETEUID, EUID],
  [OP.OP_GETGID, GID],
  [OP.OP_GETEGID, EGID],
]);
const THREE_IDS = new Map([
  [OP.OP_GETRESUID, [UID, EUID, SUID]],
  [OP.OP_GETRESGID, [GID, EGID, SGID]],
]);
/** What a call changes whose arguments the log does not show. */
const CHANGES = new Map([
  [OP.OP_SETUID, [...UIDS, ...SETS, AMBIENT]],
  [OP.OP_SETREUID, [...UIDS, ...SETS, AMBIENT]],
  [OP.OP_SETRESUID, [...UIDS, ...SETS, AMBIENT]],
  [OP.OP_SETGID, GIDS],
  [OP.OP_SETREGID, GIDS],
  [OP.OP_SETRESGID, GIDS],
  [OP.OP_SETGROUPS, [GROUPS]],
  [OP.OP_CAPSET, [...SETS, INHERITABLE, AMBIENT]],
]);
/** Calls that the unprivileged are refused. */
const PRIVILEGED = new Set([
  OP.OP_SETUID,
  OP.OP_SETGID,
  OP.OP_SETREUID,
  OP.OP_SETREGID,
  OP.OP_SETRESUID,
  OP.OP_SETRESGID,
  OP.OP_SETGROUPS,
  OP.OP_KILL,
  OP.OP_TKILL,
  OP.OP_TGKILL,
  OP.OP_UNSHARE,
  OP.OP_SETNS,
  OP.OP_CLONE,
  OP.OP_CLONE3,
  OP.OP_CHROOT,
  OP.OP_PRCTL,
  OP.OP_PRLIMIT64,
]);

/** The one capability that a call is refused without. */
const NEEDS = new Map([
  [OP.OP_MSGCTL, CAP_SYS_RESOURCE],
  [OP.OP_SETRLIMIT, CAP_SYS_RESOURCE],
  [OP.OP_PRLIMIT64, CAP_SYS_RESOURCE],
]);

const plain = (op: number): number => op & ~OP.OP_ID16;

function knows(task: ReplayTask, field: number): boolean {
  return (task.credKnown & (1 << field)) !== 0;
}

function note(task: ReplayTask, fields: readonly number[]): void {
  for (const field of fields) task.credKnown |= 1 << field;
}

/** The ids of one kind: those that nothing is known of follow the one that is seen. */
function adoptId(k: Kernel, task: ReplayTask, field: number, id: bigint): void {
  const kind = UIDS.includes(field) ? UIDS : GIDS;
  const none = !kind.some((one) => knows(task, one));
  // a file's set-id bits give the effective id, and the saved one follows
  const effective = field === EUID || field === EGID;
  const follow = none || effective ? kind.filter((one) => !knows(task, one)) : [field];
  for (const one of follow) k.setCred(task.pid, one, id);
  note(task, [field]);
  if (kind !== UIDS || knows(task, EFFECTIVE)) return;
  // root has what its bounding set leaves, others nothing, as far as is known
  const root = effective && id === 0n;
  if (!root && id === 0n) return;
  const caps = root ? (k.task(task.pid)?.caps.bounding ?? 0n) : 0n;
  for (const set of SETS) k.setCred(task.pid, set, caps);
  k.setCred(task.pid, AMBIENT, 0n);
}

/** Does a capget ask about the caller? */
function ofItself(task: ReplayTask, call: Call): boolean {
  const pid = Number(valueOf(fieldOf(call.args[0], 'pid')) ?? 0n);
  return pid === 0 || pid === task.pid;
}

function adoptCaps(k: Kernel, task: ReplayTask, call: Call): boolean {
  const sets = capsOf(call.args[1]);
  if (!sets || knows(task, EFFECTIVE) || !ofItself(task, call)) return false;
  k.setCred(task.pid, EFFECTIVE, sets.effective);
  k.setCred(task.pid, PERMITTED, sets.permitted);
  k.setCred(task.pid, INHERITABLE, sets.inheritable);
  // what root has not, an exec before the log left out of its bounding set
  const root = k.task(task.pid)?.euid === 0;
  if (root && !task.bsetKnown) k.setCred(task.pid, BOUNDING, sets.permitted);
  note(task, [EFFECTIVE, PERMITTED, INHERITABLE]);
  return true;
}

/** An option of prctl that shows a fact. */
function adoptOption(k: Kernel, task: ReplayTask, call: Call, outcome: Outcome): boolean {
  const option = call.args[0]?.kind === 'sym' ? call.args[0].text : '';
  const cap = valueOf(call.args[option === 'PR_CAP_AMBIENT' ? 2 : 1]);
  const shown = Number(call.ret);
  if (option === 'PR_GET_SECUREBITS' && !knows(task, SECUREBITS)) {
    note(task, [SECUREBITS]);
    return k.setCred(task.pid, SECUREBITS, BigInt(shown));
  }
  if (cap === undefined || outcome.rax < 0n || outcome.rax > 1n) return false;
  const caps = k.task(task.pid)?.caps;
  if (!caps) return false;
  const flip = (set: bigint): bigint => set ^ (1n << cap);
  if (option === 'PR_CAPBSET_READ' && !((task.bsetKnown >> cap) & 1n)) {
    task.bsetKnown |= 1n << cap;
    return k.setCred(task.pid, BOUNDING, flip(caps.bounding));
  }
  if (option === 'PR_CAP_AMBIENT' && !knows(task, AMBIENT)) {
    return k.setCred(task.pid, AMBIENT, flip(caps.ambient));
  }
  return false;
}

/** A call by `tid` with all capabilities. */
function asRoot(k: Kernel, tid: number, call: (frame: Frame) => void): void {
  const before = k.task(tid)?.caps.effective ?? 0n;
  k.setCred(tid, EFFECTIVE, (1n << 64n) - 1n);
  call(k.frame);
  k.trap();
  k.setCred(tid, EFFECTIVE, before);
}

/** Groups from before the log: the task sets them as someone who may. */
function adoptGroups(k: Kernel, task: ReplayTask, call: Call): boolean {
  const groups = groupsOf(call.args[1]);
  if (knows(task, GROUPS) || !groups) return false;
  const bytes = new Uint8Array(Uint32Array.from(groups).buffer);
  asRoot(k, task.pid, (frame) => {
    frame.begin(task.pid, 0, OP.OP_SETGROUPS).setArg(0, groups.length).setArg(1, 0x1000);
    if (bytes.length) frame.window(0x1000, bytes, 'r');
  });
  note(task, [GROUPS]);
  return true;
}

/**
 * Takes a difference as a first observation of who the task is; `hidden`: ids change unseen.
 * Return: the reason, or undefined when it is none.
 */
export function adoptCred(
  k: Kernel,
  task: ReplayTask,
  call: Call,
  outcome: Outcome,
  hidden: boolean,
): string | undefined {
  const view = k.task(task.pid);
  if (!view || view.userNsLevel !== 0) return undefined;
  const op = plain(call.row!.op);
  const agrees = outcome.rax === expectedRax(call);
  const one = ONE_ID.get(op);
  if (one !== undefined && typeof call.ret === 'number' && !knows(task, one)) {
    adoptId(k, task, one, BigInt(call.ret));
    return 'user from before the log';
  }
  const three = THREE_IDS.get(op);
  if (three && agrees && !three.every((field) => knows(task, field))) {
    three.forEach((field, i) => {
      const node = call.args[i];
      const id = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
      if (id !== undefined && !knows(task, field)) adoptId(k, task, field, id);
    });
    return 'user from before the log';
  }
  if (op === OP.OP_CAPGET && agrees && adoptCaps(k, task, call)) {
    return 'capabilities from before the log';
  }
  if (op === OP.OP_PRCTL && adoptOption(k, task, call, outcome)) {
    return 'capabilities from before the log';
  }
  if (op === OP.OP_GETGROUPS && call.retKind === 'value') {
    if (adoptGroups(k, task, call)) return 'groups from before the log';
    // a call that asks how many there are, or whose list is cut off, teaches nothing but that
    if (!knows(task, GROUPS) && !groupsOf(call.args[1])) return 'groups from before the log';
  }
  return refusal(k, task, call, outcome, hidden);
}

/**
 * A refusal that is about to come where nothing is known yet: root may have all capabilities but
 * the one that the call needs, since whoever started it kept that back. Return: the reason, if so.
 */
export function prepareCred(k: Kernel, task: ReplayTask, call: Call): string | undefined {
  const needs = call.errno === 'EPERM' ? NEEDS.get(call.row!.op) : undefined;
  if (needs === undefined || knows(task, EFFECTIVE)) return undefined;
  const view = k.task(task.pid);
  const bit = 1n << BigInt(needs);
  if (!view || view.euid !== 0 || view.userNsLevel !== 0 || !(view.caps.effective & bit)) {
    return undefined;
  }
  k.setCred(task.pid, EFFECTIVE, view.caps.effective & ~bit);
  k.setCred(task.pid, PERMITTED, view.caps.permitted & ~bit);
  k.setCred(task.pid, BOUNDING, view.caps.bounding & ~bit);
  return 'privileges from before the log';
}

/** A refusal where nothing is known yet: the task has not the privilege. */
function refusal(
  k: Kernel,
  task: ReplayTask,
  call: Call,
  outcome: Outcome,
  hidden: boolean,
): string | undefined {
  if (call.errno !== 'EPERM' || outcome.rax < 0n) return undefined;
  if (hidden)
    return PRIVILEGED.has(plain(call.row!.op)) ? 'privileges that are not shown' : undefined;
  if (knows(task, EFFECTIVE)) return undefined;
  if (knows(task, EUID) || !PRIVILEGED.has(plain(call.row!.op))) return undefined;
  for (const set of [...SETS, AMBIENT]) k.setCred(task.pid, set, 0n);
  note(task, [EFFECTIVE, PERMITTED]);
  return 'privileges from before the log';
}

/** Does this call show an id for the first time, so that any would be taken? */
export function isFirstId(task: ReplayTask, call: Call): boolean {
  const op = plain(call.row!.op);
  const one = ONE_ID.get(op);
  const fields = one === undefined ? THREE_IDS.get(op) : [one];
  return fields !== undefined && !fields.every((field) => knows(task, field));
}

/** A signal shows the uid of the task that sent it. Return: whether it was taught. */
export function adoptSender(k: Kernel, task: ReplayTask | undefined, uid: number): boolean {
  if (!task || knows(task, UID) || !k.task(task.pid)) return false;
  adoptId(k, task, UID, BigInt(uid));
  return true;
}

/** What a call that agreed has made known, or, where it is not shown what it did, unknown. */
export function learnCred(task: ReplayTask, call: Call, unknown: boolean): void {
  if (call.retKind !== 'value') return;
  const op = plain(call.row!.op);
  if (unknown) {
    for (const field of CHANGES.get(op) ?? []) task.credKnown &= ~(1 << field);
    return;
  }
  const one = ONE_ID.get(op);
  if (one !== undefined) note(task, [one]);
  const three = THREE_IDS.get(op);
  if (three) note(task, three);
  const first = call.args[0];
  if (op === OP.OP_CAPGET && fieldOf(call.args[1], 'effective') && ofItself(task, call)) {
    note(task, [EFFECTIVE, PERMITTED, INHERITABLE]);
  }
  if (op === OP.OP_SETGROUPS) note(task, [GROUPS]);
  if (op === OP.OP_GETGROUPS && call.args[1]?.kind === 'array') note(task, [GROUPS]);
  if (op === OP.OP_PRCTL && first?.kind === 'sym' && first.text === 'PR_CAPBSET_READ') {
    const cap = valueOf(call.args[1]);
    if (cap !== undefined && cap < 64n) task.bsetKnown |= 1n << cap;
  }
}

/** After exec a task that is not root may be someone else: a file with set-id bits. */
export function forgetByExec(k: Kernel, task: ReplayTask): void {
  if (k.task(task.pid)?.euid === 0) return;
  for (const field of CHANGED_BY_EXEC) task.credKnown &= ~(1 << field);
}
