// Protects: container_create refuses what it must in the order that it must, each flag does what it
// says and nothing else, and the container's credentials are the creator's, without more.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { createKernel } from '../../../host/index.ts';
import { layout as L } from '../../../host/generated/layout.ts';
import { ALL_NS, type Machine, machine, text, USER } from './machine.ts';

let m: Machine;
const create = (args: (number | bigint)[], memory?: Uint8Array | number | 'unmapped') =>
  m.call(1, OP.OP_CONTAINER_CREATE, args, memory);

beforeEach(async () => {
  m = await machine();
  return () => expect(m.k.check()).toEqual([]);
});

/** Addresses of the namespaces of a task or of a container. */
function namespaces(of: 'task' | 'container', id: number): Record<string, number> {
  const { u32, exports } = m.k;
  const word = (at: number): number => u32[at >>> 2]!;
  let proxy: number;
  let cred: number;
  if (of === 'task') {
    const task = exports.task_ptr(id) >>> 0;
    proxy = word((exports.cold_ptr(task) >>> 0) + L.task_cold.nsproxy);
    cred = word(task + L.task_struct.cred);
  } else {
    const init = word(exports.root_ptr() + L.kernel_root.init_container);
    let at = word(init + L.container.children_next) - L.container.child_next;
    while (word(at + L.container.id) !== id) {
      at = word(at + L.container.child_next) - L.container.child_next;
    }
    proxy = word(at + L.container.ns);
    cred = word(at + L.container.cred);
  }
  const N = L.nsproxy;
  return {
    mnt: word(proxy + N.mnt_ns),
    uts: word(proxy + N.uts_ns),
    ipc: word(proxy + N.ipc_ns),
    pid: word(proxy + N.pid_ns_for_children),
    cgroup: word(proxy + N.cgroup_ns),
    net: word(proxy + N.net_ns),
    user: word(cred + L.cred.user_ns),
  };
}

describe('arguments', () => {
  // spec: container_create EINVAL; CONTAINER__FLAG_MASK
  it('that are wrong are EINVAL, before the name is read', () => {
    const before = m.k.counts();
    for (let bit = 10; bit < 32; ++bit) {
      expect(create([USER, 2 ** bit], 'unmapped')).toBe(-E.EINVAL);
    }
    for (const spare of [1n, 1n << 32n, 1n << 63n]) {
      expect(create([USER, 0, spare, 0, 0], 'unmapped')).toBe(-E.EINVAL);
      expect(create([USER, 0, 0, spare, 0], 'unmapped')).toBe(-E.EINVAL);
      expect(create([USER, 0, 0, 0, spare], 'unmapped')).toBe(-E.EINVAL);
    }
    expect(create([0, 0])).toBe(-E.EINVAL);
    const both = U.CONTAINER_NEW_FS_NS | U.CONTAINER_NEW_EMPTY_FS_NS;
    expect(create([USER, both], 'unmapped')).toBe(-E.EINVAL);
    expect(m.k.counts()).toEqual(before);
  });

  // spec: container_create flags are 32 bits
  it('leave the upper half of the flags alone', () => {
    expect(create([USER, (0xabcdn << 32n) | 1n], text('x'))).toBe(3);
    expect(namespaces('container', 2)['mnt']).not.toBe(namespaces('task', 1)['mnt']);
  });

  // spec: container_create EFAULT; container_create ENAMETOOLONG
  it('name a container with at most 23 bytes', () => {
    expect(create([USER, 0], 'unmapped')).toBe(-E.EFAULT);
    for (const length of [24, 25, 4096]) {
      expect(m.tryCreate(1, 'n'.repeat(length))).toBe(-E.ENAMETOOLONG);
    }
    for (const length of [0, 1, 22, 23]) m.create(1, 'n'.repeat(length));
    // a name that ends at the end of memory is read to its NUL and no further
    const edge = (bytes: Uint8Array): number => {
      const frame = m.k.frame.begin(1, 0, OP.OP_CONTAINER_CREATE).setArg(0, USER).setArg(1, 0);
      frame.window(USER, bytes, 'r').window(USER + bytes.length, 4096, 'unmapped');
      m.k.trap();
      return frame.result;
    };
    expect(edge(text('edge'))).toBe(7);
    expect(edge(new TextEncoder().encode('edge'))).toBe(-E.EFAULT);
    expect(edge(new TextEncoder().encode('e'.repeat(24)))).toBe(-E.ENAMETOOLONG);
  });

  // spec: D-31
  it('name it without slash and control characters', () => {
    for (let byte = 1; byte < 256; ++byte) {
      const bad = byte < 32 || byte === 47 || byte === 127;
      const fd = create([USER, 0], Uint8Array.of(65, byte, 0));
      expect(fd, `byte ${byte}`).toBe(bad ? -E.EINVAL : 3);
      if (!bad) m.close(1, 3);
    }
    // what stands behind the NUL is nobody's
    expect(create([USER, 0], Uint8Array.of(65, 0, 47))).toBe(3);
  });
});

