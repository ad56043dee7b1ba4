// Terminals in a replay: what the kernel decides of them, and what is adopted of a terminal that
// was there before the log - whose it is, which group is in its foreground, that it was hung up.
import { EIO, ENOTTY } from '../../assembly/uapi/errno.ts';
import * as OP from '../../assembly/uapi/op.ts';
import * as Y from '../../assembly/uapi/tty.ts';
import { constant } from '../abi/constants.ts';
import type { FileView, TerminalView } from '../file-views.ts';
import type { Frame } from '../frame.ts';
import { type Kernel } from '../kernel.ts';
import type { ArgNode } from '../trace/args.ts';
import { adoptTask } from './adopt-task.ts';
import type { Buffers } from './buffers.ts';
import type { Call } from './call.ts';
import type { Replay } from './engine.ts';
import { OPENS } from './fd-calls.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import type { CallClass } from './result.ts';
import type { Outcome } from './run.ts';

const TERMIOS_BYTES = 36;
const TERMIOS2_BYTES = 44;
/** c_lflag of a terminal that nobody has changed. */
const LFLAG = 0x8a3b;
const READS = new Set([OP.OP_READ, OP.OP_READV]);
const WRITES = new Set([OP.OP_WRITE, OP.OP_WRITEV]);
/** Commands that the kernel decides where it knows the terminal. */
const DECIDED =
  /^(TIOC(SCTTY|NOTTY|[GS]PGRP|GSID|GPTN|[GS]PTLCK|GPTPEER|[GS]WINSZ)|TC(GETS|SETS[WF]?)2?)$/;
/** Commands that only succeed on the caller's own terminal. */
const OWN = /^TIOC([GS]PGRP|GSID|NOTTY)$/;

/** The terminal's command in the name that a log gives an ioctl: several may have one number. */
export function terminalCommand(call: Call): string {
  const node = call.args[1];
  if (call.row?.op !== OP.OP_IOCTL || node?.kind !== 'sym') return '';
  return node.text.split(' or ').find((name) => DECIDED.test(name)) ?? '';
}

/** Is a task kept from its terminal, because another group is in the foreground? */
function inBackground(kernel: Kernel, pid: number, terminal: TerminalView): boolean {
  const own = kernel.openFiles.terminalOf(pid);
  if (own?.address !== terminal.address || !terminal.pgrp) return false;
  return kernel.task(pid)?.pgid !== terminal.pgrp;
}

/** Who decides a call on an open file that may be a terminal; undefined: no rule. */
export function classByTerminal(
  kernel: Kernel,
  call: Call,
  file: FileView | undefined,
): CallClass | undefined {
  const op = call.row!.op;
  const transfer = READS.has(op) || WRITES.has(op);
  if (!file || (!transfer && op !== OP.OP_IOCTL)) return undefined;
  if (op === OP.OP_IOCTL) {
    const command = terminalCommand(call);
    if (!command) return undefined;
    if (file.kind === 'pipe' || file.kind === 'eventfd' || file.kind === 'epoll') return 'emulated';
    if (file.terminal) return 'emulated';
    const shows = OWN.test(command) || command === 'TIOCSCTTY';
    return file.kind === 'world' && shows && call.retKind === 'value' ? 'emulated' : undefined;
  }
  const { terminal } = file;
  if (!terminal || terminal.master) return undefined;
  if (terminal.hungUp) return 'emulated';
  const stops = READS.has(op) || terminal.tostop;
  return stops && inBackground(kernel, call.pid, terminal) ? 'emulated' : undefined;
}

function putInt(view: DataView, node: ArgNode): boolean {
  const value = node.kind === 'array' ? valueOf(node.items[0]) : undefined;
  if (value !== undefined) view.setInt32(0, Number(BigInt.asIntN(32, value)), true);
  return value !== undefined;
}

/** Of the settings only what stops background processes matters. */
function putTermios(view: DataView, node: ArgNode): boolean {
  const stops = node.kind === 'struct' && JSON.stringify(node).includes('TOSTOP');
  view.setUint32(12, LFLAG | (stops ? Y.TOSTOP : 0), true);
  return true;
}

/** Puts the arguments of a command on a terminal into the frame. */
export function encodeTerminal(b: Buffers, command: string, frame: Frame): void {
  frame.setArg(1, Number(BigInt.asUintN(32, constant(command)!)));
  if (/^TIOC(SPGRP|SPTLCK)$/.test(command)) b.struct(2, 4, putInt);
  else if (/^TIOC(GPGRP|GSID|GPTN|GPTLCK)$/.test(command)) b.output(2, 4);
  else if (/^TCSETS/.test(command)) b.struct(2, TERMIOS_BYTES, putTermios);
  else if (command === 'TCGETS') b.output(2, TERMIOS_BYTES);
  else if (command === 'TCGETS2') b.output(2, TERMIOS2_BYTES);
  else if (command === 'TIOCGWINSZ') b.output(2, 8);
  else if (command === 'TIOCSWINSZ') b.struct(2, 8, () => true);
  else if (b.node(2)) b.number(2);
}

