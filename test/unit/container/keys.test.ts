// Protects: keys and keyrings as Linux has them, and the keyring of a container: its members use
// what is in it, and neither see nor change it unless they were granted to.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../../assembly/uapi/container.ts';
import * as E from '../../../assembly/uapi/errno.ts';
import * as K from '../../../assembly/uapi/keyctl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import * as C from '../../../assembly/uapi/sched.ts';
import { fine, type Machine, machine, text, USER } from './machine.ts';

let m: Machine;
const SESSION = K.KEY_SPEC_SESSION_KEYRING;
const PROCESS = K.KEY_SPEC_PROCESS_KEYRING;
const THREAD = K.KEY_SPEC_THREAD_KEYRING;
const USER_RING = K.KEY_SPEC_USER_KEYRING;
const THREAD_FLAGS = C.CLONE_VM | C.CLONE_FS | C.CLONE_FILES | C.CLONE_SIGHAND | C.CLONE_THREAD;

beforeEach(async () => {
  m = await machine();
  return () => expect(m.k.check()).toEqual([]);
});

/** Texts one behind the other in guest memory: their addresses, and the memory. */
function texts(...all: string[]): { at: number[]; memory: Uint8Array } {
  const parts = all.map(text);
  const at: number[] = [];
  let next = USER;
  for (const part of parts) {
    at.push(next);
    next += part.length;
  }
  const memory = new Uint8Array(next - USER);
  parts.forEach((part, i) => memory.set(part, at[i]! - USER));
  return { at, memory };
}

const add = (tid: number, type: string, desc: string, payload: string, ring: number) => {
  const { at, memory } = texts(type, desc, payload);
  const args = [at[0]!, at[1]!, payload ? at[2]! : 0, payload.length, ring];
  return m.call(tid, OP.OP_ADD_KEY, args, memory);
};
const request = (tid: number, type: string, desc: string, dest = 0) => {
  const { at, memory } = texts(type, desc);
  return m.call(tid, OP.OP_REQUEST_KEY, [at[0]!, at[1]!, 0, dest], memory);
};
const give = (tid: number, type: string, desc: string, payload: string, fd: number) => {
  const { at, memory } = texts(type, desc, payload);
  const args = [at[0]!, at[1]!, payload ? at[2]! : 0, payload.length, fd];
  return m.call(tid, OP.OP_CONTAINER_ADD_KEY, args, memory);
};
const keyctl = (tid: number, ...args: number[]) => m.call(tid, OP.OP_KEYCTL, args);
const ring = (tid: number, id: number, create = 1) =>
  keyctl(tid, K.KEYCTL_GET_KEYRING_ID, id, create);
const search = (tid: number, id: number, type: string, desc: string, dest = 0) => {
  const { at, memory } = texts(type, desc);
  return m.call(tid, OP.OP_KEYCTL, [K.KEYCTL_SEARCH, id, at[0]!, at[1]!, dest], memory);
};
const buffer = (tid: number, op: number, id: number, size = 256) => {
  const r = m.call(tid, OP.OP_KEYCTL, [op, id, USER, size], size);
  return typeof r === 'number' && r >= 0 ? m.out.slice(0, Math.min(r, size)) : r;
};
const read = (tid: number, id: number) => {
  const r = buffer(tid, K.KEYCTL_READ, id);
  return r instanceof Uint8Array ? new TextDecoder().decode(r) : r;
};
const links = (tid: number, id: number) => {
  const r = buffer(tid, K.KEYCTL_READ, id) as Uint8Array;
  return [...new Int32Array(r.buffer, r.byteOffset, r.length / 4)];
};
const describeKey = (tid: number, id: number) => {
  const r = buffer(tid, K.KEYCTL_DESCRIBE, id);
  return r instanceof Uint8Array ? new TextDecoder().decode(r.subarray(0, -1)) : r;
};
const join = (tid: number, name?: string) =>
  name === undefined
    ? keyctl(tid, K.KEYCTL_JOIN_SESSION_KEYRING, 0)
    : m.call(tid, OP.OP_KEYCTL, [K.KEYCTL_JOIN_SESSION_KEYRING, USER], text(name));