describe('each flag alone', () => {
  const OF_FLAG: [keyof typeof U, string][] = [
    ['CONTAINER_NEW_FS_NS', 'mnt'],
    ['CONTAINER_NEW_EMPTY_FS_NS', 'mnt'],
    ['CONTAINER_NEW_CGROUP_NS', 'cgroup'],
    ['CONTAINER_NEW_UTS_NS', 'uts'],
    ['CONTAINER_NEW_IPC_NS', 'ipc'],
    ['CONTAINER_NEW_USER_NS', 'user'],
    ['CONTAINER_NEW_PID_NS', 'pid'],
    ['CONTAINER_NEW_NET_NS', 'net'],
  ];
  // spec: CONTAINER_NEW_FS_NS; CONTAINER_NEW_CGROUP_NS; CONTAINER_NEW_UTS_NS; CONTAINER_NEW_IPC_NS
  // spec: CONTAINER_NEW_USER_NS; CONTAINER_NEW_PID_NS; CONTAINER_NEW_NET_NS
  // spec: CONTAINER_NEW_EMPTY_FS_NS
  it.each(OF_FLAG)('%s makes that namespace and no other', (flag, kind) => {
    m.create(1, 'one', U[flag]);
    const mine = namespaces('task', 1);
    const theirs = namespaces('container', 2);
    const other = Object.keys(mine).filter((name) => mine[name] !== theirs[name]);
    expect(other).toEqual([kind]);
    expect(theirs[kind] === 0).toBe(flag === 'CONTAINER_NEW_EMPTY_FS_NS');
  });

  // spec: D-6; fork_into_container ENOENT
  it('CONTAINER_NEW_EMPTY_FS_NS never falls open: nobody enters before there is a root', () => {
    const fd = m.create(1, 'empty', U.CONTAINER_NEW_EMPTY_FS_NS);
    expect(m.tryEnter(1, fd)).toBe(-E.ENOENT);
    // nor does what is made from it, a nested container of a member of another kind included
    expect(m.container('empty')?.members).toBe(0);
  });

  // spec: CONTAINER_KILL_ON_CLOSE; CONTAINER_FD_CLOEXEC
  it('KILL_ON_CLOSE and FD_CLOEXEC change state and descriptor', () => {
    const plain = m.create(1, 'plain');
    const kill = m.create(1, 'kill', U.CONTAINER_KILL_ON_CLOSE);
    const cloexec = m.create(1, 'cloexec', U.CONTAINER_FD_CLOEXEC);
    expect(m.k.containers().map((c) => c.flags)).toEqual([1, 0, 4, 0]);
    const fds = m.k.fds(1).filter(({ fd }) => [plain, kill, cloexec].includes(fd));
    expect(fds.map((f) => f.cloexec)).toEqual([false, false, true]);
  });

  // spec: flags 0 need no privilege
  it('none of them shares everything', () => {
    m.create(m.user(1000), 'group');
    expect(namespaces('container', 2)).toEqual(namespaces('task', 1));
  });

  // spec: the example's mask 0x3f9
  it('the mask of the example is every flag but two', () => {
    m.create(1, 'foo-test', 0x3f9);
    const mine = namespaces('task', 1);
    const theirs = namespaces('container', 2);
    expect(Object.keys(mine).filter((name) => mine[name] === theirs[name])).toEqual(['cgroup']);
  });
});

describe('privilege', () => {
  // spec: create with NEW_* needs CAP_SYS_ADMIN; D-5; container_create EPERM
  // spec: create with NEW_USER_NS needs nothing
  it('is needed for every namespace, unless a user namespace comes along', () => {
    const user = m.user(1000);
    const flags = [0x1, 0x2, 0x4, 0x8, 0x10, 0x40, 0x80];
    // its table of descriptors is its own from here on
    m.close(user, 0);
    const before = m.k.counts();
    for (const flag of flags) expect(m.tryCreate(user, 'p', flag)).toBe(-E.EPERM);
    expect(m.k.counts()).toEqual(before);
    for (const flag of flags) m.create(user, 'p', flag | U.CONTAINER_NEW_USER_NS);
  });

  // spec: container_create credentials
  it("gives the container the creator's effective ids, or everything in its own namespace", () => {
    const cred = (id: number): number[] => {
      const { u32 } = m.k;
      const word = (at: number): number => u32[at >>> 2]!;
      const root = m.k.exports.root_ptr();
      let at = word(word(root + L.kernel_root.init_container) + L.container.children_next);
      while (word(at - L.container.child_next + L.container.id) !== id) at = word(at);
      const c = word(at - L.container.child_next + L.container.cred);
      const N = L.cred;
      return [
        ...[N.uid, N.euid, N.suid, N.fsuid, N.gid, N.egid, N.sgid, N.fsgid].map((o) => word(c + o)),
        word(c + N.cap_effective) >>> 0,
      ];
    };
    const p = m.fork(1);
    m.call(p, OP.OP_SETRESGID, [5, 6, 7]);
    m.call(p, OP.OP_SETRESUID, [1000, 1001, 1002]);
    m.create(p, 'same');
    expect(cred(2)).toEqual([1001, 1001, 1001, 1001, 6, 6, 6, 6, 0]);
    m.create(p, 'own', U.CONTAINER_NEW_USER_NS);
    expect(cred(3)).toEqual([1001, 1001, 1001, 1001, 6, 6, 6, 6, 0xffffffff]);
  });
});

