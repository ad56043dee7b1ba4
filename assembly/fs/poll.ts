// What is ready at a file, by its kind, and whose queue tells of a change: the one place where
// poll, select and epoll ask.
import { container_dead } from "../container/container.ts";
import { ep_poll } from "./sys-epoll.ts";
import { eventfd_poll } from "./eventfd.ts";
import { NULL } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { mqueue_of, mqueue_poll } from "../ipc/mqueue.ts";
import { list_head } from "../lib/list.ts";
import { pipe_poll } from "./pipe.ts";
import { root } from "../lib/root.ts";
import { signalfd_poll } from "./signalfd.ts";
import { supervisor_poll } from "../container/supervisor.ts";
import { pidfd_poll } from "../process/sys-pidfd.ts";
import { task_struct } from "../process/task.ts";
import * as O from "../uapi/fcntl.ts";
import { sock_poll } from "../net/unix.ts";

const READABLE: u32 = O.POLLIN | O.POLLRDNORM;
const EVERYTHING: u32 = O.POLLIN | O.POLLOUT | O.POLLRDNORM | O.POLLWRNORM;

function container_poll(at: file): u32 {
  // DEVIATION: D-16 - POLLHUP: init is dead; POLLRDHUP, when asked for: all members are gone
  const c = at.container;
  if (!container_dead(c)) return 0;
  const hup = O.POLLHUP | READABLE;
  return c.nr_members ? hup : hup | O.POLLRDHUP;
}

/** What is ready at a file for `p`, POLLERR and POLLHUP included; `depth` counts nested epolls. */
export function file_poll(p: task_struct, at: file, depth: i32): u32 {
  switch (at.kind) {
    case FD.FILE_PIPE:
      return at.pipe.opaque ? at.events : pipe_poll(at.pipe, at.flags);
    case FD.FILE_SOCKET:
      return at.sock.opaque ? at.events : sock_poll(at.sock);
    case FD.FILE_EVENTFD:
      return FD.is_opaque(at) ? at.events : eventfd_poll(at);
    case FD.FILE_TIMERFD:
      return at.timerfd.ticks ? O.POLLIN : 0;
    case FD.FILE_SIGNALFD:
      return signalfd_poll(p, at);
    case FD.FILE_INOTIFY:
      return at.inotify.queued > 0 ? READABLE : 0;
    case FD.FILE_EPOLL:
      return ep_poll(p, at.eventpoll, depth) ? READABLE : 0;
    case FD.FILE_CONTAINER:
      return container_poll(at);
    case FD.FILE_PIDFD:
      return pidfd_poll(at.pid);
    case FD.FILE_MQUEUE:
      return mqueue_poll(mqueue_of(at));
    case FD.FILE_SUPERVISOR:
      return supervisor_poll(at.supervisor);
    case FD.FILE_WORLD:
      return FD.is_opaque(at) ? at.events : EVERYTHING;
    default:
      return EVERYTHING;
  }
}

/** The queue that a change of a file's readiness wakes; null: it never changes by itself. */
export function poll_queue(at: file): list_head {
  switch (at.kind) {
    case FD.FILE_PIPE:
      return (at.flags & O.O_ACCMODE) == O.O_RDONLY ? at.pipe.rd_wait : at.pipe.wr_wait;
    case FD.FILE_SOCKET:
      return at.sock.wait;
    case FD.FILE_SIGNALFD:
      return root().sigwait;
    case FD.FILE_EPOLL:
      return at.eventpoll.wait;
    case FD.FILE_CONTAINER:
      return at.container.waitq;
    case FD.FILE_PIDFD:
      return at.pid.waitq;
    case FD.FILE_MQUEUE:
      return mqueue_of(at).pollers;
    case FD.FILE_SUPERVISOR:
      return at.supervisor.waitq;
    case FD.FILE_EVENTFD:
    case FD.FILE_TIMERFD:
    case FD.FILE_INOTIFY:
    case FD.FILE_WORLD:
      return at.wait;
    default:
      return NULL<list_head>();
  }
}

/** Can a file be watched by epoll? Plain files can't; which of its own are plain the world says. */
export function file_can_poll(at: file): bool {
  const kind = at.kind;
  if (kind == FD.FILE_PROC || kind == FD.FILE_PROC_TEXT) return false;
  return kind != FD.FILE_NULL && kind != FD.FILE_NSFS && kind != FD.FILE_FSCONTEXT;
}
