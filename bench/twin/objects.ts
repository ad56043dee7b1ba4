// The same algorithms in idiomatic JavaScript: classes, Map, Set. What a simulator's author would
// write first. It keeps the checksum of what it does, so that both did the same work.

class Container {
  readonly members = new Set<Task>();
  readonly children = new Set<Container>();
  usage = 1;
  dead = false;

  readonly parent: Container | null;

  constructor(parent: Container | null) {
    this.parent = parent;
    parent?.children.add(this);
    if (parent) parent.usage += 1;
  }
}

class Task {
  readonly children: Task[] = [];
  zombie = false;
  pending = 0n;
  status = 0;

  readonly pid: number;
  readonly parent: Task | null;
  readonly container: Container;
  readonly creds: { uid: number };
  readonly fds: Map<number, object>;

  constructor(pid: number, parent: Task | null, container: Container) {
    this.pid = pid;
    this.parent = parent;
    this.container = container;
    this.creds = parent?.creds ?? { uid: 0 };
    this.fds = parent?.fds ?? new Map();
  }
}

export class ObjectKernel {
  readonly tasks = new Map<number, Task>();
  readonly root = new Container(null);
  #last = 0;
  #max: number;

  constructor(pidMax: number) {
    this.#max = pidMax;
    this.add(null, this.root);
  }

  #pid(): number {
    do {
      this.#last = this.#last + 1 >= this.#max ? 300 : this.#last + 1;
    } while (this.tasks.has(this.#last));
    return this.#last;
  }

  add(parent: Task | null, container: Container): Task {
    const task = new Task(this.#pid(), parent, container);
    this.tasks.set(task.pid, task);
    parent?.children.push(task);
    container.members.add(task);
    container.usage += 1;
    return task;
  }

  fork(pid: number): number {
    const parent = this.tasks.get(pid)!;
    return this.add(parent, parent.container).pid;
  }

  exit(pid: number, code: number): void {
    const task = this.tasks.get(pid)!;
    task.zombie = true;
    task.status = code << 8;
    task.container.members.delete(task);
    this.put(task.container);
  }

  wait(pid: number, child: number): number {
    const parent = this.tasks.get(pid)!;
    const at = parent.children.findIndex((task) => task.pid === child && task.zombie);
    const [task] = parent.children.splice(at, 1);
    this.tasks.delete(task!.pid);
    return task!.status;
  }

  create(parent: Container): Container {
    return new Container(parent);
  }

  kill(container: Container): number {
    let n = 0;
    for (const task of container.members) {
      task.pending |= 256n;
      n += 1;
    }
    return n;
  }

  put(container: Container | null): number {
    let n = 0;
    while (container) {
      container.usage -= 1;
      if (container.usage > 0) break;
      container.parent?.children.delete(container);
      container = container.parent;
      n += 1;
    }
    return n;
  }
}
