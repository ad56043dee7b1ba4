// What the host tells of files and of time: readiness of the world's files, contents that others
// have a hand in, timers that went off, events of inotify.
import { nil } from "../lib/err.ts";
import * as FD from "./file.ts";
import { file } from "./file.ts";
import { find_ge_pid, pid_namespace, pid_nr_ns } from "../process/pid.ts";
import { root } from "../lib/root.ts";
import { rare, task_struct, TASK_INTERRUPTIBLE } from "../process/task.ts";
import { timerfd_fire, timerfds_run } from "./timerfd.ts";
import { POLLIN, POLLRDNORM } from "../uapi/fcntl.ts";
import { EINVAL } from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import { wake_up_poll, wake_up_process } from "../process/waitqueue.ts";
import { rename_port } from "../net/inet.ts";
import { is_inet } from "../net/sock.ts";
import { opaque_sock } from "../net/unix.ts";
import { poll_queue } from "./poll.ts";

/** Contents of what `at` stands for are the world's from now on. */
function make_opaque(at: file): void {
  at.opaque |= FD.FILE_OPAQUE;
  if (at.kind == FD.FILE_PIPE) {
    at.pipe.opaque = 1;
  } else if (at.kind == FD.FILE_SOCKET) {
    opaque_sock(at.sock);
  }
}

/** One fact about an open file; `what`: FILE_EVENT_*. Return: 0 or -EINVAL. */
export function tell_file(at: file, what: i32, value: u32): i32 {
  switch (what) {
    case F.FILE_EVENT_READY: {
      if (at.kind == FD.FILE_WORLD) at.opaque |= FD.FILE_OPAQUE;
      const news = value & ~at.events;
      at.events = value;
      const queue = poll_queue(at);
      if (news && !nil(queue)) wake_up_poll(queue, news);
      return 0;
    }
    case F.FILE_EVENT_OPAQUE:
      make_opaque(at);
      return 0;
    case F.FILE_EVENT_TICKS:
      if (at.kind != FD.FILE_TIMERFD) return -EINVAL;
      timerfd_fire(at.timerfd, value);
      return 0;
    case F.FILE_EVENT_QUEUED:
      if (at.kind != FD.FILE_INOTIFY) return -EINVAL;
      at.inotify.queued = <i32>value;
      if (value) wake_up_poll(at.wait, POLLIN | POLLRDNORM);
      return 0;
    case F.FILE_EVENT_PORT:
      if (at.kind != FD.FILE_SOCKET || !is_inet(at.sock)) return -EINVAL;
      return rename_port(at.sock, value >> 16, value & 0xffff);
    default:
      return -EINVAL;
  }
}

/** The time of a sleeping call is over: it goes on, and finds nothing. 0 or -EINVAL. */
export function expire_sleep(p: task_struct): i32 {
  const f = rare(p).frame;
  if (p.state != TASK_INTERRUPTIBLE || nil(f) || !f.deadline) return -EINVAL;
  f.expired = 1;
  wake_up_process(p);
  return 0;
}

/** The clock has been set: timers and sleeps whose time has come. */
export function run_timers(): void {
  const now = root().clock;
  timerfds_run(now);
  const ns = changetype<pid_namespace>(<usize>root().init_pid_ns);
  let number = find_ge_pid(1, ns);
  while (!nil(number)) {
    const p = number.task;
    if (!nil(p) && p.state == TASK_INTERRUPTIBLE) {
      const f = rare(p).frame;
      if (!nil(f) && f.phase && f.deadline && f.deadline <= now) expire_sleep(p);
    }
    number = find_ge_pid(pid_nr_ns(number, ns) + 1, ns);
  }
}
