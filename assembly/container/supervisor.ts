// struct supervisor - who watches over a container: calls in it, and in what is nested in it, that
// would be refused with EPERM are put to it through a descriptor (seed: future development, 4).
import { container, container_dead, get_container, put_container } from "./container.ts";
import { NULL, nil } from "../lib/err.ts";
import { list_at, list_head } from "../lib/list.ts";
import { root } from "../lib/root.ts";
import {
  CACHE_SUPERVISOR,
  kmem_cache_alloc,
  kmem_cache_free,
  kmem_cache_init,
} from "../lib/slab.ts";
import { POLLHUP, POLLIN, POLLRDNORM } from "../uapi/fcntl.ts";
import { ANSWER_CONTINUE } from "../uapi/supervise.ts";
import { answer_upcall, upcall, UPCALL_ANSWERED, UPCALL_PENDING } from "./upcall.ts";

/** struct supervisor - 32 bytes; belongs to its open file. */
@unmanaged
export class supervisor {
  container: container; // [C] holds a reference; the container points back without one
  requests_next: u32; // list_head: questions that are not done with
  requests_prev: u32;
  waitq_next: u32; // list_head: readers and pollers
  waitq_prev: u32;

  get requests(): list_head {
    return list_at(changetype<usize>(this), offsetof<supervisor>("requests_next"));
  }
  get waitq(): list_head {
    return list_at(changetype<usize>(this), offsetof<supervisor>("waitq_next"));
  }
}

export function supervisor_caches_init(): void {
  kmem_cache_init(CACHE_SUPERVISOR, <u32>offsetof<supervisor>());
}

/** A supervisor of `c`, which has none; null when memory is exhausted. */
export function alloc_supervisor(c: container): supervisor {
  const s = changetype<supervisor>(kmem_cache_alloc(CACHE_SUPERVISOR));
  if (nil(s)) return s;
  s.container = get_container(c);
  list_head.init(s.requests);
  list_head.init(s.waitq);
  c.supervisor = s;
  root().nr_supervisors += 1;
  return s;
}

/** Its descriptor is closed: what it has not answered is refused, as if it had not been there. */
export function supervisor_release(s: supervisor): void {
  const head = s.requests;
  for (let at = head.next; at !== head; at = at.next) {
    const u = changetype<upcall>(changetype<usize>(at));
    if (u.state != UPCALL_ANSWERED) answer_upcall(u, ANSWER_CONTINUE, 0, 0, u.cred);
  }
  // the questions go with their tasks; until then they are the host's list's
  while (!list_head.empty(head)) {
    const at = head.next;
    list_head.del(at);
    changetype<upcall>(changetype<usize>(at)).supervisor = NULL<supervisor>();
    list_head.add_tail(at, root().upcalls);
  }
  const c = s.container;
  c.supervisor = NULL<supervisor>();
  root().nr_supervisors -= 1;
  kmem_cache_free(CACHE_SUPERVISOR, changetype<usize>(s));
  put_container(c);
}

/** The oldest question that nobody has read, or null. */
export function next_request(s: supervisor): upcall {
  const head = s.requests;
  for (let at = head.next; at !== head; at = at.next) {
    const u = changetype<upcall>(changetype<usize>(at));
    if (u.state == UPCALL_PENDING) return u;
  }
  return NULL<upcall>();
}

/** What is ready at its descriptor. */
export function supervisor_poll(s: supervisor): u32 {
  const hup: u32 = container_dead(s.container) ? POLLHUP : 0;
  return nil(next_request(s)) ? hup : hup | POLLIN | POLLRDNORM;
}

/** The supervisor that watches over `c`: its own, or the nearest one around it; null: none. */
export function supervisor_of(c: container): supervisor {
  while (!nil(c) && nil(c.supervisor)) c = c.parent;
  return nil(c) ? NULL<supervisor>() : c.supervisor;
}
