// POSIX message queues in a replay. The kernel decides the calls on a queue whose making the log
// shows; whether there is one from before the log, and the machine's limits, the log says.
import * as OP from '../../assembly/uapi/op.ts';
import { errnoNumber } from '../abi/constants.ts';
import type { Frame } from '../frame.ts';
import { queuesOf } from '../ipc-views.ts';
import type { Kernel } from '../kernel.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import type { Buffers } from './buffers.ts';
import { type Call, expectedRax, failed } from './call.ts';
import { addressOf } from './memory.ts';
import type { CallClass } from './result.ts';
import { valueOf } from './value.ts';

/** Calls on the descriptor of a queue. */
const ON_ONE: ReadonlySet<number> = new Set([
  OP.OP_MQ_TIMEDSEND,
  OP.OP_MQ_TIMEDRECEIVE,
  OP.OP_MQ_NOTIFY,
  OP.OP_MQ_GETSETATTR,
]);
/** Those that may sleep until another task acts. */
export const MQ_SLEEPS: ReadonlySet<number> = new Set([OP.OP_MQ_TIMEDSEND, OP.OP_MQ_TIMEDRECEIVE]);
const ATTR = ['mq_flags', 'mq_maxmsg', 'mq_msgsize', 'mq_curmsgs'] as const;
const NAME_MAX = 255;
const TEXT_MAX = 65_536n;

function nameOf(call: Call): string | undefined {
  const node = call.args[0];
  return node?.kind === 'str' && !node.truncated ? node.value : undefined;
}

/** Is the name one that no queue has, whatever there is? */
function isRefused(name: string): boolean {
  const dots = name === '' || name === '.' || name === '..';
  return dots || name.includes('/') || name.length > NAME_MAX;
}

/** Who decides a call; undefined: it is none of these. */
export function classOfQueue(kernel: Kernel, call: Call): CallClass | undefined {
  const { op } = call.row!;
  if (ON_ONE.has(op)) {
    const file = kernel.file(call.pid, Number(valueOf(call.args[0]) ?? -1n));
    if (file?.kind === 'mqueue') return 'emulated';
    return file?.kind === 'world' || file?.kind === 'null' ? 'unmodelled' : 'emulated';
  }
  if (op !== OP.OP_MQ_OPEN && op !== OP.OP_MQ_UNLINK) return undefined;
  const name = nameOf(call);
  const { initial, names } = queuesOf(kernel, call.pid);
  if (!initial || name === undefined || isRefused(name) || names.includes(name)) return 'emulated';
  if (call.errno === 'ENOENT') return 'emulated';
  return op === OP.OP_MQ_OPEN ? 'assisted' : 'unmodelled';
}

/** What only the log knows of a call. */
export function assistQueue(kernel: Kernel, frame: Frame, call: Call): void {
  const { op } = call.row!;
  if (op === OP.OP_MQ_GETSETATTR && !failed(call)) {
    const most = valueOf(fieldOf(call.args[2], 'mq_maxmsg'));
    const size = valueOf(fieldOf(call.args[2], 'mq_msgsize'));
    if (most !== undefined && size !== undefined) frame.assistMask(most | (size << 32n));
  }
  if (op !== OP.OP_MQ_OPEN || classOfQueue(kernel, call) !== 'assisted') return;
  const ret = expectedRax(call);
  if (failed(call)) frame.assistErrno(errnoNumber(call.errno!) ?? 22);
  else if (ret !== undefined) frame.assistRet(Number(ret));
}

function putAttr(view: DataView, node: ArgNode): boolean {
  const wide = view.byteLength === 64;
  for (const [i, name] of ATTR.entries()) {
    const field = fieldOf(node, name);
    const value = valueOf(field);
    if (value === undefined && field) return false;
    if (wide) view.setBigInt64(i * 8, value ?? 0n, true);
    else view.setInt32(i * 4, Number(value ?? 0n), true);
  }
  return node.kind === 'struct';
}

/** What a message has in it does not matter, how long it is does. */
function message(b: Buffers): void {
  b.number(0);
  const length = b.number(2);
  b.room(1, length < TEXT_MAX ? length : TEXT_MAX);
}

type Encoder = (b: Buffers, kind: string, frame: Frame) => void;

/** How the calls are put into a frame. */
export const MQ_ENCODERS: Readonly<Record<number, Encoder>> = {
  [OP.OP_MQ_OPEN]: (b) => {
    b.path(0);
    b.number(1);
    if (b.node(2)) b.number(2);
    if (b.node(3)) b.struct(3, b.compat ? 32 : 64, putAttr);
  },
  [OP.OP_MQ_UNLINK]: (b) => b.path(0),
  [OP.OP_MQ_TIMEDSEND]: (b) => {
    message(b);
    b.number(3);
    b.time(4, false);
  },
  [OP.OP_MQ_TIMEDRECEIVE]: (b) => {
    message(b);
    b.output(3, 4);
    b.time(4, false);
  },
  [OP.OP_MQ_NOTIFY]: (b) => {
    b.number(0);
    b.struct(1, 64, (view, node) => {
      const signo = valueOf(fieldOf(node, 'sigev_signo'));
      const how = valueOf(fieldOf(node, 'sigev_notify'));
      view.setInt32(8, Number(signo ?? 0n), true);
      view.setInt32(12, Number(how ?? 0n), true);
      return how !== undefined;
    });
  },
  [OP.OP_MQ_GETSETATTR]: (b) => {
    b.number(0);
    b.struct(1, b.compat ? 32 : 64, putAttr);
    b.output(2, 64);
  },
};

/** What differs in what a call wrote. */
export function judgeQueue(call: Call, frame: Frame): string | undefined {
  const { op } = call.row!;
  if (op === OP.OP_MQ_TIMEDRECEIVE) {
    const node = call.args[3];
    const want = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
    const bytes = frame.output(addressOf(3), 4);
    if (want === undefined || !bytes || failed(call)) return undefined;
    const have = BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true));
    return have === want ? undefined : `priority ${have}, recorded ${want}`;
  }
  if (op !== OP.OP_MQ_GETSETATTR || call.table.compat || failed(call)) return undefined;
  const bytes = frame.output(addressOf(2), 64);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const [i, name] of ATTR.entries()) {
    const want = valueOf(fieldOf(call.args[2], name));
    const have = view.getBigInt64(i * 8, true);
    if (want !== undefined && have !== want) return `${name} ${have}, recorded ${want}`;
  }
  return undefined;
}
