// The tree of containers and tasks that an audit log tells of.
import type { AuditTask } from './attribution.ts';
import { type AuditContainer, INIT_ID } from './containers.ts';
import { AuditScan, lookThrough, type ScanOptions } from './scan.ts';
import type { TraceSource } from '../trace/source.ts';
import type { LineTotals } from '../trace/event.ts';

/** A task of the tree. */
export interface TreeTask {
  pid: number;
  /** 0 when it is not shown */
  ppid: number;
  comm: string;
  end: string;
}

export interface TreeContainer {
  id: string;
  name: string;
  /** id of the one that it is nested in, '' when that is not known */
  parent: string;
  node: string;
  creator: number;
  serial: number;
  sec: number;
  end: string;
  tasks: TreeTask[];
}

export interface AuditTree {
  /** in order of their making; of each machine */
  containers: TreeContainer[];
  /** tasks whose container is not known */
  unknown: TreeTask[];
  events: number;
  lines: LineTotals;
}

function taskOf({ pid, ppid, comm, end }: AuditTask): TreeTask {
  return { pid, ppid, comm, end };
}

/** Rebuilds the tree from the log alone. */
export async function auditTree(
  source: TraceSource,
  options: ScanOptions = {},
): Promise<AuditTree> {
  const facts = await lookThrough(source);
  const tasks: AuditTask[] = [];
  const scan = new AuditScan(source, facts, options, (task) => tasks.push(task));
  let events = 0;
  for await (const batch of scan.batches()) {
    for (const { event } of batch) if (event !== undefined) events += 1;
  }
  const byContainer = new Map<AuditContainer | undefined, TreeTask[]>();
  for (const task of tasks) {
    const list = byContainer.get(task.container);
    if (list === undefined) byContainer.set(task.container, [taskOf(task)]);
    else list.push(taskOf(task));
  }
  const containers = scan.attribution.containers.list.map((one) => ({
    id: one.id,
    name: one.name,
    parent: one.parent?.id ?? (one.id === INIT_ID ? '0' : ''),
    node: one.node,
    creator: one.creator,
    serial: one.serial,
    sec: one.sec,
    end: one.end,
    tasks: byContainer.get(one) ?? [],
  }));
  return { containers, unknown: byContainer.get(undefined) ?? [], events, lines: scan.lines };
}
