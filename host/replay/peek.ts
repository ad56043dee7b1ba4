// What the kernel would answer, without asking it to do anything: the child that a wait would find,
// the descriptor that a call would get.
import * as OP from '../../assembly/uapi/op.ts';
import { CLD_CONTINUED, CLD_EXITED, CLD_STOPPED } from '../../assembly/uapi/signal.ts';
import { P_ALL, P_PGID, P_PID, WEXITED, WNOHANG, WNOWAIT } from '../../assembly/uapi/wait.ts';
import { DISP_DONE } from '../kernel.ts';
import { fieldOf, statusOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import type { Replay } from './engine.ts';
import { valueOf } from './value.ts';
import { numberArg } from './run.ts';

const INFO = 0x1000;
const SI_CODE = 8;
const SI_PID = 16;
const SI_STATUS = 24;

interface Wait {
  type: number;
  id: number;
  options: number;
  /** the child that the log shows, 0 when it shows none; undefined: an error */
  found: number | undefined;
  /** its wait status, where the log shows one */
  status: number | undefined;
}

function waitOf(call: Call): Wait | undefined {
  const failed = call.retKind !== 'value';
  if (call.row?.op === OP.OP_WAITID) {
    const type = numberArg(call, 0);
    const id = numberArg(call, 1);
    const options = numberArg(call, 3);
    if (type === undefined || id === undefined || options === undefined) return undefined;
    const found = Number(valueOf(fieldOf(call.args[2], 'si_pid')) ?? 0n);
    return { type, id, options, found: failed ? undefined : found, status: undefined };
  }
  const pid = numberArg(call, 0);
  const options = numberArg(call, 2);
  if (pid === undefined || options === undefined) return undefined;
  const type = pid === -1 ? P_ALL : pid > 0 ? P_PID : P_PGID;
  const id = pid === -1 ? 0 : Math.abs(pid);
  const found = typeof call.ret === 'number' ? call.ret : 0;
  const status = statusOf(call.args[1]);
  return { type, id, options: options | WEXITED, found: failed ? undefined : found, status };
}

/** The wait status that a siginfo of waitid stands for, without the core flag. */
function statusFrom(code: number, status: number): number {
  if (code === CLD_EXITED) return status << 8;
  if (code === CLD_STOPPED) return (status << 8) | 0x7f;
  return code === CLD_CONTINUED ? 0xffff : status;
}

/** Would this wait find what the log shows? A wait that can't be read counts as one that would. */
export function waitFits(r: Replay, call: Call): boolean {
  const wait = waitOf(call);
  if (!wait) return true;
  const frame = r.kernel.frame.begin(call.pid, 0, OP.OP_WAITID);
  frame.setArg(0, wait.type).setArg(1, wait.id).window(INFO, 128, 'w').setArg(2, INFO);
  frame.setArg(3, wait.options | WNOHANG | WNOWAIT);
  if (r.kernel.trap() !== DISP_DONE) return true;
  if (frame.resultBig < 0n) return call.retKind === 'error';
  const bytes = frame.output(INFO, 128);
  if (!bytes) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const child = view.getInt32(SI_PID, true);
  // one that a signal interrupts has found nothing
  if (call.retKind === 'restart') return child === 0;
  if (child !== wait.found || child === 0 || wait.status === undefined) return child === wait.found;
  const have = statusFrom(view.getInt32(SI_CODE, true), view.getInt32(SI_STATUS, true));
  return have === (wait.status > 0xff ? wait.status : wait.status & 0x7f);
}

/** The lowest free descriptors of a task. */
export function nextFds(r: Replay, pid: number, count: number): number[] {
  const open = new Set(r.kernel.fds(pid).map((file) => file.fd));
  const free: number[] = [];
  for (let fd = 0; free.length < count; ++fd) if (!open.has(fd)) free.push(fd);
  return free;
}
