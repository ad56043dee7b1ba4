// The benchmarks by name, with their sizes; what is aimed at; the variants.
import type { Kind, Task } from './benches.ts';

export interface Bench {
  name: string;
  title: string;
  /** 'startup', 'replay', 'pool' and 'real' are no loops over a machine */
  kind: Kind | 'startup' | 'replay' | 'pool' | 'real';
  a: number;
  b?: number;
  shuffled?: boolean;
  samples: number;
  /** sizes of a smoke test */
  quick: [a: number, b?: number];
  /** takes minutes, or gigabytes: only with --full */
  full?: boolean;
  /** a million objects: at most two rounds */
  heavy?: boolean;
  /** who runs it; all that can by default */
  variants?: readonly VariantName[];
  /** what one number of a row is; nanoseconds for one operation by default */
  unit?: string;
}

export type VariantName =
  | 'native'
  | 'pointers'
  | 'native-direct'
  | 'kernel'
  | 'direct'
  | 'batch'
  | 'clang-wasm'
  | 'wasm2c'
  | 'tuned'
  | 'objects'
  | 'real';

export const VARIANTS: Record<VariantName, string> = {
  native: 'C with the same features and the same structures, links of 32 bits',
  pointers: 'the same C with pointers for links',
  'native-direct': 'the C of native, by typed calls without frames',
  kernel: 'this kernel, one trap for each call',
  direct: 'this kernel, by its typed exports: numbers alone, no frame',
  batch: 'this kernel, many calls in one crossing',
  'clang-wasm': 'the same C, by clang to WebAssembly',
  wasm2c: 'the shipped module, by wasm2c and the C compiler to native code',
  tuned: 'JavaScript objects, tuned for speed',
  objects: 'JavaScript objects, idiomatic',
  real: 'fork, _exit and waitpid of this machine, which do far more than bookkeeping',
};

const MACHINES: readonly VariantName[] = [
  'native',
  'pointers',
  'native-direct',
  'kernel',
  'direct',
  'clang-wasm',
  'wasm2c',
  'tuned',
  'objects',
];
/** Batches are for calls of which many can be laid out beforehand. */
const BATCHED: readonly VariantName[] = [...MACHINES, 'batch'];
const OWN_MEMORY: readonly VariantName[] = ['native', 'pointers', 'kernel', 'wasm2c'];

const K = 1000;
const MILLION = 1_000_000;

function killLoop(members: number, shuffled: boolean): Bench {
  const heavy = members === MILLION;
  const number = members.toLocaleString('en-US');
  return {
    name: `kill-${members === MILLION ? '1m' : members}${shuffled ? '-shuffled' : ''}`,
    title: `kill loop, ${number} member${members > 1 ? 's' : ''}${shuffled ? ', shuffled' : ''}`,
    kind: 'kill',
    a: members,
    b: heavy ? MILLION : Math.max(members, 20 * K),
    shuffled,
    samples: heavy ? 2 : 10,
    quick: [Math.min(members, 200), 400],
    heavy,
  };
}

function cascade(depth: number): Bench {
  const heavy = depth === MILLION;
  const containers = depth > 1 ? 'nested containers' : 'container';
  return {
    name: `cascade-${heavy ? '1m' : depth}`,
    title: `cascade, ${depth.toLocaleString('en-US')} ${containers}, a level`,
    kind: 'cascade',
    a: depth,
    b: heavy ? 0 : 4 * K,
    samples: heavy ? 2 : 20,
    quick: depth > 1 ? [Math.min(depth, 200)] : [1, 200],
    heavy,
  };
}

function nested(level: number): Bench {
  return {
    name: `pidns-${level}`,
    title: `fork+exit+wait, ${level} pid namespace${level > 1 ? 's' : ''} deep`,
    kind: 'pidns',
    a: 4 * K,
    b: level,
    samples: 40,
    quick: [200, level],
  };
}