describe('limits', () => {
  // spec: container_create EMFILE
  it('of descriptors: the bad name comes first, then EMFILE', async () => {
    m = await machine('debug', { nofile: 3, nofileMax: 3 });
    expect(m.tryCreate(1, 'a/b')).toBe(-E.EINVAL);
    expect(m.tryCreate(1, 'ab')).toBe(-E.EMFILE);
    expect(m.k.counts().containers).toBe(1);
  });

  // spec: container_create ENOSPC; D-22; depth limit
  it('of depth: .init is 0, the last is 32', () => {
    let task = 1;
    for (let depth = 1; depth <= 32; ++depth) {
      const fd = m.create(task, `d${depth}`);
      task = m.enter(task, fd);
    }
    expect(m.tryCreate(task, 'deeper')).toBe(-E.ENOSPC);
    expect(m.k.containers().at(-1)?.depth).toBe(32);
  });

  // spec: number per user
  it('of number per user, whoever holds them, until they are gone', async () => {
    m = await machine('debug', { containersPerUser: 2 });
    const [a, b] = [m.user(1000), m.user(1001)];
    const first = m.create(a, 'a1');
    m.create(a, 'a2');
    expect(m.tryCreate(a, 'a3')).toBe(-E.ENOSPC);
    m.create(b, 'b1');
    m.create(1, 'r1');
    // a process of the same user elsewhere counts to the same user
    expect(m.tryCreate(m.user(1000), 'a3')).toBe(-E.ENOSPC);
    m.close(a, first);
    m.create(a, 'a3');
    expect(m.tryCreate(a, 'a4')).toBe(-E.ENOSPC);
  });

  // spec: D-21
  it('count to the effective user, also of a set-user-id program', async () => {
    m = await machine('debug', { containersPerUser: 1 });
    const p = m.fork(1);
    m.call(p, OP.OP_SETRESUID, [1000, 1001, 1000]);
    m.create(p, 'one');
    expect(m.tryCreate(m.user(1001), 'two')).toBe(-E.ENOSPC);
    m.create(m.user(1000), 'three');
  });

  it('keep records of many users apart', async () => {
    m = await machine('debug', { containersPerUser: 1 });
    const users = Array.from({ length: 100 }, (_, i) => m.user(1000 + i * 7));
    for (const user of users) m.create(user, 'u');
    expect(m.k.counts().users).toBe(100);
    for (const user of users) expect(m.tryCreate(user, 'v')).toBe(-E.ENOSPC);
    for (const user of users) m.close(user, 3);
    expect(m.k.counts().users).toBe(0);
  });

  // spec: container_create EINVAL by a pid namespace of its own
  it('of namespaces: none for children that are another than its own', () => {
    const p = m.fork(1);
    m.call(p, OP.OP_UNSHARE, [C.CLONE_NEWPID]);
    expect(m.tryCreate(p, 'pid', U.CONTAINER_NEW_PID_NS)).toBe(-E.EINVAL);
    m.create(p, 'other', ALL_NS & ~U.CONTAINER_NEW_PID_NS);
  });
});

describe('identity', () => {
  // spec: id; init_container
  it('is a number that counts up from 2 and is never given again', async () => {
    const ids = [];
    for (let i = 0; i < 3; ++i) {
      const fd = m.create(1, 'x');
      ids.push(m.k.containers()[1]?.id);
      m.close(1, fd);
    }
    // a call that fails burns none
    m.tryCreate(1, 'a/b');
    m.create(1, 'x');
    expect([...ids, m.k.containers()[1]?.id]).toEqual([2, 3, 4, 5]);
    const [init] = (await createKernel()).containers();
    expect(init).toMatchObject({ id: 1, name: '.init', flags: 1, depth: 0, parentId: 0 });
  });

  // spec: parent is the caller's container
  it("makes the caller's container the parent, whoever gets the descriptor", () => {
    const task = m.enter(1, m.create(1, 'outer'));
    m.create(task, 'inner');
    expect(m.container('inner')?.parent).toBe('outer');
    expect(m.container('outer')?.usage).toBe(3);
  });
});
