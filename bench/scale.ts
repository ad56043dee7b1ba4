// A full machine: a container of many members dies, a chain of nested containers is released, as
// many tasks as there are numbers live at once. Time and memory for each object.
import * as OP from '../assembly/uapi/op.ts';
import type { Kernel } from '../host/index.ts';
import { bigKernel, Prepared, time } from './drive.ts';
import type { Row } from './run.ts';

function create(k: Kernel, tid: number): number {
  k.frame.begin(tid, 0, OP.OP_CONTAINER_CREATE).setArg(0, 0x1000);
  k.frame.window(0x1000, new TextEncoder().encode('n\0'), 'r');
  k.trap();
  return k.frame.result;
}

function row(name: string, n: number, ns: number, note: string): Row {
  return { name: `${name}, ${n.toLocaleString('en-US')}`, kernel: ns / n, note };
}

function bytes(k: Kernel, before: number, n: number): string {
  return `${Math.round((k.exports.high_water() - before) / n)} bytes each`;
}

/** Members of one container: entering, the kill loop, dying, being waited for. */
async function members(n: number): Promise<Row[]> {
  const k = await bigKernel({ pidMax: 4194304 });
  const fd = create(k, 1);
  const enter = new Prepared(k, 1, OP.OP_FORK_INTO_CONTAINER, fd);
  const init = enter.call();
  const before = k.exports.high_water();
  const entered = time(() => {
    for (let i = 0; i < n; ++i) enter.call();
    return n;
  });
  const size = bytes(k, before, n);
  const exit = new Prepared(k, init, OP.OP_EXIT_GROUP, 0);
  const killed = time(() => exit.call(init));
  const died = time(() => k.runPending());
  const wait = new Prepared(k, 1, OP.OP_WAIT4, -1, 0, 1, 0);
  const waited = time(() => {
    let count = 0;
    while (wait.call() > 0) count += 1;
    return count;
  });
  if (waited.checksum !== n + 1) throw new Error(`${waited.checksum} of ${n + 1} were waited for`);
  return [
    row('enter', n, entered.ns, size),
    row('kill loop', n, killed.ns, ''),
    row('die', n, died.ns, ''),
    row('wait', n, waited.ns, ''),
  ];
}

/** A chain of containers, each held by the one inside it alone: one close releases them all. */
async function cascade(n: number): Promise<Row[]> {
  const k = await bigKernel({ pidMax: 4194304, containerDepthMax: n + 1, containersMax: n + 2 });
  // each level: create, enter, and let the task of the level above end without killing: a
  // container that is entered by a helper lives on while its init does
  const before = k.exports.high_water();
  let task = 1;
  const close = new Prepared(k, 1, OP.OP_CLOSE, 0);
  const built = time(() => {
    for (let i = 0; i < n; ++i) {
      const fd = create(k, task);
      k.frame.begin(task, 0, OP.OP_FORK_INTO_CONTAINER).setArg(0, fd);
      k.trap();
      const next = k.frame.result;
      close.call(next, fd);
      close.call(task, fd);
      task = next;
    }
    return n;
  });
  const size = bytes(k, before, n);
  const containers = k.counts().containers - 1;
  if (containers !== n) throw new Error(`${containers} containers of ${n}`);
  // the outermost init ends: the whole chain is dead, its members are killed and leave
  const first = k.tasks().find((t) => t.ppid === 1)!.tid;
  const released = time(() => {
    k.frame.begin(first, 0, OP.OP_EXIT_GROUP);
    k.trap();
    k.runPending();
    return 0;
  });
  const left = k.counts().containers - 1;
  if (left !== 0) throw new Error(`${left} containers are left`);
  return [row('nest', n, built.ns, size), row('release of the chain', n, released.ns, '')];
}

/** As many tasks as numbers: 4,194,303 besides init at full scale. */
async function crowd(n: number): Promise<Row[]> {
  const k = await bigKernel({ pidMax: 4194304 });
  const before = k.exports.high_water();
  const fork = new Prepared(k, 1, OP.OP_FORK);
  const built = time(() => {
    let last = 0;
    for (let i = 0; i < n; ++i) last = fork.call();
    return last;
  });
  const tasks = k.counts().tasks - 1;
  if (tasks !== n) throw new Error(`${tasks} tasks of ${n}, last answer ${built.checksum}`);
  const exit = new Prepared(k, 1, OP.OP_EXIT_GROUP, 0);
  const wait = new Prepared(k, 1, OP.OP_WAIT4, -1, 0, 1, 0);
  const size = bytes(k, before, n);
  const gone = time(() => {
    for (let pid = 2; pid < n + 2; ++pid) {
      exit.call(pid);
      wait.call(0, pid);
    }
    return k.counts().tasks;
  });
  return [row('live tasks', n, built.ns, size), row('their end', n, gone.ns, '')];
}

/** The rows of a machine with about `n` objects of each kind. */
export async function scaleRows(n: number): Promise<Row[]> {
  const tasks = n >= 1_000_000 ? 4_194_302 : n;
  return [...(await members(n)), ...(await cascade(n)), ...(await crowd(tasks))];
}
