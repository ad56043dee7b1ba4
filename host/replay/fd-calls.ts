// Which calls make descriptors, and where the log shows their numbers.
import * as OP from '../../assembly/uapi/op.ts';
import { F_DUPFD, F_DUPFD_CLOEXEC } from '../../assembly/uapi/fcntl.ts';
import type { ArgNode } from '../trace/args.ts';
import type { Call } from './call.ts';
import { valueOf } from './value.ts';

/** Calls that open a file of the world's, or one of the kernel's by name. */
export const OPENS: ReadonlySet<number> = new Set([
  OP.OP_WORLD_FD,
  OP.OP_OPEN_BY_HANDLE_AT,
  OP.OP_SOCKET,
  OP.OP_ACCEPT,
  OP.OP_ACCEPT4,
  OP.OP_OPEN,
  OP.OP_OPENAT,
  OP.OP_OPENAT2,
  OP.OP_CREAT,
  OP.OP_OPEN_TREE,
  OP.OP_OPEN_TREE_ATTR,
  OP.OP_FSOPEN_TODAY,
  OP.OP_FSMOUNT_TODAY,
  OP.OP_FSPICK,
]);

/** Calls whose result is the lowest free descriptor. */
export const MAKES_FD: ReadonlySet<number> = new Set([
  ...OPENS,
  OP.OP_CONTAINER_SOCKET,
  OP.OP_DUP,
  OP.OP_FCNTL,
  OP.OP_PIDFD_OPEN,
  OP.OP_PIDFD_GETFD,
  OP.OP_EPOLL_CREATE,
  OP.OP_EPOLL_CREATE1,
  OP.OP_EVENTFD,
  OP.OP_EVENTFD2,
  OP.OP_TIMERFD_CREATE,
  OP.OP_SIGNALFD,
  OP.OP_SIGNALFD4,
  OP.OP_INOTIFY_INIT,
  OP.OP_INOTIFY_INIT1,
]);

/** Calls that write two descriptors, and the argument where. */
const PAIR_AT = new Map([
  [OP.OP_PIPE, 0],
  [OP.OP_PIPE2, 0],
  [OP.OP_SOCKETPAIR, 3],
]);
export const MAKES_PAIR: ReadonlySet<number> = new Set(PAIR_AT.keys());

function numbers(node: ArgNode | undefined): number[] | undefined {
  if (node?.kind !== 'array') return undefined;
  if (node.items.some((item) => item.kind === 'ellipsis')) return undefined;
  return node.items.map((item) => Number(valueOf(item) ?? -1n));
}

/** Does this call make the lowest free descriptor? A signalfd may only be changed. */
function makesOne(call: Call): boolean {
  const op = call.row!.op;
  if (!MAKES_FD.has(op)) return false;
  if (op === OP.OP_FCNTL) {
    const command = Number(valueOf(call.args[1]) ?? -1n);
    return command === F_DUPFD || command === F_DUPFD_CLOEXEC;
  }
  const changes = op === OP.OP_SIGNALFD || op === OP.OP_SIGNALFD4;
  return !changes || valueOf(call.args[0]) === -1n;
}

/** The descriptors that the log shows a call to have made. */
export function madeFds(call: Call): number[] | undefined {
  const at = PAIR_AT.get(call.row!.op);
  if (at !== undefined) return numbers(call.args[at]);
  if (typeof call.ret !== 'number' || !makesOne(call)) return undefined;
  return [call.ret];
}

/** Assisted calls that the kernel refuses by itself before it asks what the world says. */
export const DECIDES_FIRST: ReadonlySet<number> = new Set([
  OP.OP_OPEN_TREE,
  OP.OP_OPEN_TREE_ATTR,
  OP.OP_MOVE_MOUNT,
  OP.OP_MOUNT_SETATTR,
  OP.OP_FSOPEN_TODAY,
  OP.OP_FSCONFIG,
  OP.OP_FSMOUNT_TODAY,
  OP.OP_FSPICK,
  OP.OP_UMOUNT2,
  OP.OP_PIVOT_ROOT,
]);

/** Calls whose EMFILE is another limit's than that of descriptors. */
export const OWN_LIMITS = new Set(['mq_open', 'fanotify_init', 'memfd_secret', 'io_uring_setup']);