export const BENCHES: readonly Bench[] = [
  {
    name: 'fork',
    title: 'fork+exit+wait, hot',
    kind: 'fork',
    a: 4 * K,
    samples: 60,
    quick: [200],
    variants: BATCHED,
  },
  {
    name: 'fork-10k',
    title: 'fork+exit+wait, 10,000 live, random victim',
    kind: 'fork',
    a: 4 * K,
    b: 10 * K,
    samples: 60,
    quick: [200, 100],
    variants: BATCHED,
  },
  {
    name: 'fork-1m',
    title: 'fork+exit+wait, 1,000,000 live, random victim',
    kind: 'fork',
    a: 4 * K,
    b: MILLION,
    samples: 40,
    quick: [200, 500],
    heavy: true,
    variants: BATCHED,
  },
  {
    name: 'thread',
    title: 'thread created, exits',
    kind: 'thread',
    a: 4 * K,
    samples: 40,
    quick: [200],
  },
  killLoop(1, false),
  killLoop(10, false),
  killLoop(10, true),
  killLoop(1000, false),
  killLoop(1000, true),
  killLoop(MILLION, false),
  killLoop(MILLION, true),
  cascade(1),
  cascade(1000),
  cascade(MILLION),
  {
    name: 'container',
    title: 'container created, destroyed',
    kind: 'container',
    a: 4 * K,
    samples: 40,
    quick: [200],
  },
  {
    name: 'enter',
    title: 'container entered, exit, wait',
    kind: 'enter',
    a: 4 * K,
    samples: 40,
    quick: [200],
  },
  {
    name: 'signal',
    title: 'signal sent, handled, returned from',
    kind: 'signal',
    a: 4 * K,
    samples: 40,
    quick: [200],
  },
  nested(1),
  nested(4),
  nested(16),
  {
    name: 'trap',
    title: 'getppid, one call',
    kind: 'trap',
    a: 20 * K,
    samples: 60,
    quick: [400],
    variants: BATCHED,
  },
  {
    name: 'memory',
    title: 'made and ended: 100,000 containers; 900,000 more tasks',
    kind: 'full',
    a: MILLION,
    b: 100 * K,
    samples: 1,
    quick: [400, 40],
    heavy: true,
  },
  {
    name: 'memory-4m',
    title: 'made and ended: 1,000,000 containers; 3,190,000 more tasks',
    kind: 'full',
    a: 4_190_000,
    b: MILLION,
    samples: 1,
    quick: [400, 40],
    full: true,
    heavy: true,
    variants: OWN_MEMORY,
  },
  {
    name: 'startup',
    title: 'from nothing to a booted machine',
    kind: 'startup',
    a: 0,
    samples: 1,
    quick: [0],
    variants: OWN_MEMORY,
  },
  {
    name: 'snapshot',
    title: 'snapshot with 100,000 tasks, for 1 MiB',
    kind: 'snapshot',
    a: 100 * K,
    samples: 5,
    quick: [200],
    variants: OWN_MEMORY,
    unit: 'ns/MiB',
  },
  {
    name: 'audit',
    title: 'fork+exit+wait with every call logged, a record; then as text',
    kind: 'audit',
    a: 20 * K,
    samples: 5,
    quick: [300],
    variants: ['kernel'],
  },
  {
    name: 'replay',
    title: 'replay of a generated strace log, a line',
    kind: 'replay',
    a: 100 * K,
    samples: 2,
    quick: [400],
    variants: ['kernel'],
  },
  {
    name: 'pool',
    title: 'fork+exit+wait in one kernel, then in two on two cores, all taken together',
    kind: 'pool',
    a: 20 * K,
    samples: 20,
    quick: [400],
    variants: ['kernel'],
  },
  {
    name: 'real',
    title: 'fork+_exit+waitpid of this machine',
    kind: 'real',
    a: 100,
    samples: 5,
    quick: [3],
    variants: ['real'],
  },
];

/** The benchmark as a machine's process runs it. */
export function taskOf(bench: Bench, quick: boolean): Task {
  const [a, b] = quick ? bench.quick : [bench.a, bench.b];
  const samples = quick ? Math.min(2, bench.samples) : bench.samples;
  return {
    kind: bench.kind as Kind,
    a,
    b: b ?? 0,
    shuffled: bench.shuffled === true,
    samples,
  };
}

export function variantsOf(bench: Bench): readonly VariantName[] {
  return bench.variants ?? MACHINES;
}

/** What is aimed at: `of` takes at most `most` times what `against` takes, or nanoseconds. */
export interface Goal {
  bench: string;
  row?: string;
  of: VariantName;
  against?: VariantName;
  most: number;
  text: string;
}

export const GOALS: readonly Goal[] = [
  goal('fork', 'kernel', 'native', 1.4),
  goal('fork', 'batch', 'native', 1.4),
  goal('fork', 'direct', 'native-direct', 1.4),
  goal('fork-10k', 'kernel', 'native', 1.15),
  goal('fork-10k', 'direct', 'native-direct', 1.15),
  goal('fork-10k', 'batch', 'native', 1.15),
  goal('fork-1m', 'kernel', 'native', 1.15),
  goal('fork-1m', 'batch', 'native', 1.15),
  goal('fork-1m', 'direct', 'native-direct', 1.15),
  goal('fork', 'kernel', 'clang-wasm', 1.1),
  goal('fork', 'kernel', 'objects', 1 / 10),
  goal('fork-10k', 'kernel', 'objects', 1 / 30),
  goal('fork', 'kernel', 'tuned', 1 / 1.8),
  goal('kill-1m', 'kernel', undefined, 4),
  goal('kill-1m-shuffled', 'kernel', undefined, 20),
  goal('cascade-1m', 'kernel', undefined, 20),
  goal('container', 'kernel', 'native', 1.6),
  goal('container', 'direct', 'native-direct', 1.6),
  {
    bench: 'pool',
    row: 'two kernels',
    of: 'kernel',
    against: 'kernel',
    most: 1 / 1.9,
    text: 'one kernel takes at least 1.9 times as long',
  },
];

function goal(bench: string, of: VariantName, against: VariantName | undefined, most: number) {
  let text = `at most ${most} ns`;
  if (against) {
    const far = most < 1;
    text = far
      ? `${against} take at least ${Number((1 / most).toFixed(1))} times as long`
      : `at most ${most} of ${against}`;
  }
  return { bench, of, most, text, ...(against ? { against } : {}) };
}