/** The number that a command gave, as the log shows it. */
function shownNumber(call: Call): number | undefined {
  const node = call.args[2];
  const value = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
  return value === undefined ? undefined : Number(value);
}

/** What differs in the number that a command on a terminal wrote. */
export function judgeTerminal(call: Call, frame: Frame): string | undefined {
  const command = terminalCommand(call);
  if (!/^TIOC(GPGRP|GSID|GPTN|GPTLCK)$/.test(command)) return undefined;
  const want = shownNumber(call);
  const bytes = frame.output(addressOf(2), 4);
  if (want === undefined || !bytes) return undefined;
  const have = new DataView(bytes.buffer, bytes.byteOffset).getInt32(0, true);
  return have === want ? undefined : `${have}, recorded ${want}`;
}

/** The world gives a new pair its number. */
export function assistTerminal(frame: Frame, call: Call): void {
  const number = terminalCommand(call) === 'TIOCGPTN' ? shownNumber(call) : undefined;
  if (number !== undefined) frame.assistPid(number);
}

/** Does this call open the caller's own terminal? */
function opensOwn(call: Call): boolean {
  if (!OPENS.has(call.row!.op)) return false;
  const path = call.args[call.name === 'open' ? 0 : 1];
  return path?.kind === 'str' && path.value === '/dev/tty' && !/\bO_PATH\b/.test(call.text);
}

/** Does an open fail for want of a terminal? That is the kernel's to say. */
export function hasNoTerminal(call: Call): boolean {
  return call.errno === 'ENXIO' && opensOwn(call);
}

/** Before a call runs that shows a terminal from before the log. Return: what was adopted. */
export function prepareTerminal(kernel: Kernel, call: Call): string | undefined {
  if (call.retKind !== 'value') return undefined;
  const { exports } = kernel;
  if (opensOwn(call)) {
    if (kernel.openFiles.terminalOf(call.pid)) return undefined;
    exports.set_tty(call.pid, -1, Y.TTY_CONTROLS, 0);
    return 'terminal from before the log';
  }
  const command = terminalCommand(call);
  const fd = Number(valueOf(call.args[0]) ?? -1n);
  const file = command ? kernel.file(call.pid, fd) : undefined;
  if (file?.kind !== 'world') return undefined;
  const own = kernel.openFiles.terminalOf(call.pid);
  if (OWN.test(command) && (!file.terminal || (!own && !file.terminal.session))) {
    if (file.terminal?.master) return undefined;
    exports.set_tty(call.pid, fd, Y.TTY_CONTROLS, 0);
    return 'terminal from before the log';
  }
  if (command !== 'TIOCSCTTY' || file.terminal) return undefined;
  exports.set_tty(call.pid, fd, Y.TTY_IS_ONE, 0);
  return 'terminal from before the log';
}

/** The process group `pgrp` is in the session of `pid`, if the log does not show it. */
function ensureGroup(r: Replay, pid: number, pgrp: number): void {
  const { kernel } = r;
  if (r.index.tasks.has(pgrp)) return;
  if (!kernel.task(pgrp)) adoptTask(kernel, { pid: pgrp });
  if (kernel.task(pgrp)?.pgid !== pgrp) kernel.setGroup(pgrp, pgrp, kernel.task(pid)?.sid ?? 1);
}

/** What a difference shows of a terminal that is not of the log's making. */
export function adoptTerminal(r: Replay, call: Call, outcome: Outcome): string | undefined {
  const { kernel } = r;
  const { exports } = kernel;
  const own = kernel.openFiles.terminalOf(call.pid);
  if (opensOwn(call) && call.errno === 'ENXIO' && outcome.rax >= 0n) {
    kernel.frame.begin(call.pid, 0, OP.OP_CLOSE).setArg(0, Number(outcome.rax));
    kernel.trap();
    return own && !own.paired ? gone(kernel, call) : undefined;
  }
  const command = terminalCommand(call);
  const fd = Number(valueOf(call.args[0]) ?? -1n);
  const file = kernel.file(call.pid, fd)?.terminal;
  if (!file || file.paired) return undefined;
  const lost = call.errno === (command === 'TIOCSPGRP' ? 'ENOTTY' : 'EIO');
  if (own?.address === file.address && lost && outcome.rax !== BigInt(-ENOTTY)) {
    return gone(kernel, call);
  }
  if (call.errno === 'EIO' && outcome.rax !== BigInt(-EIO) && !command) return gone(kernel, call);
  const pgrp = command === 'TIOCGPGRP' ? shownNumber(call) : undefined;
  if (!pgrp || file.pgrp || call.ret !== 0 || kernel.task(call.pid)?.nsLevel) return undefined;
  ensureGroup(r, call.pid, pgrp);
  exports.set_tty(call.pid, fd, Y.TTY_FOREGROUND, pgrp);
  return 'foreground group from before the log';
}

function gone(kernel: Kernel, call: Call): string | undefined {
  const r = kernel.exports.set_tty(call.pid, -1, Y.TTY_GONE, 0);
  return r === 0 ? 'a terminal that was hung up' : undefined;
}
