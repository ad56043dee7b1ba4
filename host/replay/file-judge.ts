// What calls on files have written, compared with what the log shows: values read, what is ready,
// messages, locks, options.
import * as OP from '../../assembly/uapi/op.ts';
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { parseRetDetail } from '../trace/strace/line.ts';
import { fieldOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import { EPOLL_WAITS, fdOf } from './file-class.ts';
import { addressOf, timeOf } from './memory.ts';
import { valueOf } from './value.ts';
import { judgeIpc } from './ipc.ts';
import { judgeQueue } from './mqueue.ts';
import { compareMessage } from './messages.ts';
import { judgeTerminal } from './terminals.ts';

const EVENT_BYTES = 12;
/** What of a signalfd_siginfo is compared: all up to the times and addresses. */
const SIGNAL_BYTES = 56;
const SI_TIMER = -2;
/** Of a timer's signal: number, errno, code. */
const TIMER_BYTES = 12;
const SETS = ['in', 'out', 'except'];

function viewOf(frame: Frame, i: number, size: number): DataView | undefined {
  const bytes = frame.output(addressOf(i), size);
  return bytes && new DataView(bytes.buffer, bytes.byteOffset);
}

/** What a poll found, as the log shows it behind the result. */
export function shownReady(call: Call): { fd: number; revents: number }[] | undefined {
  const node = parseRetDetail(call.retText, call.retKind).noteArgs[0];
  if (node?.kind !== 'array' || node.truncated) return undefined;
  const ready: { fd: number; revents: number }[] = [];
  for (const item of node.items) {
    const revents = valueOf(fieldOf(item, 'revents'));
    if (revents === undefined) return undefined;
    ready.push({ fd: fdOf(fieldOf(item, 'fd')), revents: Number(revents) });
  }
  return ready;
}

/** The sets that a select left, as the log shows them: in, out, except. */
export function shownSets(call: Call): number[][] {
  const note = parseRetDetail(call.retText, call.retKind).note ?? '';
  return SETS.map((name) => {
    const hit = new RegExp(`(?:^|, )${name} \\[([^\\]]*)\\]`).exec(note);
    return (hit?.[1] ?? '')
      .split(/[ ,]+/)
      .map((text) => Number.parseInt(text, 10))
      .filter((fd) => !Number.isNaN(fd));
  });
}

/** Events that an epoll_wait handed out, as the log shows them. */
export function shownEvents(call: Call): { events: number; data: bigint }[] | undefined {
  const node = call.args[1];
  if (node?.kind !== 'array' || node.truncated) return undefined;
  const out: { events: number; data: bigint }[] = [];
  for (const item of node.items) {
    const events = valueOf(fieldOf(item, 'events'));
    const data = fieldOf(item, 'data');
    const wide = data ? valueOf(fieldOf(data, 'u64')) : undefined;
    if (events === undefined || wide === undefined) return undefined;
    out.push({
      events: Number(BigInt.asUintN(32, events)),
      data: BigInt.asUintN(64, wide),
    });
  }
  return out;
}

const hex = (n: number): string => `0x${n.toString(16)}`;

function judgePoll(call: Call, frame: Frame): string | undefined {
  const node = call.args[0];
  const shown = shownReady(call);
  if (node?.kind !== 'array' || !shown) return undefined;
  const view = viewOf(frame, 0, node.items.length * 8);
  if (!view) return undefined;
  const have: string[] = [];
  for (let i = 0; i < node.items.length; ++i) {
    const revents = view.getUint16(i * 8 + 6, true);
    if (revents) have.push(`${view.getInt32(i * 8, true)}: ${hex(revents)}`);
  }
  const want = shown.map(({ fd, revents }) => `${fd}: ${hex(revents)}`);
  if (have.join() === want.join()) return undefined;
  return `ready [${have.join(', ')}], recorded [${want.join(', ')}]`;
}

function judgeSelect(call: Call, frame: Frame): string | undefined {
  for (const [i, want] of shownSets(call).entries()) {
    if (call.args[i + 1]?.kind !== 'array') continue;
    const bytes = frame.output(addressOf(i + 1), 128);
    if (!bytes) continue;
    const have: number[] = [];
    for (let fd = 0; fd < 1024; ++fd) if (bytes[fd >> 3]! & (1 << (fd & 7))) have.push(fd);
    if (have.join() !== want.join()) {
      return `${SETS[i]} [${have.join(' ')}], recorded [${want.join(' ')}]`;
    }
  }
  return undefined;
}

/** In which order files of the world became ready the kernel cannot know: sets are compared. */
function judgeEpoll(call: Call, frame: Frame, count: number): string | undefined {
  const shown = shownEvents(call);
  const view = shown && viewOf(frame, 1, count * EVENT_BYTES);
  if (!shown || !view) return undefined;
  const show = (events: number, data: bigint): string => `${hex(events)} of ${data}`;
  const have = Array.from({ length: count }, (_, i) =>
    show(view.getUint32(i * 12, true), view.getBigUint64(i * 12 + 4, true)),
  );
  const want = shown.map(({ events, data }) => show(events, data));
  if (have.sort().join() === want.sort().join()) return undefined;
  return `events [${have.join(', ')}], recorded [${want.join(', ')}]`;
}

/** A value that was read: the counter, or the records of signals. */
function judgeRead(call: Call, frame: Frame, kind: string): string | undefined {
  const node = call.args[1];
  if (node?.kind !== 'str' || (kind !== 'eventfd' && kind !== 'signalfd' && kind !== 'timerfd')) {
    return undefined;
  }
  const want = Buffer.from(node.value, 'latin1');
  const have = frame.output(addressOf(1), want.length);
  if (!have || want.length < 8) return undefined;
  let compared = want.length;
  if (kind === 'signalfd') {
    const code = want.length >= 12 ? want.readInt32LE(8) : 0;
    compared = Math.min(compared, code === SI_TIMER ? TIMER_BYTES : SIGNAL_BYTES);
  }
  const same = want.subarray(0, compared).equals(Buffer.from(have.subarray(0, compared)));
  if (same) return undefined;
  const text = Buffer.from(have.subarray(0, compared)).toString('hex');
  return `read ${text}, recorded ${want.subarray(0, compared).toString('hex')}`;
}

function compareFields(
  view: DataView,
  node: ArgNode,
  fields: readonly (readonly [name: string, at: number, bytes: 2 | 4 | 8])[],
): string | undefined {
  for (const [name, at, bytes] of fields) {
    const want = valueOf(fieldOf(node, name));
    if (want === undefined) continue;
    const have =
      bytes === 2
        ? BigInt(view.getInt16(at, true))
        : bytes === 4
          ? BigInt(view.getInt32(at, true))
          : view.getBigInt64(at, true);
    if (have !== want) return `${name} ${have}, recorded ${want}`;
  }
  return undefined;
}

function judgeFcntl(call: Call, frame: Frame): string | undefined {
  const node = call.args[2];
  const command = call.args[1]?.kind === 'sym' ? call.args[1].text : '';
  if (node?.kind !== 'struct') return undefined;
  if (/GETLK/.test(command)) {
    const at = call.table.compat ? 4 : 8;
    const view = viewOf(frame, 2, at + 20);
    if (!view) return undefined;
    const type = compareFields(view, node, [['l_type', 0, 2]]);
    if (type || view.getInt16(0, true) === 2) return type;
    return compareFields(view, node, [
      ['l_start', at, 8],
      ['l_len', at + 8, 8],
      ['l_pid', at + 16, 4],
    ]);
  }
  if (command !== 'F_GETOWN_EX') return undefined;
  const view = viewOf(frame, 2, 8);
  return view && compareFields(view, node, [['pid', 4, 4]]);
}

function judgeOption(call: Call, frame: Frame): string | undefined {
  const node = call.args[3];
  const view = viewOf(frame, 3, 12);
  if (!view || !node) return undefined;
  if (node.kind === 'struct') {
    return compareFields(view, node, [
      ['pid', 0, 4],
      ['uid', 4, 4],
      ['gid', 8, 4],
    ]);
  }
  const want = node.kind === 'array' ? valueOf(node.items[0]) : undefined;
  const have = BigInt(view.getInt32(0, true));
  return want === undefined || have === want ? undefined : `value ${have}, recorded ${want}`;
}

/** How much is left of a timer only the world knows, its interval is what it was set to. */
function judgeTimer(frame: Frame, i: number, node: ArgNode | undefined): string | undefined {
  const interval = node && fieldOf(node, 'it_interval');
  const time = interval && timeOf(interval);
  const view = viewOf(frame, i, 32);
  if (!time || !view) return undefined;
  const have = `${view.getBigInt64(0, true)}.${view.getBigInt64(8, true)}`;
  const want = `${time[0]}.${time[1]}`;
  return have === want ? undefined : `interval ${have}, recorded ${want}`;
}

function judgeIoctl(call: Call, frame: Frame): string | undefined {
  const node = call.args[2];
  if (call.args[1]?.kind !== 'sym' || call.args[1].text !== 'FIONREAD') {
    return judgeTerminal(call, frame);
  }
  const view = viewOf(frame, 2, 4);
  const want = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
  if (!view || want === undefined) return undefined;
  const have = BigInt(view.getInt32(0, true));
  return have === want ? undefined : `${have} bytes, recorded ${want}`;
}

/** What differs in a call's outputs; `kind`: what its first descriptor is. */
export function judgeFileOutputs(
  call: Call,
  frame: Frame,
  rax: bigint,
  kind: string,
): string | undefined {
  const op = call.row!.op;
  if (EPOLL_WAITS.has(op)) return judgeEpoll(call, frame, Number(rax));
  switch (op) {
    case OP.OP_READ:
      return judgeRead(call, frame, kind);
    case OP.OP_POLL:
    case OP.OP_PPOLL:
      return rax > 0n ? judgePoll(call, frame) : undefined;
    case OP.OP_SELECT:
    case OP.OP_PSELECT6:
      return rax > 0n ? judgeSelect(call, frame) : undefined;
    case OP.OP_RECVMSG:
      return compareMessage(frame, 1, call.args[1], call.table.compat);
    case OP.OP_FCNTL:
      return judgeFcntl(call, frame);
    case OP.OP_GETSOCKOPT:
      return judgeOption(call, frame);
    case OP.OP_TIMERFD_SETTIME:
      return judgeTimer(frame, 3, call.args[3]);
    case OP.OP_TIMERFD_GETTIME:
      return judgeTimer(frame, 1, call.args[1]);
    case OP.OP_IOCTL:
      return judgeIoctl(call, frame);
    default:
      return judgeIpc(call, frame) ?? judgeQueue(call, frame);
  }
}
