// Kinds of arguments and results of system calls, and the notation in which the tables write them.
// A list of arguments is one string, its items separated by spaces:
//
//   int uint long ulong     numbers; `long` and `ulong` fill the register
//   fd dirfd pid id sig mode op dev
//   flags:open              bits; what stands behind the colon names the set
//   addr                    an address that the kernel doesn't read
//   str                     address of a text that ends with a NUL
//   strs                    address of an array of such addresses that ends with a NULL
//   in:NAME out:NAME io:NAME  address of a structure (see SIZES) that is read, written, or both
//   in:NAME*2               that many of it as argument 2 says
//   in:NAME@1               argument 1 holds its size in bytes

/** What a plain argument is. */
export type Scalar =
  | 'int'
  | 'uint'
  | 'long'
  | 'ulong'
  | 'fd'
  | 'dirfd'
  | 'pid'
  | 'id'
  | 'sig'
  | 'mode'
  | 'op'
  | 'dev'
  | 'addr';

/** How a call uses the memory behind an address. */
export type Direction = 'in' | 'out' | 'inout';

/** One argument. */
export type ArgKind =
  | { readonly kind: Scalar }
  | { readonly kind: 'flags'; readonly set: string }
  | { readonly kind: 'str' }
  | { readonly kind: 'strs' }
  | MemoryKind;

/** The address of a structure or of an array of structures. */
export interface MemoryKind {
  readonly kind: 'mem';
  readonly dir: Direction;
  /** key of SIZES */
  readonly struct: string;
  /** argument with the number of elements */
  readonly countArg: number | undefined;
  /** argument with the size in bytes */
  readonly sizeArg: number | undefined;
}

/** What a call's result means when it is no error. */
export type ResultKind =
  /** 0 */
  | 'zero'
  | 'int'
  | 'fd'
  | 'pid'
  | 'id'
  | 'size'
  | 'addr'
  | 'mask'
  | 'time'
  /** the call doesn't return */
  | 'never';

/** Bytes of each structure: x86-64, i386. */
export const SIZES: Readonly<Record<string, readonly [number, number]>> = {
  byte: [1, 1],
  i16: [2, 2],
  i32: [4, 4],
  long: [8, 4],
  u64: [8, 8],
  id16: [2, 2],
  fdpair: [8, 8],
  pollfd: [8, 8],
  epoll_event: [12, 12],
  sigset: [8, 8],
  oldsigset: [8, 4],
  sigaction: [32, 20],
  oldsigaction: [32, 16],
  siginfo: [128, 128],
  stack: [24, 12],
  sigevent: [64, 64],
  rusage: [144, 72],
  rlimit: [16, 8],
  rlimit64: [16, 16],
  tms: [32, 16],
  timespec: [16, 8],
  timespec64: [16, 16],
  timeval: [16, 8],
  timezone: [8, 8],
  itimerval: [32, 16],
  itimerspec: [32, 16],
  itimerspec64: [32, 32],
  timex: [208, 128],
  timex64: [208, 208],
  clone_args: [88, 88],
  open_how: [24, 24],
  robust_list: [24, 12],
  iovec: [16, 8],
  msghdr: [56, 28],
  mmsghdr: [64, 32],
  fdset: [128, 128],
  stat: [144, 64],
  stat64: [144, 96],
  oldstat: [32, 32],
  statfs: [120, 64],
  statfs64: [120, 84],
  statx: [256, 256],
  utimbuf: [16, 8],
  utsname: [390, 390],
  sysinfo: [112, 64],
  dirent: [280, 268],
  cap_header: [8, 8],
  cap_data: [24, 24],
  sched_param: [4, 4],
  cpumask: [8, 8],
  sched_attr: [56, 56],
  user_desc: [16, 16],
  mq_attr: [64, 32],
  sembuf: [6, 6],
  bpf_attr: [1, 1],
  flock: [32, 16],
  pselect_set: [16, 8],
  device: [40, 40],
  mount_attr: [32, 32],
  select_args: [40, 20],
};

/** Bytes of one `struct`; 0 for a name that SIZES doesn't have. */
export function structSize(struct: string, compat: boolean): number {
  return SIZES[struct]?.[compat ? 1 : 0] ?? 0;
}

const DIRECTIONS: Readonly<Record<string, Direction>> = { in: 'in', out: 'out', io: 'inout' };
const cache = new Map<string, readonly ArgKind[]>();

function parseKind(item: string): ArgKind {
  const colon = item.indexOf(':');
  if (colon < 0) return { kind: item as Scalar };
  const head = item.slice(0, colon);
  const rest = item.slice(colon + 1);
  if (head === 'flags') return { kind: 'flags', set: rest };
  const hit = /^([a-z0-9_]+)(?:([*@])([0-5]))?$/.exec(rest);
  const dir = DIRECTIONS[head];
  if (hit === null || dir === undefined) throw new Error(`argument kind ${item}`);
  const by = hit[3] === undefined ? undefined : Number(hit[3]);
  return {
    kind: 'mem',
    dir,
    struct: hit[1] ?? '',
    countArg: hit[2] === '*' ? by : undefined,
    sizeArg: hit[2] === '@' ? by : undefined,
  };
}

/** Reads a list of argument kinds. */
export function parseKinds(text: string): readonly ArgKind[] {
  const known = cache.get(text);
  if (known !== undefined) return known;
  const kinds = text
    .split(' ')
    .filter((item) => item !== '')
    .map(parseKind);
  cache.set(text, kinds);
  return kinds;
}

/** Writes a kind as the tables do. */
export function showKind(kind: ArgKind): string {
  if (kind.kind === 'flags') return `flags:${kind.set}`;
  if (kind.kind !== 'mem') return kind.kind;
  const dir = kind.dir === 'inout' ? 'io' : kind.dir;
  const count = kind.countArg === undefined ? '' : `*${kind.countArg}`;
  const size = kind.sizeArg === undefined ? '' : `@${kind.sizeArg}`;
  return `${dir}:${kind.struct}${count}${size}`;
}

/** Is the register's upper half ignored for this argument (it is 32 bits wide)? */
export function isNarrow(kind: ArgKind): boolean {
  switch (kind.kind) {
    case 'int':
    case 'uint':
    case 'fd':
    case 'dirfd':
    case 'pid':
    case 'id':
    case 'sig':
    case 'mode':
    case 'op':
      return true;
    default:
      return false;
  }
}

/**
 * Bytes of memory that an argument names.
 * @param value value of another argument, for lengths
 */
export function memorySize(
  kind: MemoryKind,
  compat: boolean,
  value: (arg: number) => number,
): number {
  if (kind.sizeArg !== undefined) return value(kind.sizeArg);
  const each = structSize(kind.struct, compat);
  return kind.countArg === undefined ? each : each * value(kind.countArg);
}

/** Short names that differ from those of SIZES. */
const SHORT: Readonly<Record<string, string>> = {
  i32: 'int',
  fdpair: 'pair',
  pollfd: 'pollfds',
};

/** A kind without its lengths: `out:int`, `in:sigset`, `in:str`. */
export function shortKind(kind: ArgKind): string {
  switch (kind.kind) {
    case 'mem':
      // contents of any length are the world's
      if (kind.struct === 'byte') return 'addr';
      return `${kind.dir}:${SHORT[kind.struct] ?? kind.struct}`;
    case 'str':
      return 'in:str';
    case 'strs':
      return 'addr';
    default:
      return kind.kind;
  }
}
