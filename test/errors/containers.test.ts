// Protects: what the calls around containers take in several steps, or on behalf of others, leaves
// nothing behind when an allocation of it fails: hooks, supervision, grants, keys, texts of /proc.
import { beforeEach, describe, expect, it } from 'vitest';
import * as U from '../../assembly/uapi/container.ts';
import { EACCES, ENOMEM, EPERM } from '../../assembly/uapi/errno.ts';
import * as K from '../../assembly/uapi/keyctl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { DISP_BLOCKED, DISP_UPCALL, type Counts, type Kernel } from '../../host/index.ts';
import { ALL_NS, fine, Machine, machine, SLEEPS, text, USER } from '../unit/container/machine.ts';

/** More allocations than any one call makes. */
const MOST = 64;

let m: Machine;
let k: Kernel;
beforeEach(async () => {
  m = await machine('debug');
  k = m.k;
});

/** Texts one behind the other at USER. */
function texts(...all: string[]): { at: number[]; memory: Uint8Array } {
  const at: number[] = [];
  const bytes: number[] = [];
  for (const one of all) {
    at.push(USER + bytes.length);
    bytes.push(...text(one));
  }
  return { at, memory: Uint8Array.from(bytes) };
}

function addKey(fd: number, desc: string, payload = 'x'): number {
  const { at, memory } = texts('user', desc, payload);
  const args = [at[0]!, at[1]!, at[2]!, payload.length, fd];
  return fine(m.call(1, OP.OP_CONTAINER_ADD_KEY, args, memory));
}

function begin(name: string, flags: number): number {
  k.frame.begin(1, 0, OP.OP_CONTAINER_CREATE).setArg(0, USER).setArg(1, flags);
  k.frame.window(USER, text(name), 'r');
  return k.trap();
}

const visible = (): unknown => [k.tasks(), k.containers(), k.fds(1), k.upcalls()];

/**
 * Fails each allocation of `call` in turn: it gives `error` then, what is visible and counted is
 * what was before, and the same call works after it. `copies`: what a failed call may have made
 * private.
 */
function failEach(call: () => unknown, error: unknown, copies: (keyof Counts)[] = []): void {
  const start = k.snapshot();
  const [before, shown] = [k.counts(), visible()];
  const expected = call();
  const [after, outcome] = [k.counts(), visible()];
  let n = 1;
  for (; n < MOST; ++n) {
    k.restore(start);
    k.freeFrame(k.allocFrame());
    k.allocFail(n);
    const result = call();
    const made = k.allocCount();
    k.allocFail(0);
    if (made < n) {
      expect(result).toEqual(expected);
      break;
    }
    const at = `allocation ${n}`;
    expect(result, at).toEqual(error);
    expect(k.check(), at).toEqual([]);
    const counts = k.counts();
    for (const kind of copies) counts[kind] -= Math.max(0, counts[kind] - before[kind]);
    expect(counts, at).toEqual(before);
    expect(visible(), at).toEqual(shown);
    expect(call(), `the call again after ${at}`).toEqual(expected);
    expect(k.counts(), `counts after ${at} and the call again`).toEqual(after);
    expect(visible(), `state after ${at} and the call again`).toEqual(outcome);
    expect(k.check()).toEqual([]);
  }
  // a call without allocations has no place here
  expect(n).toBeGreaterThan(1);
  expect(n).toBeLessThan(MOST);
}

describe('a container that the host is asked about', () => {
  const FLAGS = ALL_NS | U.CONTAINER_NEW_USER_NS;
  beforeEach(() => k.setHooks({ containerAlloc: true, containerFree: true }));

  it('is not made, when there is no memory to ask with', () => {
    const call = (): unknown => {
      const disposition = begin('asked', FLAGS);
      return disposition === DISP_UPCALL ? SLEEPS : k.frame.result;
    };
    failEach(call, -ENOMEM);
  });

  it('is gone, when there is none after the answer', () => {
    begin('asked', FLAGS);
    k.answer(k.upcalls()[0]!.id, 'continue');
    const start = k.snapshot();
    const empty = k.counts();
    expect(m.resume(1)).toBe(3);
    const done = k.counts();
    let n = 1;
    for (; n < MOST; ++n) {
      k.restore(start);
      k.freeFrame(k.allocFrame());
      k.allocFail(n);
      const result = m.resume(1);
      const made = k.allocCount();
      k.allocFail(0);
      if (made < n) break;
      expect(result).toBe(-ENOMEM);
      expect(k.check()).toEqual([]);
      expect(k.counts().containers).toBe(1);
      expect(k.upcalls()).toEqual([]);
      // asked for once more, it comes to the same
      begin('asked', FLAGS);
      k.answer(k.upcalls()[0]!.id, 'continue');
      expect(m.resume(1)).toBe(3);
      expect(k.counts()).toEqual(done);
    }
    expect(n).toBeGreaterThan(1);
    expect(empty.upcalls).toBe(1);
  });
});