describe('add_key', () => {
  // spec: add_key
  it('makes a key, updates it, and replaces a keyring', () => {
    const id = fine(add(1, 'user', 'mine', 'secret', SESSION));
    expect(read(1, id)).toBe('secret');
    expect(describeKey(1, id)).toBe('user;0;0;3f010000;mine');
    expect(add(1, 'user', 'mine', 'other', SESSION)).toBe(id);
    expect(read(1, id)).toBe('other');
    const inner = fine(add(1, 'keyring', 'ring', '', SESSION));
    expect(describeKey(1, inner)).toBe('keyring;0;0;3f010000;ring');
    const again = fine(add(1, 'keyring', 'ring', '', SESSION));
    expect(again).not.toBe(inner);
    expect(links(1, SESSION)).toEqual([id, again]);
    expect(read(1, inner)).toBe(-E.ENOKEY);
    const logon = fine(add(1, 'logon', 'fs:x', 'pw', SESSION));
    expect(read(1, logon)).toBe(-E.EOPNOTSUPP);
    expect(read(1, fine(add(1, 'big_key', 'b', 'x'.repeat(60), SESSION)))).toHaveLength(60);
  });

  it('says what is wrong', () => {
    expect(add(1, 'nosuch', 'd', 'x', SESSION)).toBe(-E.ENODEV);
    expect(add(1, '', 'd', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 't'.repeat(32), 'd', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, '.user', 'd', 'x', SESSION)).toBe(-E.EPERM);
    expect(add(1, 'keyring', '.d', '', SESSION)).toBe(-E.EPERM);
    expect(add(1, 'user', '', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 'user', 'd', '', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 'keyring', 'd', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 'logon', 'nocolon', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 'logon', ':x', 'x', SESSION)).toBe(-E.EINVAL);
    expect(add(1, 'user', 'd', 'x', 0)).toBe(-E.EINVAL);
    expect(add(1, 'user', 'd', 'x', 12345)).toBe(-E.ENOKEY);
    expect(add(1, 'user', 'd', 'x', K.KEY_SPEC_GROUP_KEYRING)).toBe(-E.EINVAL);
    expect(add(1, 'user', 'd', 'x', K.KEY_SPEC_REQKEY_AUTH_KEY)).toBe(-E.ENOKEY);
    expect(m.call(1, OP.OP_ADD_KEY, [USER, 0, 0, 1 << 20, SESSION], text('user'))).toBe(-E.EINVAL);
    expect(m.call(1, OP.OP_ADD_KEY, [USER, USER, USER, 1, SESSION], 'unmapped')).toBe(-E.EFAULT);
    const id = fine(add(1, 'user', 'd', 'x', SESSION));
    expect(add(1, 'user', 'e', 'x', id)).toBe(-E.ENOTDIR);
  });

  // spec: key quotas
  it('counts to the user: 200 keys, 20000 bytes', () => {
    const user = m.user(1000);
    let n = 0;
    while ((add(user, 'user', `k${n}`, 'x', SESSION) as number) > 0) n += 1;
    expect(add(user, 'user', 'one more', 'x', SESSION)).toBe(-E.EDQUOT);
    // session, user and user session keyring count too
    expect(n).toBe(200 - 3);
    expect(keyctl(user, K.KEYCTL_CLEAR, SESSION)).toBe(0);
    const big = 'x'.repeat(9000);
    fine(add(user, 'user', 'a', big, SESSION));
    fine(add(user, 'user', 'b', big, SESSION));
    expect(add(user, 'user', 'c', big, SESSION)).toBe(-E.EDQUOT);
    expect(add(user, 'user', 'a', big + big, SESSION)).toBe(-E.EDQUOT);
    // another user has a quota of its own
    fine(add(m.user(1001), 'user', 'c', big, SESSION));
  });
});

