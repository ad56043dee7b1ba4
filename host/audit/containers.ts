// Containers as an audit log shows them: by records of a kernel that has them, or as namespaces
// that calls made.
import * as C from '../../assembly/uapi/sched.ts';

/** Namespaces of which a new one makes a container. */
export type ContainerOf = 'pid' | 'mnt' | 'user' | 'any';
export const CONTAINER_OF: readonly ContainerOf[] = ['pid', 'mnt', 'user', 'any'];

export function isContainerOf(name: string): name is ContainerOf {
  return (CONTAINER_OF as readonly string[]).includes(name);
}

/** CLONE_NEW* flag of each entry of /proc/PID/ns. */
export const NAMESPACES: Readonly<Record<string, number>> = {
  mnt: C.CLONE_NEWNS,
  uts: C.CLONE_NEWUTS,
  ipc: C.CLONE_NEWIPC,
  pid: C.CLONE_NEWPID,
  pid_for_children: C.CLONE_NEWPID,
  net: C.CLONE_NEWNET,
  user: C.CLONE_NEWUSER,
  cgroup: C.CLONE_NEWCGROUP,
  time: C.CLONE_NEWTIME,
  time_for_children: C.CLONE_NEWTIME,
};

const ANY =
  C.CLONE_NEWNS |
  C.CLONE_NEWUTS |
  C.CLONE_NEWIPC |
  C.CLONE_NEWPID |
  C.CLONE_NEWNET |
  C.CLONE_NEWUSER |
  C.CLONE_NEWCGROUP;

/** The flags that make a container. CLONE_NEWTIME means another thing to clone: unshare's alone. */
export function flagsOf(kind: ContainerOf, unshare = false): number {
  switch (kind) {
    case 'pid':
      return C.CLONE_NEWPID;
    case 'mnt':
      return C.CLONE_NEWNS;
    case 'user':
      return C.CLONE_NEWUSER;
    default:
      return unshare ? ANY | C.CLONE_NEWTIME : ANY;
  }
}

/** A container of the log. */
export interface AuditContainer {
  /** decimal */
  id: string;
  name: string;
  parent: AuditContainer | undefined;
  node: string;
  /** process that made it, 0 when that is not shown */
  creator: number;
  /** serial and second of the event that made it, 0 when it was there before */
  serial: number;
  sec: number;
  /** what is known of its end: `exit 3`, `SIGKILL`, `ended`; '' while it lives */
  end: string;
}

/** The initial container, `.init`: the host itself. */
export const INIT_ID = '1';

/** `4,^2,^1`: the container and, with carets, what it is nested in. */
export function idList(container: AuditContainer): string {
  const ids = [container.id];
  const seen = new Set([container]);
  for (let at = container.parent; at !== undefined && !seen.has(at); at = at.parent) {
    seen.add(at);
    ids.push(`^${at.id}`);
  }
  return ids.join(',');
}

/** All containers of a log, by machine and id. */
export class Containers {
  readonly list: AuditContainer[] = [];
  readonly #byId = new Map<string, AuditContainer>();
  readonly #nextId = new Map<string, number>();

  #key(node: string, id: string): string {
    return `${node}\0${id}`;
  }

  /** The container of an id; made when it is named for the first time. */
  get(node: string, id: string): AuditContainer {
    const key = this.#key(node, id);
    let container = this.#byId.get(key);
    if (container === undefined) {
      const name = id === INIT_ID ? '.init' : '';
      container = { id, name, parent: undefined, node, creator: 0, serial: 0, sec: 0, end: '' };
      this.#byId.set(key, container);
      this.list.push(container);
    }
    return container;
  }

  /** A new one with the next id: 1 is the host's, none is used twice. */
  create(node: string, parent: AuditContainer | undefined): AuditContainer {
    const next = this.#nextId.get(node) ?? 2;
    this.#nextId.set(node, next + 1);
    const container = this.get(node, String(next));
    container.parent = parent;
    return container;
  }

  /** Reads `4,^2,^1,7,^1`: the first id with its ancestors; further ones share a network. */
  read(node: string, list: string): AuditContainer | undefined {
    const parts = list.split(',');
    let last: AuditContainer | undefined;
    for (const [i, part] of parts.entries()) {
      const id = /^\^?(\d{1,20})$/.exec(part)?.[1];
      if (id === undefined || i > 0 !== part.startsWith('^')) break;
      const container = this.get(node, id);
      if (last !== undefined && container !== last) last.parent ??= container;
      last = container;
    }
    const first = /^\d{1,20}$/.exec(parts[0] ?? '')?.[0];
    return first === undefined || first === '18446744073709551615'
      ? undefined
      : this.get(node, first);
  }
}