describe('a call that is refused', () => {
  let fd: number;
  let member: number;
  beforeEach(() => {
    fd = m.create(1, 'box');
    member = m.enter(1, fd);
    m.call(member, OP.OP_SETRESUID, [5, 5, 5]);
  });
  const refuse = (): unknown => {
    k.frame.begin(member, 0, OP.OP_SETRESUID).setArg(0, 0).setArg(1, 0).setArg(2, 0);
    const disposition = k.trap();
    if (disposition === DISP_BLOCKED || disposition === DISP_UPCALL) return SLEEPS;
    return k.frame.result;
  };

  it('stays refused, when there is no memory to ask its supervisor with', () => {
    fine(m.call(1, OP.OP_CONTAINER_SUPERVISE, [fd, 0]));
    failEach(refuse, -EPERM);
  });

  it('stays refused, when there is none to ask the host with', () => {
    k.setHooks({ supervise: true });
    failEach(refuse, -EPERM);
  });

  it('fails as any other, when it is granted and there is no memory for it', () => {
    k.setHooks({ supervise: true });
    const create = (): unknown => {
      k.frame.begin(member, 0, OP.OP_CONTAINER_CREATE).setArg(0, USER).setArg(1, ALL_NS);
      k.frame.window(USER, text('in'), 'r');
      return k.trap();
    };
    expect(create()).toBe(DISP_UPCALL);
    k.answer(k.upcalls()[0]!.id, 'grant');
    const start = k.snapshot();
    const result = fine(m.resume(member));
    const done = k.counts();
    let n = 1;
    for (; n < MOST; ++n) {
      k.restore(start);
      k.freeFrame(k.allocFrame());
      k.allocFail(n);
      const failed = m.resume(member);
      const made = k.allocCount();
      k.allocFail(0);
      if (made < n) break;
      expect(failed).toBe(-ENOMEM);
      expect(k.check()).toEqual([]);
      expect([k.counts().containers, k.upcalls()]).toEqual([2, []]);
      // the grant was for that one call
      expect(create()).toBe(DISP_UPCALL);
      k.answer(k.upcalls()[0]!.id, 'grant');
      expect(m.resume(member)).toBe(result);
      expect(k.counts().containers).toBe(done.containers);
    }
    expect(n).toBeGreaterThan(3);
  });
});

describe('keys of a container', () => {
  let fd: number;
  beforeEach(() => (fd = m.create(1, 'box')));

  it('are as before, when an update fails', () => {
    addKey(fd, 'one', 'short');
    const update = (): unknown => {
      const { at, memory } = texts('user', 'one', 'longer than before');
      return m.call(1, OP.OP_CONTAINER_ADD_KEY, [at[0]!, at[1]!, at[2]!, 18, fd], memory);
    };
    failEach(update, -ENOMEM);
  });

  it('are granted to nobody, when a grant fails', () => {
    const key = addKey(fd, 'one');
    const args = [K.KEYCTL_GRANT_PERMISSION, key, K.KEY_ACE_SUBJ_CONTAINER, fd, 1];
    failEach(() => m.call(1, OP.OP_KEYCTL, args), -ENOMEM);
  });

  it('are replaced by no other keyring, when that cannot be made', () => {
    addKey(fd, 'one');
    const args = [K.KEYCTL_SET_CONTAINER_KEYRING, fd, K.KEY_SPEC_PROCESS_KEYRING];
    failEach(() => m.call(1, OP.OP_KEYCTL, args), -ENOMEM);
    expect(m.call(1, OP.OP_KEYCTL, args)).toBe(0);
  });

  it('are found and not linked, when there is no memory for the link', () => {
    const key = addKey(fd, 'one');
    const member = m.enter(1, fd);
    const { at, memory } = texts('user', 'one');
    const request = (): unknown =>
      m.call(member, OP.OP_REQUEST_KEY, [at[0]!, at[1]!, 0, K.KEY_SPEC_PROCESS_KEYRING], memory);
    // members do not possess it, so it is theirs to link only where that was granted
    expect(request()).toBe(-EACCES);
    const grant = [K.KEYCTL_GRANT_PERMISSION, key, K.KEY_ACE_SUBJ_CONTAINER, fd, 0x10];
    expect(m.call(1, OP.OP_KEYCTL, grant)).toBe(0);
    m.call(1, OP.OP_KEYCTL, [K.KEYCTL_JOIN_SESSION_KEYRING, 0]);
    const other = m.enter(1, fd);
    const again = (): unknown =>
      m.call(other, OP.OP_REQUEST_KEY, [at[0]!, at[1]!, 0, K.KEY_SPEC_PROCESS_KEYRING], memory);
    failEach(again, -ENOMEM, ['creds', 'keyrings', 'keys']);
    expect(again()).toBe(key);
  });
});

describe('texts of /proc', () => {
  it.each(['containers', 'self/container', 'self/status', 'self/stat', 'self/comm', '1/status'])(
    '%s is opened whole or not at all',
    (name) => {
      const path = text(`/proc/${name}`);
      failEach(() => m.call(1, OP.OP_OPENAT, [-100, USER, 0], path), -ENOMEM);
    },
  );

  it.each(['containers', 'self/container', 'self/status', 'self/stat'])(
    '%s is read whole or not at all',
    (name) => {
      m.create(1, 'box');
      const fd = fine(m.call(1, OP.OP_OPENAT, [-100, USER, 0], text(`/proc/${name}`)));
      failEach(() => m.call(1, OP.OP_READ, [fd, USER, 512], 512), -ENOMEM);
    },
  );
});
