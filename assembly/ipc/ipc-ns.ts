// The end of a namespace of System V objects, and of a process that has some (ipc/namespace.c).
import { nil } from "../lib/err.ts";
import { entry_at, ids_of, IPC_MSG, IPC_SEM, ipc_namespace, kern_ipc_perm } from "./ipc.ts";
import { mq_exit_ns } from "./mqueue.ts";
import { freeque, msg_queue } from "./msg.ts";
import { exit_sem, freeary, sem_array } from "./sem.ts";
import { exit_shm, shm_rmid, shmid_kernel } from "./shm.ts";
import { kfree } from "../lib/slab.ts";
import { SIGNAL_SEM_UNDO, SIGNAL_SHM } from "../process/signal-struct.ts";
import { task_struct } from "../process/task.ts";

function free_object(kind: i32, at: kern_ipc_perm): void {
  if (kind == IPC_SEM) freeary(changetype<sem_array>(at));
  else if (kind == IPC_MSG) freeque(changetype<msg_queue>(at));
  else shm_rmid(changetype<shmid_kernel>(at));
}

/** Nobody is in `ns` any more, and nothing of it is attached anywhere. */
export function ipc_exit_ns(ns: ipc_namespace): void {
  mq_exit_ns(ns);
  if (!ns.state) return;
  for (let kind = 0; kind < 3; ++kind) {
    const ids = ids_of(ns, kind);
    for (let i = 0; i < ids.len; ++i) {
      const at = entry_at(ids, i);
      if (!nil(at)) free_object(kind, at);
    }
    if (ids.entries) kfree(ids.entries, (<u32>ids.len) << 2);
  }
  kfree(ns.state, 72);
  ns.state = 0;
}

/** The end of `p`'s process. */
export function exit_ipc(p: task_struct): void {
  if (p.signal.flags & SIGNAL_SHM) exit_shm(p);
  if (p.signal.flags & SIGNAL_SEM_UNDO) exit_sem(p);
}
