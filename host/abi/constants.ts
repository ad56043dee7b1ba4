// Names and values of the field's constants, from the one place that has them (assembly/uapi).
import * as capability from '../../assembly/uapi/capability.ts';
import * as container from '../../assembly/uapi/container.ts';
import * as epoll from '../../assembly/uapi/epoll.ts';
import * as errnos from '../../assembly/uapi/errno.ts';
import * as fcntl from '../../assembly/uapi/fcntl.ts';
import * as ipc from '../../assembly/uapi/ipc.ts';
import * as limits from '../../assembly/uapi/limits.ts';
import * as mount from '../../assembly/uapi/mount.ts';
import * as net from '../../assembly/uapi/net.ts';
import * as nsfs from '../../assembly/uapi/nsfs.ts';
import * as personality from '../../assembly/uapi/personality.ts';
import * as pidfd from '../../assembly/uapi/pidfd.ts';
import * as prctl from '../../assembly/uapi/prctl.ts';
import * as reboot from '../../assembly/uapi/reboot.ts';
import * as resource from '../../assembly/uapi/resource.ts';
import * as sched from '../../assembly/uapi/sched.ts';
import * as signals from '../../assembly/uapi/signal.ts';
import * as socket from '../../assembly/uapi/socket.ts';
import * as time from '../../assembly/uapi/time.ts';
import * as tty from '../../assembly/uapi/tty.ts';
import * as wait from '../../assembly/uapi/wait.ts';

const VALUES = new Map<string, bigint>();
const SETS = [
  capability,
  container,
  epoll,
  fcntl,
  ipc,
  limits,
  mount,
  net,
  nsfs,
  personality,
  pidfd,
  prctl,
  reboot,
  resource,
  sched,
  signals,
  socket,
  time,
  tty,
  wait,
];
for (const set of SETS) {
  for (const [name, value] of Object.entries(set)) VALUES.set(name, BigInt(value));
}
/** Flags whose bit 31 makes them negative as 32-bit numbers. */
for (const name of [
  'CLONE_IO',
  'SA_RESETHAND',
  'EPOLLET',
  'IN_ONESHOT',
  '__WCLONE',
  'LINUX_REBOOT_MAGIC1',
  'LINUX_REBOOT_CMD_CAD_ON',
  'LINUX_REBOOT_CMD_RESTART2',
  'LINUX_REBOOT_CMD_HALT',
]) {
  VALUES.set(name, BigInt.asUintN(32, VALUES.get(name)!));
}
VALUES.set('CLONE_CLEAR_SIGHAND', 1n << 32n);
VALUES.set('CLONE_INTO_CGROUP', 1n << 33n);
VALUES.set('RLIM64_INFINITY', (1n << 64n) - 1n);
VALUES.set('RLIM_INFINITY', (1n << 64n) - 1n);
VALUES.set('FASYNC', BigInt(fcntl.O_ASYNC));
VALUES.set('AF_LOCAL', BigInt(socket.AF_UNIX));
VALUES.set('NULL', 0n);

const ERRNO_BY_NAME = new Map<string, number>(Object.entries(errnos));
ERRNO_BY_NAME.set('EWOULDBLOCK', errnos.EAGAIN);
ERRNO_BY_NAME.set('ENOTSUP', errnos.EOPNOTSUPP);

export { errnoName } from '../errno.ts';

/** Positive number of an errno's name, restart codes included. */
export function errnoNumber(name: string): number | undefined {
  return ERRNO_BY_NAME.get(name);
}

/** Value of one constant's name. */
export function constant(name: string): bigint | undefined {
  return VALUES.get(name);
}

/** Value of `A|B|0x10`; undefined when a part is not known. */
export function evaluate(expression: string): bigint | undefined {
  const name = VALUES.get(expression);
  if (name !== undefined) return name;
  let sum = 0n;
  for (const raw of expression.split('|')) {
    const part = raw.trim();
    let value = VALUES.get(part);
    if (value === undefined && /^-?(0x[0-9a-f]+|\d+)$/i.test(part)) {
      value = part.startsWith('-') ? -BigInt(part.slice(1)) : BigInt(part);
    }
    if (value === undefined) return undefined;
    sum |= value;
  }
  return sum;
}

const SIGNAL_NAMES: string[] = [];
for (const [name, value] of Object.entries(signals)) {
  if (/^SIG[A-Z]+\d?$/.test(name) && value > 0 && value < 32 && !name.startsWith('SIG_')) {
    SIGNAL_NAMES[value] ??= name;
  }
}

/** `SIGCHLD`, `SIGRT_3`, or the decimal. */
export function signalName(signo: number): string {
  return (
    SIGNAL_NAMES[signo] ?? (signo >= 32 && signo <= 64 ? `SIGRT_${signo - 32}` : String(signo))
  );
}
