// Recorders that print numbers where others print names (-X raw, ftrace): what decides by the name
// of a command or family gets the name.
import * as fcntl from '../../assembly/uapi/fcntl.ts';
import * as epoll from '../../assembly/uapi/epoll.ts';
import * as ipc from '../../assembly/uapi/ipc.ts';
import * as net from '../../assembly/uapi/net.ts';
import * as nsfs from '../../assembly/uapi/nsfs.ts';
import * as prctl from '../../assembly/uapi/prctl.ts';
import * as socket from '../../assembly/uapi/socket.ts';
import * as tty from '../../assembly/uapi/tty.ts';
import type { ArgNode } from '../trace/args.ts';

type Names = ReadonlyMap<number, string>;

function namesOf(of: RegExp, ...sets: Record<string, number>[]): Names {
  const names = new Map<number, string>();
  for (const set of sets) {
    for (const [name, value] of Object.entries(set)) {
      if (of.test(name) && !names.has(value | 0)) names.set(value | 0, name);
    }
  }
  return names;
}

const FCNTL = namesOf(/^F_(?!OWNER_|(RD|WR|UN)LCK$)/, fcntl);
const FAMILIES = namesOf(/^AF_/, socket);
const LEVELS = namesOf(/^SOL_/, socket);
const OPTIONS = namesOf(/^SO_/, socket);
const CONTROL = /^IPC_(RMID|SET|STAT|INFO)$/;

/** Arguments that are named, by the call. */
const NAMED: ReadonlyMap<string, readonly (readonly [arg: number, names: Names])[]> = new Map([
  ['fcntl', [[1, FCNTL]]],
  ['fcntl64', [[1, FCNTL]]],
  ['prctl', [[0, namesOf(/^PR_(?!CAP_AMBIENT_)/, prctl)]]],
  ['socket', [[0, FAMILIES]]],
  ['socketpair', [[0, FAMILIES]]],
  [
    'getsockopt',
    [
      [1, LEVELS],
      [2, OPTIONS],
    ],
  ],
  [
    'setsockopt',
    [
      [1, LEVELS],
      [2, OPTIONS],
    ],
  ],
  ['epoll_ctl', [[1, namesOf(/^EPOLL_CTL_/, epoll)]]],
  ['semctl', [[2, namesOf(/^(IPC_(RMID|SET|STAT|INFO)|[GS]ET\w+|SEM_(STAT|INFO)\w*)$/, ipc)]]],
  ['shmctl', [[1, namesOf(/^(IPC_(RMID|SET|STAT|INFO)|SHM_(UN)?LOCK|SHM_(STAT|INFO)\w*)$/, ipc)]]],
  ['msgctl', [[1, new Map([...namesOf(CONTROL, ipc), ...namesOf(/^MSG_(STAT|INFO)/, ipc)])]]],
  ['ioctl', [[1, namesOf(/^(FIO|TIO|TC[GSFX]|TCSBRK|SIOC|NS_GET_)/, epoll, tty, net, nsfs)]]],
]);

const spelled = new WeakMap<ArgNode[], ArgNode[]>();

function nameOf(node: ArgNode | undefined, names: Names): string | undefined {
  return node?.kind === 'int'
    ? names.get(Number(BigInt.asIntN(32, BigInt(node.value))))
    : undefined;
}

/** Are there arguments of this call that have names? */
export function hasNames(call: string): boolean {
  return NAMED.has(call);
}

/** The arguments with names in the place of numbers; the same tree where there are none. */
export function spell(call: string, args: ArgNode[]): ArgNode[] {
  const known = spelled.get(args);
  if (known) return known;
  let named = args;
  for (const [at, names] of NAMED.get(call) ?? []) {
    const text = nameOf(args[at], names);
    if (text === undefined) continue;
    if (named === args) named = [...args];
    named[at] = { kind: 'sym', text };
  }
  if (named !== args) spelled.set(args, named);
  return named;
}
