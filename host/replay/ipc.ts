// System V objects in a replay. The kernel decides the calls; which numbers new objects have in the
// namespace that the rest of the recorded machine is in, and where memory lies, the log says.
import * as I from '../../assembly/uapi/ipc.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { errnoNumber } from '../abi/constants.ts';
import type { Frame } from '../frame.ts';
import { type IpcKind, ipcOf, isAttached } from '../ipc-views.ts';
import type { Kernel } from '../kernel.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import type { Buffers } from './buffers.ts';
import { type Call, expectedRax, failed } from './call.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import type { CallClass } from './result.ts';

const GETS = new Map<number, IpcKind>([
  [OP.OP_SEMGET, 'sem'],
  [OP.OP_MSGGET, 'msg'],
  [OP.OP_SHMGET, 'shm'],
]);
/** Calls on an object, and the argument that is a command. */
const ON = new Map<number, readonly [kind: IpcKind, command: number]>([
  [OP.OP_SEMOP, ['sem', -1]],
  [OP.OP_SEMTIMEDOP, ['sem', -1]],
  [OP.OP_SEMCTL, ['sem', 2]],
  [OP.OP_SHMAT, ['shm', -1]],
  [OP.OP_SHMCTL, ['shm', 1]],
  [OP.OP_MSGSND, ['msg', -1]],
  [OP.OP_MSGRCV, ['msg', -1]],
  [OP.OP_MSGCTL, ['msg', 1]],
]);
/** Calls that may sleep until another task acts. */
export const IPC_SLEEPS: ReadonlySet<number> = new Set([
  OP.OP_SEMOP,
  OP.OP_SEMTIMEDOP,
  OP.OP_MSGSND,
  OP.OP_MSGRCV,
]);
/** Commands about all objects of a namespace, or about one by its place. */
const OF_ALL = /(^|\|)(IPC_INFO|(SEM|SHM|MSG)_(INFO|STAT|STAT_ANY))$/;
/** Commands that values do not matter to. */
const VALUELESS = /(^|\|)IPC_(RMID|STAT|SET)$/;
const VALUELESS_ERRNO = /^(EINVAL|EFBIG|E2BIG|EACCES|EPERM|EFAULT)$/;
/** Refusals that are the machine's. */
const LIMITS = /^(ENOMEM|ENOSPC|EINVAL)$/;
const STAT_BYTES = 120;
const MSG_ROOM = 1 << 16;

function commandOf(call: Call): string {
  const at = ON.get(call.row!.op)?.[1] ?? -1;
  const node = at < 0 ? undefined : call.args[at];
  if (node?.kind === 'flags') return node.parts.join('|');
  return node?.kind === 'sym' ? node.text : '';
}

export class Ipc {
  readonly #k: Kernel;
  /** sets whose values the log does not show */
  readonly #unknown = new Set<number>();

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** The set that a call names, which in another namespace may have the same number. */
  #set(call: Call, id = Number(valueOf(call.args[0]) ?? -1n)): number {
    const { objects } = ipcOf(this.#k, call.pid);
    return objects.find((one) => one.kind === 'sem' && one.id === id)?.address ?? 0;
  }

