// npm run bench: the kernel against the same algorithms in JavaScript objects, as ratios of one
// run, medians of several rounds; then what a full machine costs. `--json` prints the numbers,
// `--scale` adds the million-object rows, `--quick` shrinks everything.
import { parseArgs } from 'node:util';
import * as OP from '../assembly/uapi/op.ts';
import type { Kernel } from '../host/index.ts';
import { bigKernel, median, Prepared, time } from './drive.ts';
import { scaleRows } from './scale.ts';
import { ObjectKernel } from './twin/objects.ts';

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, scale: { type: 'boolean' }, quick: { type: 'boolean' } },
});
const ROUNDS = values.quick ? 3 : 7;
const N = values.quick ? 20_000 : 200_000;

export interface Row {
  name: string;
  /** nanoseconds per operation, median of the rounds */
  kernel: number;
  /** the same in JavaScript objects; undefined where there is no twin */
  objects?: number;
  note?: string;
}

/** Runs both variants alternately; they must agree on what they did. */
function compare(name: string, n: number, ours: () => number, theirs: () => number): Row {
  const a: number[] = [];
  const b: number[] = [];
  for (let round = 0; round <= ROUNDS; ++round) {
    const x = time(ours);
    const y = time(theirs);
    if (x.checksum !== y.checksum) {
      throw new Error(`${name}: checksums differ, ${x.checksum} and ${y.checksum}`);
    }
    // the first round warms both up
    if (round) {
      a.push(x.ns / n);
      b.push(y.ns / n);
    }
  }
  return { name, kernel: median(a), objects: median(b) };
}

function forkRow(k: Kernel, twin: ObjectKernel, live: number): Row {
  const fork = new Prepared(k, 1, OP.OP_FORK);
  const exit = new Prepared(k, 1, OP.OP_EXIT_GROUP, 7);
  const wait = new Prepared(k, 1, OP.OP_WAIT4, -1, 0, 1, 0);
  const name = live ? `fork+exit+wait, ${live} live` : 'fork+exit+wait';
  return compare(
    name,
    N,
    () => {
      let sum = 0;
      for (let i = 0; i < N; ++i) {
        const child = fork.call();
        exit.call(child);
        sum += wait.call(0, child) - child + 7;
      }
      return sum;
    },
    () => {
      let sum = 0;
      for (let i = 0; i < N; ++i) {
        const child = twin.fork(1);
        twin.exit(child, 7);
        sum += twin.wait(1, child) >> 8;
      }
      return sum;
    },
  );
}

/** The same by frames of one batch: 64 triples a crossing, pids known beforehand. */
function batchRow(k: Kernel): Row {
  const getppid = 64;
  const frames = Array.from({ length: getppid }, () => k.allocFrame());
  const samples: number[] = [];
  const calls = N / getppid;
  for (let round = 0; round <= ROUNDS; ++round) {
    const { ns } = time(() => {
      let done = 0;
      for (let i = 0; i < calls; ++i) {
        for (const frame of frames) frame.setRegHalves(80, OP.OP_GETPPID, 0);
        done += k.batch(frames);
      }
      return done;
    });
    if (round) samples.push(ns / N);
  }
  for (const frame of frames) k.freeFrame(frame);
  return { name: 'getppid, batches of 64', kernel: median(samples) };
}

function trapRow(k: Kernel): Row {
  const getppid = new Prepared(k, 1, OP.OP_GETPPID);
  const samples: number[] = [];
  for (let round = 0; round <= ROUNDS; ++round) {
    const { ns } = time(() => {
      let sum = 0;
      for (let i = 0; i < N; ++i) sum += getppid.call();
      return sum;
    });
    if (round) samples.push(ns / N);
  }
  return { name: 'getppid, one trap each', kernel: median(samples) };
}

function createContainer(k: Kernel, tid: number): number {
  k.frame.begin(tid, 0, OP.OP_CONTAINER_CREATE).setArg(0, 0x1000);
  k.frame.window(0x1000, new TextEncoder().encode('bench\0'), 'r');
  k.trap();
  return k.frame.result;
}

function enterRow(k: Kernel, twin: ObjectKernel): Row {
  const fd = createContainer(k, 1);
  // a first member that stays: entering and leaving do not end the container
  const enter = new Prepared(k, 1, OP.OP_FORK_INTO_CONTAINER, fd);
  enter.call();
  const exit = new Prepared(k, 1, OP.OP_EXIT_GROUP, 0);
  const wait = new Prepared(k, 1, OP.OP_WAIT4, -1, 0, 1, 0);
  const container = twin.create(twin.root);
  const init = twin.tasks.get(1)!;
  return compare(
    'container enter+exit+wait',
    N,
    () => {
      let n = 0;
      for (let i = 0; i < N; ++i) {
        const child = enter.call();
        exit.call(child);
        n += wait.call(0, child) === child ? 1 : 0;
      }
      return n;
    },
    () => {
      let n = 0;
      for (let i = 0; i < N; ++i) {
        const task = twin.add(init, container);
        twin.exit(task.pid, 0);
        n += twin.wait(1, task.pid) === 0 ? 1 : 0;
      }
      return n;
    },
  );
}

async function rows(): Promise<Row[]> {
  const out: Row[] = [];
  const boot = { pidMax: 4194304, nofile: 4096 };
  const k = await bigKernel(boot);
  out.push(trapRow(k));
  for (let i = 0; i < 64; ++i) k.frame.begin(1, 0, OP.OP_GETPPID);
  out.push(batchRow(k));
  out.push(forkRow(k, new ObjectKernel(4194304), 0));
  out.push(enterRow(k, new ObjectKernel(4194304)));
  const live = values.quick ? 1000 : 10_000;
  const crowd = await bigKernel(boot);
  const crowdTwin = new ObjectKernel(4194304);
  const fork = new Prepared(crowd, 1, OP.OP_FORK);
  for (let i = 0; i < live; ++i) {
    fork.call();
    crowdTwin.fork(1);
  }
  out.push(forkRow(crowd, crowdTwin, live));
  out.push(...(await scaleRows(values.scale ? 1_000_000 : values.quick ? 1000 : 100_000)));
  return out;
}

function print(all: Row[]): void {
  console.log(`node ${process.version}, ${ROUNDS} rounds, medians, ns per operation`);
  console.log(
    `${'benchmark'.padEnd(34)} ${'kernel'.padStart(10)} ${'JS objects'.padStart(11)} ratio`,
  );
  for (const row of all) {
    const objects = row.objects === undefined ? '-' : row.objects.toFixed(1);
    const ratio = row.objects === undefined ? '' : `${(row.objects / row.kernel).toFixed(1)}x`;
    const time = row.kernel.toFixed(1).padStart(10);
    const text = `${row.name.padEnd(34)} ${time} ${objects.padStart(11)}`;
    console.log(`${text} ${ratio.padEnd(6)} ${row.note ?? ''}`.trimEnd());
  }
}

const all = await rows();
if (values.json) console.log(JSON.stringify({ node: process.version, rounds: ROUNDS, rows: all }));
else print(all);