describe('keyctl', () => {
  it('links, unlinks, moves, clears', () => {
    const a = fine(add(1, 'keyring', 'a', '', SESSION));
    const b = fine(add(1, 'keyring', 'b', '', SESSION));
    const key = fine(add(1, 'user', 'k', 'x', a));
    expect(keyctl(1, K.KEYCTL_LINK, key, b)).toBe(0);
    expect([links(1, a), links(1, b)]).toEqual([[key], [key]]);
    expect(keyctl(1, K.KEYCTL_UNLINK, key, a)).toBe(0);
    expect(keyctl(1, K.KEYCTL_UNLINK, key, a)).toBe(-E.ENOENT);
    expect(keyctl(1, K.KEYCTL_MOVE, key, b, a, 0)).toBe(0);
    expect([links(1, a), links(1, b)]).toEqual([[key], []]);
    const twin = fine(add(1, 'user', 'k', 'y', b));
    expect(keyctl(1, K.KEYCTL_MOVE, key, a, b, K.KEYCTL_MOVE_EXCL)).toBe(-E.EEXIST);
    expect(keyctl(1, K.KEYCTL_MOVE, key, a, b, 2)).toBe(-E.EINVAL);
    expect(keyctl(1, K.KEYCTL_MOVE, key, a, b, 0)).toBe(0);
    expect(links(1, b)).toEqual([key]);
    expect(read(1, twin)).toBe(-E.ENOKEY);
    expect(keyctl(1, K.KEYCTL_CLEAR, b)).toBe(0);
    expect(keyctl(1, K.KEYCTL_CLEAR, fine(add(1, 'user', 'k', 'x', a)))).toBe(-E.ENOTDIR);
  });

  it('lets no keyring hold itself, and none nest too deep', () => {
    const rings = [fine(add(1, 'keyring', 'r0', '', SESSION))];
    for (let i = 1; i < 8; ++i) rings.push(fine(add(1, 'keyring', `r${i}`, '', SESSION)));
    expect(keyctl(1, K.KEYCTL_LINK, rings[0]!, rings[0]!)).toBe(-E.EDEADLK);
    for (let i = 1; i < 6; ++i) expect(keyctl(1, K.KEYCTL_LINK, rings[i]!, rings[i - 1]!)).toBe(0);
    expect(keyctl(1, K.KEYCTL_LINK, rings[0]!, rings[2]!)).toBe(-E.EDEADLK);
    expect(keyctl(1, K.KEYCTL_LINK, rings[6]!, rings[5]!)).toBe(0);
    expect(keyctl(1, K.KEYCTL_LINK, rings[0]!, rings[7]!)).toBe(-E.ELOOP);
  });

  it('searches nested keyrings, for what may be found', () => {
    const a = fine(add(1, 'keyring', 'a', '', SESSION));
    const b = fine(add(1, 'keyring', 'b', '', a));
    const key = fine(add(1, 'user', 'deep', 'x', b));
    expect(search(1, SESSION, 'user', 'deep')).toBe(key);
    expect(search(1, SESSION, 'user', 'nothing')).toBe(-E.ENOKEY);
    expect(search(1, SESSION, 'logon', 'deep')).toBe(-E.ENOKEY);
    expect(search(1, key, 'user', 'deep')).toBe(-E.ENOTDIR);
    expect(search(1, SESSION, 'user', 'deep', THREAD)).toBe(key);
    expect(links(1, THREAD)).toEqual([key]);
    expect(keyctl(1, K.KEYCTL_SETPERM, key, 0x37010000)).toBe(0);
    expect(search(1, SESSION, 'user', 'deep')).toBe(-E.EACCES);
  });

  it('revokes, invalidates and expires', () => {
    m.k.clockSet(1_000_000_000n);
    const [a, b, c] = ['a', 'b', 'c'].map((d) => fine(add(1, 'user', d, 'x', SESSION)));
    expect(keyctl(1, K.KEYCTL_REVOKE, a!)).toBe(0);
    expect([read(1, a!), request(1, 'user', 'a')]).toEqual([-E.EKEYREVOKED, -E.EKEYREVOKED]);
    // the name is free again
    expect(fine(add(1, 'user', 'a', 'new', SESSION))).not.toBe(a);
    expect(keyctl(1, K.KEYCTL_INVALIDATE, b!)).toBe(0);
    expect([read(1, b!), request(1, 'user', 'b')]).toEqual([-E.ENOKEY, -E.ENOKEY]);
    expect(keyctl(1, K.KEYCTL_SET_TIMEOUT, c!, 10)).toBe(0);
    m.k.clockSet(10_999_999_999n);
    expect(read(1, c!)).toBe('x');
    m.k.clockSet(11_000_000_000n);
    expect([read(1, c!), request(1, 'user', 'c')]).toEqual([-E.EKEYEXPIRED, -E.EKEYEXPIRED]);
    expect(add(1, 'user', 'c', 'y', SESSION)).toBe(c);
    expect(read(1, c!)).toBe('y');
  });

  it('updates, restricts, changes owner and permissions', () => {
    const key = fine(add(1, 'user', 'k', 'x', SESSION));
    expect(m.call(1, OP.OP_KEYCTL, [K.KEYCTL_UPDATE, key, USER, 3], text('new'))).toBe(0);
    expect(read(1, key)).toBe('new');
    expect(m.call(1, OP.OP_KEYCTL, [K.KEYCTL_UPDATE, key, USER, 5000], 'unmapped')).toBe(-E.EINVAL);
    expect(m.call(1, OP.OP_KEYCTL, [K.KEYCTL_UPDATE, key, USER, 5], 'unmapped')).toBe(-E.EFAULT);
    expect(keyctl(1, K.KEYCTL_CHOWN, key, 1000, 1000)).toBe(0);
    expect(describeKey(1, key)).toBe('user;1000;1000;3f010000;k');
    expect(keyctl(1, K.KEYCTL_SETPERM, key, 1 << 30)).toBe(-E.EINVAL);
    const box = fine(add(1, 'keyring', 'box', '', SESSION));
    expect(keyctl(1, K.KEYCTL_RESTRICT_KEYRING, box, 0, 0)).toBe(0);
    expect(keyctl(1, K.KEYCTL_RESTRICT_KEYRING, box, 0, 0)).toBe(-E.EEXIST);
    expect(keyctl(1, K.KEYCTL_LINK, key, box)).toBe(-E.EPERM);
    expect(keyctl(1, K.KEYCTL_RESTRICT_KEYRING, key, 0, 0)).toBe(-E.ENOTDIR);
    expect(keyctl(1, 9999)).toBe(-E.EOPNOTSUPP);
    expect(buffer(1, K.KEYCTL_GET_SECURITY, key)).toEqual(Uint8Array.of(0));
    expect(m.call(1, OP.OP_KEYCTL, [K.KEYCTL_CAPABILITIES, USER, 4], 4)).toBe(2);
    expect([...m.out]).toEqual([0xf1, 1, 0, 0]);
    expect(keyctl(1, K.KEYCTL_SET_REQKEY_KEYRING, 3)).toBe(0);
    expect(keyctl(1, K.KEYCTL_SET_REQKEY_KEYRING, -1)).toBe(3);
    expect(keyctl(1, K.KEYCTL_SET_REQKEY_KEYRING, 6)).toBe(-E.EINVAL);
  });

  it('keeps others out: possession, user, group, others', () => {
    const user = m.user(1000);
    const key = fine(add(1, 'user', 'k', 'x', SESSION));
    expect([describeKey(user, key), read(user, key)]).toEqual([-E.EACCES, -E.EACCES]);
    expect(keyctl(1, K.KEYCTL_SETPERM, key, 0x3f010003)).toBe(0);
    expect([describeKey(user, key), read(user, key)]).toEqual(['user;0;0;3f010003;k', 'x']);
    expect(keyctl(user, K.KEYCTL_SETPERM, key, 0x3f3f3f3f)).toBe(-E.EACCES);
    // of the same user, not possessed: a look is allowed
    const other = m.fork(1);
    expect(join(other)).toBeGreaterThan(0);
    expect(keyctl(1, K.KEYCTL_SETPERM, key, 0x3f010000)).toBe(0);
    expect([describeKey(other, key), read(other, key)]).toEqual(['user;0;0;3f010000;k', -E.EACCES]);
  });
});

