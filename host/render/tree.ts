// The process tree and the container tree.
import type { TreeProcess } from '../replay/processes.ts';
import type { ContainerView } from '../views.ts';
import { printable, type Style } from './style.ts';

/** One branch. */
export interface Node<T> {
  item: T;
  children: Node<T>[];
}

function forest<T>(items: readonly T[], id: (t: T) => number, parent: (t: T) => number): Node<T>[] {
  const nodes = new Map(items.map((item) => [id(item), { item, children: [] as Node<T>[] }]));
  const roots: Node<T>[] = [];
  for (const node of nodes.values()) {
    const up = nodes.get(parent(node.item));
    if (up && up !== node) up.children.push(node);
    else roots.push(node);
  }
  return roots;
}

/** Lines of a forest, without recursion: depth is the log's to choose. */
export function lines<T>(roots: readonly Node<T>[], show: (t: T) => string, max: number): string[] {
  const out: string[] = [];
  const stack = roots.map((node) => ({ node, prefix: '', last: true, top: true })).reverse();
  for (let at = stack.pop(); at; at = stack.pop()) {
    if (out.length >= max) {
      out.push(`... ${stack.length + 1} more branches`);
      break;
    }
    const { node, prefix, last, top } = at;
    out.push(top ? show(node.item) : `${prefix}${last ? '└─ ' : '├─ '}${show(node.item)}`);
    const below = top ? '' : prefix + (last ? '   ' : '│  ');
    node.children.forEach((_, i) => {
      const j = node.children.length - 1 - i;
      stack.push({ node: node.children[j]!, prefix: below, last: i === 0, top: false });
    });
  }
  return out;
}

export function renderProcesses(processes: readonly TreeProcess[], s: Style, max = 60): string {
  const show = (p: TreeProcess): string => {
    const end = p.end ? (p.end === 'exit 0' ? s.dim(p.end) : s.warn(p.end)) : s.good('alive');
    const where =
      p.container && p.container !== '.init' ? s.dim(` [${printable(p.container)}]`) : '';
    return `${p.pid} ${printable(p.comm)} ${end}${where}`;
  };
  const roots = forest(
    processes,
    (p) => p.pid,
    (p) => p.ppid,
  );
  return lines(roots, show, max).join('\n');
}

export function renderContainers(containers: readonly ContainerView[], s: Style, max = 60): string {
  const show = (c: ContainerView): string => {
    const state = c.flags & 2 ? s.warn('dead') : c.flags & 1 ? s.good('running') : 'not started';
    const members = `${c.members} process${c.members === 1 ? '' : 'es'}`;
    return `#${c.id} ${s.bold(printable(c.name) || '(no name)')} ${state}, ${members}`;
  };
  return lines(
    forest(
      containers,
      (c) => c.id,
      (c) => c.parentId,
    ),
    show,
    max,
  ).join('\n');
}
