// Protects: any program of mounts, binds, moves, unmounts, propagation changes, pivot_root and
// unshare leaves the trees that a simple model says, as every process sees them, with the same
// result at every step; and the kernel's memory stays sound.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import * as M from '../../assembly/uapi/mount.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { CLONE_NEWNS } from '../../assembly/uapi/sched.ts';
import { Fs } from '../unit/vfs/driver.ts';
import { DIRECTORIES, type Kind, MountsModel } from './mounts-model.ts';

const RUNS = Number(process.env.BULKHEAD_RUNS ?? 60);
const SEED = process.env.BULKHEAD_SEED;
const PROCESSES = 3;
const TMPFS = new Uint8Array(Buffer.from('tmpfs\0'));
const TYPES: Record<Kind, number> = {
  shared: M.MS_SHARED,
  slave: M.MS_SLAVE,
  private: M.MS_PRIVATE,
  unbindable: M.MS_UNBINDABLE,
};

const name = fc.constantFrom('a', 'b');
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => `/${names.join('/')}`);
const by = fc.integer({ min: 0, max: PROCESSES - 1 });
const kind = fc.constantFrom<Kind>('shared', 'shared', 'shared', 'slave', 'private', 'unbindable');
const recurse = fc.boolean();
const step = fc.oneof(
  fc.record({ call: fc.constant('mount' as const), by, path }),
  fc.record({ call: fc.constant('mount' as const), by, path }),
  fc.record({ call: fc.constant('bind' as const), by, path, to: path, recurse }),
  fc.record({ call: fc.constant('bind' as const), by, path, to: path, recurse }),
  fc.record({ call: fc.constant('change' as const), by, path, kind, recurse }),
  fc.record({ call: fc.constant('changeRoot' as const), by, kind, recurse }),
  fc.record({ call: fc.constant('umount' as const), by, path }),
  fc.record({ call: fc.constant('move' as const), by, path, to: path }),
  fc.record({ call: fc.constant('pivot' as const), by, path, to: path }),
  fc.record({ call: fc.constant('unshare' as const), by }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** The calls of one process, and what the model says of each. */
class Pair {
  readonly fs: Fs[];
  readonly model = new MountsModel(PROCESSES);
  /** a file system was mounted where nobody reaches it: it has not the directories of the others */
  lost = false;

  private constructor(first: Fs) {
    this.fs = [first];
    for (let i = 1; i < PROCESSES; ++i) this.fs.push(first.fork());
    this.#furnish(first, '');
  }

  static async make(): Promise<Pair> {
    return new Pair(await Fs.boot());
  }

  /** Every file system has the same directories. */
  #furnish(fs: Fs, at: string): void {
    for (const dir of DIRECTORIES.slice(1)) expect(fs.mkdir(`${at}${dir}`)).toBe(0);
  }

  run(s: Step): [number, number] {
    const fs = this.fs[s.by]!;
    const p = this.model.processes[s.by]!;
    const mount = (from: string | number, to: string, flags: number): number =>
      fs.call(OP.OP_MOUNT, from, to, 0, flags, 0);
    switch (s.call) {
      case 'mount': {
        const r = fs.call(OP.OP_MOUNT, 0, s.path, TMPFS, 0, 0);
        const told = this.model.mountNew(p, s.path);
        // what propagation put above it hides the new file system: no more can be made in it
        const place = this.model.walk(p, s.path);
        const reached = place?.dir === '' && place.mnt.fs === this.model.nextFs - 1;
        this.lost ||= told === 0 && !reached;
        if (r === 0 && !this.lost) this.#furnish(fs, s.path);
        return [r, told];
      }
      case 'bind': {
        const flags = M.MS_BIND | (s.recurse ? M.MS_REC : 0);
        return [mount(s.path, s.to, flags), this.model.bind(p, s.path, s.to, s.recurse)];
      }
      case 'change':
      case 'changeRoot': {
        const at = s.call === 'change' ? s.path : '/';
        const flags = TYPES[s.kind] | (s.recurse ? M.MS_REC : 0);
        return [mount(0, at, flags), this.model.change(p, at, s.kind, s.recurse)];
      }
      case 'umount':
        return [fs.call(OP.OP_UMOUNT2, s.path, 0), this.model.umount(p, s.path)];
      case 'move':
        return [mount(s.path, s.to, M.MS_MOVE), this.model.move(p, s.path, s.to)];
      case 'pivot': {
        const r = fs.call(OP.OP_PIVOT_ROOT, s.path, s.to);
        return [r, this.model.pivot(p, s.path, s.to)];
      }
      case 'unshare':
        return [fs.call(OP.OP_UNSHARE, CLONE_NEWNS), this.model.unshare(p)];
    }
  }

  /** What each process sees at each path, by the kernel and by the model, numbered alike. */
  *views(): Generator<[string, string, string]> {
    const numbers = [new Map<number, number>(), new Map<number, number>()];
    const number = (i: number, dev: number): number => {
      const known = numbers[i]!;
      if (!known.has(dev)) known.set(dev, known.size);
      return known.get(dev)!;
    };
    const inodes = new Map<string, number>();
    for (const [i, fs] of this.fs.entries()) {
      for (const at of PATHS) {
        const stat = fs.stat(at);
        const place = this.model.walk(this.model.processes[i]!, at);
        const have = typeof stat === 'number' ? 'none' : `${number(0, stat.dev)}`;
        const want = place ? `${number(1, place.mnt.fs)}` : 'none';
        yield [`${i}:${at}`, have, want];
        if (!place || typeof stat === 'number') continue;
        // the same directory is the same inode, and another one another
        const key = `${place.mnt.fs}${place.dir}`;
        if (!inodes.has(key)) inodes.set(key, stat.ino);
        yield [`${i}:${at} inode`, `${stat.ino}`, `${inodes.get(key)}`];
      }
    }
  }
}

const PATHS = ['a', 'b'].flatMap((x) => [
  `/${x}`,
  ...['a', 'b'].flatMap((y) => [`/${x}/${y}`, `/${x}/${y}/a`, `/${x}/${y}/b`]),
]);

it(
  'programs of mounts',
  async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 40 }), async (steps) => {
        const pair = await Pair.make();
        for (const s of steps) {
          const [have, want] = pair.run(s);
          const text = JSON.stringify(s);
          expect(`${text}: ${have}`).toBe(`${text}: ${want}`);
          if (pair.lost) break;
          const views = [...pair.views()];
          expect(views.map(([at, seen]) => `${at} ${seen}`)).toEqual(
            views.map(([at, , told]) => `${at} ${told}`),
          );
          expect(pair.fs[0]!.k.counts().mounts).toBe(pair.model.mounts.size);
        }
        expect(pair.fs[0]!.check()).toEqual([]);
      }),
      { numRuns: RUNS, ...(SEED ? { seed: Number(SEED) } : {}) },
    );
  },
  RUNS * 2000,
);