describe('whose keyrings', () => {
  // spec: session, process and thread keyrings
  it('session: inherited by fork and kept by exec; process and thread: neither', () => {
    const rings = [SESSION, PROCESS, THREAD].map((id) => fine(ring(1, id)));
    expect(new Set(rings).size).toBe(3);
    const child = m.fork(1);
    expect(ring(child, SESSION, 0)).toBe(rings[0]);
    expect([ring(child, PROCESS, 0), ring(child, THREAD, 0)]).toEqual([-E.ENOKEY, -E.ENOKEY]);
    fine(ring(child, PROCESS));
    m.call(child, OP.OP_EXECVE, [USER, 0, 0], text('/bin/x'));
    expect(ring(child, SESSION, 0)).toBe(rings[0]);
    expect([ring(child, PROCESS, 0), ring(child, THREAD, 0)]).toEqual([-E.ENOKEY, -E.ENOKEY]);
    // what the parent has stays
    expect([PROCESS, THREAD].map((id) => ring(1, id, 0))).toEqual(rings.slice(1));
  });

  it('threads share the process keyring, each has a thread keyring of its own', () => {
    const p = m.fork(1);
    const process = fine(ring(p, PROCESS));
    const own = fine(ring(p, THREAD));
    const t = fine(m.clone(p, THREAD_FLAGS));
    expect(ring(t, PROCESS, 0)).toBe(process);
    expect(ring(t, THREAD, 0)).not.toBe(own);
    expect(ring(t, THREAD, 0)).toBeGreaterThan(0);
  });

  it('a task without a session keyring has the one of its user', () => {
    const user = m.user(1000);
    const ses = fine(ring(user, K.KEY_SPEC_USER_SESSION_KEYRING));
    expect(ring(user, SESSION, 0)).toBe(ses);
    expect(describeKey(user, ses)).toBe('keyring;1000;1000;1f3f0000;_uid_ses.1000');
    expect(describeKey(user, USER_RING)).toBe('keyring;1000;1000;1f3f0000;_uid.1000');
    // to write it takes one of its own
    const key = fine(add(user, 'user', 'k', 'x', SESSION));
    expect(ring(user, SESSION, 0)).not.toBe(ses);
    expect(links(user, SESSION)).toEqual([key]);
    expect(ring(m.user(1000), K.KEY_SPEC_USER_SESSION_KEYRING)).toBe(ses);
    expect(ring(m.user(1001), K.KEY_SPEC_USER_SESSION_KEYRING)).not.toBe(ses);
  });

  it('a session is joined by name, or begun anew', () => {
    const named = fine(join(1, 'work'));
    const child = m.fork(1);
    expect(join(child)).not.toBe(named);
    expect(keyctl(1, K.KEYCTL_SETPERM, named, 0x3f0f0000)).toBe(0);
    expect(join(child, 'work')).toBe(named);
    expect(join(child, '.work')).toBe(-E.EPERM);
    // another user may not, and gets one of its own of that name
    expect(join(m.user(1000), 'work')).not.toBe(named);
  });

  it('they go with the last who has them', () => {
    const before = m.k.counts().keys;
    const p = m.fork(1);
    fine(join(p));
    fine(add(p, 'user', 'k', 'x', SESSION));
    fine(add(p, 'user', 'k', 'x', PROCESS));
    m.exit(p);
    m.wait(1, p);
    expect(m.k.counts().keys).toBe(before);
  });

  it('a chain of keyrings is released link by link', () => {
    let last = fine(add(1, 'keyring', 'r', '', SESSION));
    for (let i = 0; i < 300; ++i) {
      const next = fine(add(1, 'keyring', `n${i}`, '', PROCESS));
      fine(add(1, 'user', 'k', 'x', next));
      expect(keyctl(1, K.KEYCTL_MOVE, last, i ? next : SESSION, next, 0)).toBeLessThanOrEqual(0);
      last = next;
    }
    fine(join(1));
    expect(keyctl(1, K.KEYCTL_CLEAR, PROCESS)).toBe(0);
    expect(m.k.check()).toEqual([]);
  });
});