  /** Who decides a call; undefined: it is none of these. */
  classOf(call: Call): CallClass | undefined {
    const { op } = call.row!;
    if (op === OP.OP_IPC) return 'unmodelled';
    if (op === OP.OP_SHMDT) return this.#knowsAttached(call) ? 'emulated' : 'unmodelled';
    const kind = GETS.get(op) ?? ON.get(op)?.[0];
    if (!kind) return undefined;
    const { initial, objects } = ipcOf(this.#k, call.pid);
    if (!initial) return this.#valuesKnown(call) ? 'emulated' : 'unmodelled';
    if (GETS.has(op)) {
      const key = Number(BigInt.asIntN(32, valueOf(call.args[0]) ?? 0n));
      const known = key !== 0 && objects.some((one) => one.kind === kind && one.key === key);
      if (known || failed(call)) return 'emulated';
      const creates = key === 0 || /\bIPC_CREAT\b/.test(call.text);
      return creates ? 'assisted' : 'unmodelled';
    }
    if (OF_ALL.test(commandOf(call))) return 'unmodelled';
    const id = Number(valueOf(call.args[0]) ?? -1n);
    const known = objects.some((one) => one.kind === kind && one.id === id);
    if (!known && call.errno !== 'EINVAL') return 'unmodelled';
    return this.#valuesKnown(call) ? 'emulated' : 'unmodelled';
  }

  /** Values that nobody saw being set are compared with nothing. */
  #valuesKnown(call: Call): boolean {
    const kind = ON.get(call.row!.op)?.[0];
    if (kind !== 'sem' || !this.#unknown.size) return true;
    const set = this.#set(call);
    // of one that is gone nobody knows any more
    if (set && !this.#unknown.has(set)) return true;
    return VALUELESS.test(commandOf(call)) || VALUELESS_ERRNO.test(call.errno ?? '');
  }

  /** An address at which nothing of the log's is attached may be from before it. */
  #knowsAttached(call: Call): boolean {
    return failed(call) || isAttached(this.#k, call.pid, valueOf(call.args[0]) ?? 0n);
  }

  assist(frame: Frame, call: Call): void {
    const { op } = call.row!;
    const ret = expectedRax(call);
    if (GETS.has(op) && !failed(call) && ret !== undefined) frame.assistPid(Number(ret));
    if (op !== OP.OP_SHMGET && op !== OP.OP_SHMAT) return;
    if (op === OP.OP_SHMAT && !failed(call) && ret !== undefined) frame.assistMask(ret);
    if (LIMITS.test(call.errno ?? '')) frame.assistErrno(errnoNumber(call.errno!)!);
  }

  learn(call: Call): void {
    const { op } = call.row!;
    if (failed(call)) return;
    // a new set begins with zeros
    if (op === OP.OP_SEMGET && this.#unknown.size) {
      this.#unknown.delete(this.#set(call, Number(expectedRax(call))));
    }
    if (op !== OP.OP_SEMCTL) return;
    const command = commandOf(call);
    if (/SETALL$/.test(command) && call.args[3]?.kind !== 'array') {
      this.#unknown.add(this.#set(call));
    } else if (/SETALL$/.test(command)) {
      this.#unknown.delete(this.#set(call));
    }
  }
}

function putSops(b: Buffers, i: number, count: bigint): void {
  const node = b.node(i);
  if (node?.kind !== 'array') {
    if (count < 1n || count > BigInt(I.SEMOPM)) b.pointer(i);
    else b.input(i, undefined);
    return;
  }
  const bytes = new Uint8Array(node.items.length * 6);
  const view = new DataView(bytes.buffer);
  for (const [j, item] of node.items.entries()) {
    view.setUint16(j * 6, Number(valueOf(fieldOf(item, 'sem_num')) ?? 0n), true);
    view.setInt16(j * 6 + 2, Number(valueOf(fieldOf(item, 'sem_op')) ?? 0n), true);
    view.setUint16(j * 6 + 4, Number(valueOf(fieldOf(item, 'sem_flg')) ?? 0n), true);
  }
  if (BigInt(node.items.length) !== count) b.known = false;
  b.input(i, bytes);
}

/** Owner and mode of an IPC_SET. */
function putPerm(view: DataView, node: ArgNode): boolean {
  const perm = ['sem_perm', 'shm_perm', 'msg_perm']
    .map((name) => fieldOf(node, name))
    .find((one) => one !== undefined);
  const uid = valueOf(fieldOf(perm, 'uid'));
  const gid = valueOf(fieldOf(perm, 'gid'));
  const mode = valueOf(fieldOf(perm, 'mode'));
  if (uid === undefined || gid === undefined || mode === undefined) return false;
  view.setInt32(4, Number(uid), true);
  view.setInt32(8, Number(gid), true);
  view.setUint32(20, Number(mode), true);
  view.setBigUint64(88, valueOf(fieldOf(node, 'msg_qbytes')) ?? BigInt(I.MSGMNB), true);
  return true;
}

function encodeControl(b: Buffers, frame: Frame, at: number): void {
  for (let i = 0; i < at; ++i) b.number(i);
  const command = commandOf(b.call);
  b.number(at);
  const arg = at + 1;
  if (/SETVAL$/.test(command)) b.number(arg);
  else if (/IPC_SET$/.test(command)) b.struct(arg, STAT_BYTES, putPerm);
  else if (/SETALL$/.test(command)) b.known = false;
  else if (/(STAT|STAT_ANY|INFO|GETALL)$/.test(command)) b.output(arg, MSG_ROOM);
  else frame.setArg(arg, 0);
}

function numbers(b: Buffers, count: number): void {
  for (let i = 0; i < count; ++i) b.number(i);
}

type Encoder = (b: Buffers, kind: string, frame: Frame) => void;

/** How the calls are put into a frame. */
export const IPC_ENCODERS: Readonly<Record<number, Encoder>> = {
  [OP.OP_SEMGET]: (b) => numbers(b, 3),
  [OP.OP_SHMGET]: (b) => numbers(b, 3),
  [OP.OP_MSGGET]: (b) => numbers(b, 2),
  [OP.OP_SEMOP]: (b) => {
    b.number(0);
    putSops(b, 1, b.number(2));
  },
  [OP.OP_SEMTIMEDOP]: (b) => {
    b.number(0);
    putSops(b, 1, b.number(2));
    b.time(3, false);
  },
  [OP.OP_SEMCTL]: (b, _kind, frame) => encodeControl(b, frame, 2),
  [OP.OP_SHMCTL]: (b, _kind, frame) => encodeControl(b, frame, 1),
  [OP.OP_MSGCTL]: (b, _kind, frame) => encodeControl(b, frame, 1),
  [OP.OP_SHMAT]: (b) => numbers(b, 3),
  [OP.OP_SHMDT]: (b) => numbers(b, 1),
  [OP.OP_MSGSND]: (b) => {
    b.number(0);
    const size = b.number(2);
    const wide = b.compat ? 4 : 8;
    const room = size >= 0n && size <= BigInt(I.MSGMAX) ? Number(size) : 0;
    b.struct(1, wide + room, (view, node) => {
      const type = valueOf(fieldOf(node, 'mtype'));
      if (type === undefined) return false;
      if (wide === 4) view.setInt32(0, Number(type), true);
      else view.setBigInt64(0, type, true);
      return true;
    });
    b.number(3);
  },
  [OP.OP_MSGRCV]: (b) => {
    b.number(0);
    const size = b.number(2);
    b.output(1, Number(size < 0n || size > 8192n ? 8192n : size) + 8);
    b.number(3);
    b.number(4);
  },
};

/** Fields of the STAT structures, where x86-64 has them. */
const STATS: Readonly<Record<number, readonly (readonly [name: string, at: number])[]>> = {
  [OP.OP_SEMCTL]: [['sem_nsems', 80]],
  [OP.OP_SHMCTL]: [
    ['shm_segsz', 48],
    ['shm_cpid', 80],
    ['shm_lpid', 84],
    ['shm_nattch', 88],
  ],
  [OP.OP_MSGCTL]: [
    ['msg_qnum', 80],
    ['msg_qbytes', 88],
    ['msg_lspid', 96],
    ['msg_lrpid', 100],
  ],
};
const PERM = [
  ['uid', 4],
  ['gid', 8],
  ['cuid', 12],
  ['cgid', 16],
] as const;

/** What differs in what a call wrote. */
export function judgeIpc(call: Call, frame: Frame): string | undefined {
  const { op } = call.row!;
  if (op === OP.OP_MSGRCV) {
    const want = valueOf(fieldOf(call.args[1], 'mtype'));
    const bytes = frame.output(addressOf(1), 8);
    if (want === undefined || !bytes) return undefined;
    const have = new DataView(bytes.buffer, bytes.byteOffset).getBigInt64(0, true);
    return have === want ? undefined : `mtype ${have}, recorded ${want}`;
  }
  const fields = STATS[op];
  const arg = op === OP.OP_SEMCTL ? 3 : 2;
  const node = call.args[arg];
  if (!fields || node?.kind !== 'struct' || !/STAT(_ANY)?$/.test(commandOf(call))) return undefined;
  const bytes = frame.output(addressOf(arg), STAT_BYTES);
  if (!bytes || call.table.compat) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const [name, at] of fields) {
    const want = valueOf(fieldOf(node, name));
    const have = BigInt(view.getInt32(at, true));
    if (want !== undefined && have !== want) return `${name} ${have}, recorded ${want}`;
  }
  for (const [name, at] of PERM) {
    const want = valueOf(fieldOf(node.fields[0], name));
    const have = BigInt(view.getInt32(at, true));
    if (want !== undefined && have !== want) return `${name} ${have}, recorded ${want}`;
  }
  return undefined;
}
