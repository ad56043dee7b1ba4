// The containers of an audit log with their tasks, as a tree.
import type { AuditTree, TreeContainer, TreeTask } from '../audit/tree.ts';
import { printable, type Style } from './style.ts';
import { lines, type Node } from './tree.ts';

function showTask(task: TreeTask, s: Style): string {
  const end =
    task.end === '' ? s.good('no end shown') : task.end === 'exit 0' ? s.dim(task.end) : '';
  return `${task.pid} ${printable(task.comm) || '?'} ${end || s.warn(task.end)}`;
}

function showContainer(one: TreeContainer, s: Style): string {
  const name = one.name === '' ? '' : ` ${s.bold(printable(one.name))}`;
  const by = one.creator === 0 ? '' : `, made by ${one.creator}`;
  const at = one.serial === 0 ? '' : ` in event ${one.serial}`;
  const end = one.end === '' ? '' : `, ${s.warn(one.end)}`;
  return `${s.bold('container')} ${one.id}${name}${by}${at}${end}`;
}

/** Tasks of one container below each other; a number used again means its latest bearer. */
function taskForest(tasks: readonly TreeTask[], s: Style): Node<string>[] {
  const latest = new Map<number, Node<string>>();
  const roots: Node<string>[] = [];
  for (const task of tasks) {
    const node: Node<string> = { item: showTask(task, s), children: [] };
    const parent = latest.get(task.ppid);
    if (parent === undefined) roots.push(node);
    else parent.children.push(node);
    latest.set(task.pid, node);
  }
  return roots;
}

/** The whole tree; at most `max` lines. */
export function renderAuditTree(tree: AuditTree, s: Style, max = 500): string {
  const nodes = new Map<string, Node<string>>();
  const key = (node: string, id: string): string => `${node}\0${id}`;
  const roots: Node<string>[] = [];
  for (const one of tree.containers) {
    const node = { item: showContainer(one, s), children: taskForest(one.tasks, s) };
    nodes.set(key(one.node, one.id), node);
  }
  for (const one of tree.containers) {
    const node = nodes.get(key(one.node, one.id))!;
    const parent = nodes.get(key(one.node, one.parent));
    if (parent === undefined || parent === node) roots.push(node);
    else parent.children.push(node);
  }
  if (tree.unknown.length > 0) {
    const n = tree.unknown.length;
    const item = `${s.bold('not known')}, ${n} task${n === 1 ? '' : 's'}`;
    roots.push({ item, children: taskForest(tree.unknown, s) });
  }
  if (roots.length === 0) return 'no container and no task in this log';
  return lines(roots, (item) => item, max).join('\n');
}
