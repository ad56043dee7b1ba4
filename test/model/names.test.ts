// Protects: any program of calls on names leaves the tree that a simple model says, with the same
// result or errno at every step; and the kernel's memory stays sound.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as E from '../../assembly/uapi/errno.ts';
import { O_CREAT, O_EXCL } from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from '../../assembly/uapi/stat.ts';
import { Fs, type Stat } from '../unit/vfs/driver.ts';

const RUNS = Number(process.env.BULKHEAD_RUNS ?? 60);

/** A file of the model: a directory has names in it. */
interface Node {
  names: Map<string, Node> | undefined;
  parent: Node | undefined;
  nlink: number;
}

class Model {
  readonly root: Node = { names: new Map(), parent: undefined, nlink: 2 };

  /** Directory and last name of a path; an errno where the way ends before. */
  #walk(path: string): { dir: Node; name: string } | number {
    const parts = path.split('/').slice(1);
    const name = parts.pop()!;
    let dir = this.root;
    for (const part of parts) {
      const next = dir.names!.get(part);
      if (!next) return -E.ENOENT;
      if (!next.names) return -E.ENOTDIR;
      dir = next;
    }
    return { dir, name };
  }

  #below(node: Node, top: Node): boolean {
    for (let at: Node | undefined = node; at; at = at.parent) if (at === top) return true;
    return false;
  }

  make(path: string, directory: boolean, exclusive: boolean): number {
    const at = this.#walk(path);
    if (typeof at === 'number') return at;
    const old = at.dir.names!.get(at.name);
    if (old) return exclusive ? -E.EEXIST : old.names ? -E.EISDIR : 0;
    const names = directory ? new Map<string, Node>() : undefined;
    at.dir.names!.set(at.name, { names, parent: at.dir, nlink: directory ? 2 : 1 });
    if (directory) at.dir.nlink += 1;
    return 0;
  }

  remove(path: string, directory: boolean): number {
    const at = this.#walk(path);
    if (typeof at === 'number') return at;
    const old = at.dir.names!.get(at.name);
    if (!old) return -E.ENOENT;
    if (directory && !old.names) return -E.ENOTDIR;
    if (!directory && old.names) return -E.EISDIR;
    if (old.names?.size) return -E.ENOTEMPTY;
    at.dir.names!.delete(at.name);
    old.nlink -= 1;
    if (directory) at.dir.nlink -= 1;
    return 0;
  }

  link(from: string, to: string): number {
    const source = this.#walk(from);
    if (typeof source === 'number') return source;
    const node = source.dir.names!.get(source.name);
    if (!node) return -E.ENOENT;
    const at = this.#walk(to);
    if (typeof at === 'number') return at;
    if (at.dir.names!.has(at.name)) return -E.EEXIST;
    if (node.names) return -E.EPERM;
    at.dir.names!.set(at.name, node);
    node.nlink += 1;
    return 0;
  }

  rename(from: string, to: string, flags: number): number {
    const a = this.#walk(from);
    if (typeof a === 'number') return a;
    const b = this.#walk(to);
    if (typeof b === 'number') return b;
    const old = a.dir.names!.get(a.name);
    if (!old) return -E.ENOENT;
    const target = b.dir.names!.get(b.name);
    if (flags === RENAME_NOREPLACE && target) return -E.EEXIST;
    if (flags === RENAME_EXCHANGE && !target) return -E.ENOENT;
    if (old.names && this.#below(b.dir, old)) return -E.EINVAL;
    if (target?.names && this.#below(a.dir, target)) {
      return flags === RENAME_EXCHANGE ? -E.EINVAL : -E.ENOTEMPTY;
    }
    if (old === target) return 0;
    if (target && flags !== RENAME_EXCHANGE) {
      if (old.names && !target.names) return -E.ENOTDIR;
      if (!old.names && target.names) return -E.EISDIR;
      if (target.names?.size) return -E.ENOTEMPTY;
      target.nlink -= 1;
      if (target.names) b.dir.nlink -= 1;
    }
    a.dir.names!.delete(a.name);
    if (target && flags === RENAME_EXCHANGE) this.#put(a.dir, a.name, target, b.dir);
    this.#put(b.dir, b.name, old, a.dir);
    return 0;
  }

  #put(dir: Node, name: string, node: Node, from: Node): void {
    dir.names!.set(name, node);
    if (!node.names) return;
    node.parent = dir;
    from.nlink -= 1;
    dir.nlink += 1;
  }

  /** Every path with its number of links. */
  *paths(node = this.root, path = ''): Generator<[string, Node]> {
    for (const [name, child] of node.names!) {
      yield [`${path}/${name}`, child];
      if (child.names) yield* this.paths(child, `${path}/${name}`);
    }
  }
}

const name = fc.constantFrom('a', 'b', 'c', 'd');
const path = fc
  .array(name, { minLength: 1, maxLength: 4 })
  .map((names) => `/top/${names.join('/')}`);
const flags = fc.constantFrom(0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE);
const step = fc.oneof(
  fc.record({ call: fc.constant('mkdir' as const), path }),
  fc.record({ call: fc.constant('mkdir' as const), path }),
  fc.record({ call: fc.constant('creat' as const), path, exclusive: fc.boolean() }),
  fc.record({ call: fc.constant('unlink' as const), path }),
  fc.record({ call: fc.constant('rmdir' as const), path }),
  fc.record({ call: fc.constant('link' as const), path, to: path }),
  fc.record({ call: fc.constant('rename' as const), path, to: path, flags }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function run(fs: Fs, model: Model, s: Step): [number, number] {
  switch (s.call) {
    case 'mkdir':
      return [fs.mkdir(s.path), model.make(s.path, true, true)];
    case 'creat': {
      const fd = fs.open(s.path, O_CREAT | (s.exclusive ? O_EXCL : 0));
      if (fd >= 0) fs.close(fd);
      return [Math.min(fd, 0), model.make(s.path, false, s.exclusive)];
    }
    case 'unlink':
      return [fs.unlink(s.path), model.remove(s.path, false)];
    case 'rmdir':
      return [fs.rmdir(s.path), model.remove(s.path, true)];
    case 'link':
      return [fs.link(s.path, s.to), model.link(s.path, s.to)];
    default:
      return [fs.rename(s.path, s.to, s.flags), model.rename(s.path, s.to, s.flags)];
  }
}

it('names are where the model has them', async () => {
  const fs = await Fs.boot();
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 80 }), (steps) => {
      const { dentries, vfsInodes } = fs.k.counts();
      const model = new Model();
      expect(fs.mkdir('/top')).toBe(model.make('/top', true, true));
      for (const s of steps) {
        const [is, want] = run(fs, model, s);
        expect(is, JSON.stringify(s)).toBe(want);
      }
      expect(fs.check()).toEqual([]);
      const all = [...model.paths()];
      for (const [at, node] of all) {
        const stat = fs.stat(at) as Stat;
        expect([stat.nlink, (stat.mode & 0x4000) !== 0], at).toEqual([node.nlink, !!node.names]);
      }
      const inodes = new Set(all.map(([, node]) => node)).size;
      expect(fs.k.counts()).toMatchObject({
        dentries: dentries + all.length,
        vfsInodes: vfsInodes + inodes,
      });
      for (const [at, node] of all.reverse()) {
        expect(fs.call(node.names ? OP.OP_RMDIR : OP.OP_UNLINK, at)).toBe(0);
      }
      expect(fs.k.counts()).toMatchObject({ dentries, vfsInodes });
    }),
    { numRuns: RUNS },
  );
});