describe("a container's keyring", () => {
  let fd: number;
  let member: number;

  beforeEach(() => {
    fd = m.create(1, 'box');
    member = m.enter(1, fd);
  });

  // spec: container cred drops keyrings
  it('its members begin with no session keyring of the creator', () => {
    const mine = fine(join(1));
    const next = m.create(1, 'next');
    expect(ring(m.enter(1, next), SESSION, 0)).not.toBe(mine);
  });

  // spec: per-container keyring; container_add_key
  it('gives members what they ask for by name, and nothing more', () => {
    const key = fine(give(1, 'user', 'fs', 'secret', fd));
    expect(request(member, 'user', 'fs')).toBe(key);
    expect([read(member, key), describeKey(member, key)]).toEqual([-E.EACCES, -E.EACCES]);
    expect(request(member, 'user', 'fs', SESSION)).toBe(-E.EACCES);
    expect(keyctl(member, K.KEYCTL_REVOKE, key)).toBe(-E.EACCES);
    expect(keyctl(member, K.KEYCTL_SETPERM, key, 0x3f3f3f3f)).toBe(-E.EACCES);
    // neither outside nor in another container
    expect(request(1, 'user', 'fs')).toBe(-E.ENOKEY);
    const inner = m.enter(member, m.create(member, 'inner'));
    expect(request(inner, 'user', 'fs')).toBe(-E.ENOKEY);
    // what a member has itself comes first
    const own = fine(add(member, 'user', 'fs', 'own', SESSION));
    expect(request(member, 'user', 'fs')).toBe(own);
  });

  it('is refreshed while the container runs', () => {
    const key = fine(give(1, 'user', 'fs', 'old', fd));
    expect(give(1, 'user', 'fs', 'new', fd)).toBe(key);
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, key, 1, fd, K.KEY_NEED_READ)).toBe(0);
    expect(read(member, key)).toBe('new');
  });

  // spec: keyctl GRANT_PERMISSION
  it('a grant lets the members of one container do one thing', () => {
    const key = fine(give(1, 'user', 'fs', 'secret', fd));
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, key, 1, fd, K.KEY_NEED_VIEW)).toBe(0);
    expect(describeKey(member, key)).toBe('user;0;0;3f000000;fs');
    expect(read(member, key)).toBe(-E.EACCES);
    expect(describeKey(1, key)).toBe(-E.EACCES);
    // a new grant takes the place of the old one
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, key, 1, fd, 0)).toBe(0);
    expect(describeKey(member, key)).toBe(-E.EACCES);
    // of a key of one's own, to a container or to a class
    const own = fine(add(1, 'user', 'own', 'x', SESSION));
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, own, 1, fd, K.KEY_NEED_READ)).toBe(0);
    expect(read(member, own)).toBe('x');
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, own, 0, K.KEY_ACE_EVERYONE, 1)).toBe(0);
    expect(describeKey(1, own)).toBe('user;0;0;3f010001;own');
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, own, 0, 4, 1)).toBe(-E.EINVAL);
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, own, 1, fd, 0x40)).toBe(-E.EINVAL);
    expect(keyctl(1, K.KEYCTL_GRANT_PERMISSION, own, 1, 99, 1)).toBe(-E.EBADF);
    const stranger = m.user(7);
    fine(join(stranger));
    expect(keyctl(stranger, K.KEYCTL_GRANT_PERMISSION, own, 1, fd, 1)).toBe(-E.EACCES);
  });

  // spec: keyctl SET_CONTAINER_KEYRING
  it('may be a keyring of one’s own, to keep a hand on it', () => {
    const mine = fine(add(1, 'keyring', 'for box', '', SESSION));
    const key = fine(add(1, 'user', 'fs', 'a', mine));
    expect(keyctl(1, K.KEYCTL_SET_CONTAINER_KEYRING, fd, mine)).toBe(0);
    expect(request(member, 'user', 'fs')).toBe(key);
    expect(keyctl(1, K.KEYCTL_UNLINK, key, mine)).toBe(0);
    expect(request(member, 'user', 'fs')).toBe(-E.ENOKEY);
    expect(keyctl(1, K.KEYCTL_SET_CONTAINER_KEYRING, 99, mine)).toBe(-E.EBADF);
    expect(keyctl(m.user(7), K.KEYCTL_SET_CONTAINER_KEYRING, fd, SESSION)).toBe(-E.EPERM);
  });

  // spec: container_add_key EBADF; container_add_key EINVAL; container_add_key EPERM
  // spec: container_add_key ENODEV; container_add_key EFAULT; container_add_key EDQUOT
  it('is for the creator and for root inside', () => {
    expect(give(1, 'user', 'd', 'x', 99)).toBe(-E.EBADF);
    expect(give(1, 'user', 'd', 'x', 0)).toBe(-E.EINVAL);
    const user = m.user(1000);
    expect(give(user, 'user', 'd', 'x', fd)).toBe(-E.EPERM);
    expect(give(1, '.user', 'd', 'x', fd)).toBe(-E.EINVAL);
    expect(give(1, 'user', '', 'x', fd)).toBe(-E.EINVAL);
    expect(give(1, 'user', 'd', '', fd)).toBe(-E.EINVAL);
    expect(give(1, 'nosuch', 'd', 'x', fd)).toBe(-E.ENODEV);
    expect(m.call(1, OP.OP_CONTAINER_ADD_KEY, [USER, USER, USER, 1, fd], 'unmapped')).toBe(
      -E.EFAULT,
    );
    // root inside; a member without that is nobody
    expect(give(member, 'user', 'd', 'x', fd)).toBeGreaterThan(0);
    m.call(member, OP.OP_SETRESUID, [5, 5, 5]);
    expect(give(member, 'user', 'e', 'x', fd)).toBe(-E.EPERM);
    const own = m.create(user, 'own', U.CONTAINER_NEW_USER_NS);
    const big = 'x'.repeat(15000);
    fine(give(user, 'user', 'a', big, own));
    expect(give(user, 'user', 'b', big, own)).toBe(-E.EDQUOT);
  });

  // spec: container keys live as long as the container
  it('goes with the container', () => {
    fine(give(1, 'user', 'fs', 'x', fd));
    fine(give(1, 'keyring', 'ring', '', fd));
    const before = m.k.counts().keys;
    m.exit(member);
    m.wait(1, member);
    m.close(1, fd);
    expect(m.k.counts().keys).toBe(before - 3);
  });
});
