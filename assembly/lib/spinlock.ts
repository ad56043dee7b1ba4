// spinlock_t and the lock order. A lock is a u32 field; its class says where it stands in the
// order. The classes, outermost first:
//
//   TASKLIST    parents, children, thread groups, pid tables     fork, exit, wait, kill
//   CONTAINERS  the tree of containers, ids                       container_create, exit_container
//   CONTAINER   one container; parent before child                copy_container, put_container
//   SIGHAND     actions, pending sets of one thread group         send_signal, get_signal
//   FILES       one descriptor table                              file.ts
//   PAGES       the page allocator                                slab.ts
//
// In `release` a lock costs nothing (one CPU); `debug` keeps the set of classes held and stops on
// a wrong order; `smp` spins.
import { BUG, BUG_LOCK_HELD, BUG_LOCK_NOT_HELD, BUG_LOCK_ORDER } from "./bug.ts";
import { root } from "./root.ts";

export const LOCK_TASKLIST = 0;
export const LOCK_CONTAINERS = 1;
export const LOCK_CONTAINER = 2;
export const LOCK_SIGHAND = 3;
export const LOCK_FILES = 4;
export const LOCK_PAGES = 5;

/** Takes the lock at `at`. Every class already held must stand before `lock_class`. */
export function spin_lock(at: usize, lock_class: i32): void {
  if (CONFIG_DEBUG) {
    const held = root().held_locks;
    if (load<u32>(at) != 0) BUG(BUG_LOCK_HELD);
    if (held >> lock_class != 0) BUG(BUG_LOCK_ORDER);
    root().held_locks = held | (1 << lock_class);
    store<u32>(at, 1);
  }
  if (CONFIG_SMP) {
    while (atomic.cmpxchg<u32>(at, 0, 1) != 0) {
      // test before test-and-set: waiters read a shared line instead of fighting for it
      while (atomic.load<u32>(at) != 0) {}
    }
  }
}

/** Releases the lock at `at`. */
export function spin_unlock(at: usize, lock_class: i32): void {
  if (CONFIG_DEBUG) {
    if (load<u32>(at) == 0) BUG(BUG_LOCK_NOT_HELD);
    root().held_locks &= ~(1 << lock_class);
    store<u32>(at, 0);
  }
  if (CONFIG_SMP) atomic.store<u32>(at, 0);
}
