// Upcalls: what the kernel asks its host, read from its memory, and the forms of an answer.
import * as V from '../assembly/uapi/supervise.ts';
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';

/** What the host wants to be asked and told; everything is off at boot. */
export interface Hooks {
  /** every new container waits for the host's yes (LSM hook container_alloc) */
  containerAlloc?: boolean;
  /** an event for each of those that is gone (LSM hook container_free) */
  containerFree?: boolean;
  /** every call in a container that is refused with EPERM, where no supervisor watches */
  supervise?: boolean;
}

/** A question: task `tid` sleeps until it is answered. */
export type Upcall =
  | {
      kind: 'containerAlloc';
      id: number;
      tid: number;
      name: string;
      /** CONTAINER_* as container_create was given them */
      flags: number;
      /** in which container */
      parentId: number;
    }
  | {
      kind: 'refused';
      id: number;
      tid: number;
      /** OP_* of the call, and its number in the caller's table */
      op: number;
      nr: number;
      args: bigint[];
      compat: boolean;
      containerId: number;
    };

/**
 * `continue`: the hook has no objection, the refusal stands. `grant`: the refused call is made with
 * all capabilities. An errno (positive) or a value: what the call returns instead.
 */
export type Answer = 'continue' | 'grant' | { errno: number } | { value: number | bigint };

/** Arguments of upcall_answer() behind the id. */
export function answerWords(answer: Answer): [kind: number, errno: number, lo: number, hi: number] {
  if (answer === 'continue') return [V.ANSWER_CONTINUE, 0, 0, 0];
  if (answer === 'grant') return [V.ANSWER_GRANT, 0, 0, 0];
  if ('errno' in answer) return [V.ANSWER_ERROR, answer.errno, 0, 0];
  const value = BigInt.asUintN(64, BigInt(answer.value));
  return [V.ANSWER_VALUE, 0, Number(value & 0xffffffffn), Number(value >> 32n)];
}

export function hookBits(hooks: Hooks): number {
  let bits = 0;
  if (hooks.containerAlloc) bits |= V.HOOK_CONTAINER_ALLOC;
  if (hooks.containerFree) bits |= V.HOOK_CONTAINER_FREE;
  if (hooks.supervise) bits |= V.HOOK_SUPERVISE;
  return bits;
}

const ANSWERED = 2;

/** The questions to the host that have no answer yet, oldest first. */
export function readUpcalls(k: Kernel): Upcall[] {
  const word = (at: number): number => k.u32[at >>> 2]!;
  const wide = (at: number): bigint => (BigInt(word(at + 4)) << 32n) | BigInt(word(at));
  const U = L.upcall;
  const T = L.task_struct;
  const head = k.exports.root_ptr() + L.kernel_root.upcalls_next;
  const found: Upcall[] = [];
  for (let at = word(head); at !== head; at = word(at)) {
    if (word(at + U.state) === ANSWERED) continue;
    const task = word(at + U.task);
    const leader = word(word(task + T.signal) + L.signal_struct.leader);
    const containerId = Number(wide(word(leader + T.container) + L.container.id));
    const [id, tid, flags] = [word(at + U.id), word(task + T.pid), word(at + U.flags)];
    if (word(at + U.kind) === V.UPCALL_CONTAINER_ALLOC) {
      const start = word(at + U.container) + L.container.name0;
      const bytes = k.u8.slice(start, start + 24);
      const name = new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
      found.push({ kind: 'containerAlloc', id, tid, name, flags, parentId: containerId });
    } else {
      const args = [U.a0, U.a1, U.a2, U.a3, U.a4, U.a5].map((field) => wide(at + field));
      const [op, nr] = [word(at + U.op), word(at + U.nr)];
      const compat = (flags & V.SUPERVISOR_COMPAT) !== 0;
      found.push({ kind: 'refused', id, tid, op, nr, args, compat, containerId });
    }
  }
  return found;
}
