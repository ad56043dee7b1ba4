// Events of the kernel, decoded from its ring (assembly/lib/event.ts).
import * as F from '../assembly/uapi/frame.ts';
import { layout } from './generated/layout.ts';

const E = layout.kernel_event;
const RING_SIZE = 2048;

export type KernelEvent =
  /** `tid` made `pid`; the moment to copy guest memory */
  | { type: 'fork'; seq: number; tid: number; pid: number; flags: number; parent: number }
  /** a new program; `oldTid` is the number that the caller had before it took the leader's */
  | { type: 'exec'; seq: number; tid: number; oldTid: number }
  /** the 32-bit `value` is to be stored in the task's memory */
  | { type: 'store'; seq: number; tid: number; addr: bigint; value: number }
  /** the futexes on the robust list whose head is at `addr` lose their dead owner */
  | { type: 'robust'; seq: number; tid: number; addr: bigint }
  /** a thread ended; `groupDead` when it was its process's last one */
  | { type: 'exit'; seq: number; tid: number; code: number; tgid: number; groupDead: boolean }
  | { type: 'stop'; seq: number; tid: number; signo: number }
  | { type: 'cont'; seq: number; tid: number }
  /** container `id` is dead, and with it everything that is nested in it */
  | { type: 'containerDead'; seq: number; id: number; exitCode: number }
  /** a question to the host: Kernel.upcalls() has it */
  | { type: 'upcall'; seq: number; tid: number; id: number; kind: number }
  /** a container that the containerAlloc hook has seen is gone */
  | { type: 'containerFree'; seq: number; id: number }
  /** timer `id` of `tid` (see Kernel.fireTimer) goes off at `expires` on clock `clock`; 0: never */
  | { type: 'timer'; seq: number; tid: number; id: number; clock: number; expires: bigint }
  | { type: 'reap'; seq: number; tid: number; by: number };

/** Event `index` of the ring at `ring`; undefined for a kind that this host does not know. */
export function readEvent(u32: Uint32Array, ring: number, index: number): KernelEvent | undefined {
  const at = (ring + (index & (RING_SIZE - 1)) * E.size) >>> 2;
  const word = (offset: number): number => u32[at + (offset >>> 2)]! | 0;
  const addr = (): bigint => (BigInt(word(E.addr + 4) >>> 0) << 32n) | BigInt(word(E.addr) >>> 0);
  const seq = word(E.seq) >>> 0;
  const tid = word(E.tid);
  const [a, b, c] = [word(E.a), word(E.b), word(E.c)];
  switch (word(E.type)) {
    case F.EVENT_FORK:
      return { type: 'fork', seq, tid, pid: a, flags: b >>> 0, parent: c };
    case F.EVENT_EXEC:
      return { type: 'exec', seq, tid, oldTid: a };
    case F.EVENT_STORE:
      return { type: 'store', seq, tid, addr: addr(), value: a };
    case F.EVENT_TIMER:
      return { type: 'timer', seq, tid, id: a, clock: b, expires: addr() };
    case F.EVENT_ROBUST:
      return { type: 'robust', seq, tid, addr: addr() };
    case F.EVENT_EXIT:
      return { type: 'exit', seq, tid, code: a, tgid: b, groupDead: c === 1 };
    case F.EVENT_STOP:
      return { type: 'stop', seq, tid, signo: a };
    case F.EVENT_CONT:
      return { type: 'cont', seq, tid };
    case F.EVENT_CONTAINER_DEAD:
      return { type: 'containerDead', seq, exitCode: a, id: (b >>> 0) + c * 0x1_0000_0000 };
    case F.EVENT_UPCALL:
      return { type: 'upcall', seq, tid, id: a >>> 0, kind: b };
    case F.EVENT_CONTAINER_FREE:
      return { type: 'containerFree', seq, id: (b >>> 0) + c * 0x1_0000_0000 };
    case F.EVENT_REAP:
      return { type: 'reap', seq, tid, by: a };
    default:
      return undefined;
  }
}
