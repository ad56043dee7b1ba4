// semget(2), semop(2), semtimedop(2), semctl(2).
import { IS_ERR, NULL, nil, PTR_ERR, RET_SLEEPS } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as B from "./ipc.ts";
import { kern_ipc_perm } from "./ipc.ts";
import { root, SCRATCH_USER } from "../lib/root.ts";
import * as M from "./sem.ts";
import { sem_array, sem_undo } from "./sem.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_PEEK, WINDOW_READ } from "../uapi/frame.ts";
import * as I from "../uapi/ipc.ts";
import { signal_pending } from "../process/waitqueue.ts";
import { remove_waiters, wait_on } from "../process/waitqueue.ts";

const SEMID_DS_BYTES: u32 = 104;
const SEMINFO_BYTES: u32 = 40;
const READS: u32 = 0o444;
const WRITES: u32 = 0o222;

/** semget(2): key, number of semaphores, flags. */
export function sys_semget(p: task_struct, f: frame, key: i32, nsems: i32, flags: u32): i32 {
  if (nsems < 0 || nsems > I.SEMMSL) return -E.EINVAL;
  const at = B.ipc_lookup(p, B.IPC_SEM, key, flags);
  if (IS_ERR(at)) return PTR_ERR(at);
  if (!nil(at)) {
    if (nsems > changetype<sem_array>(at).nsems) return -E.EINVAL;
    const refused = B.ipcperms(p, at, flags);
    return refused ? refused : at.id;
  }
  if (!nsems) return -E.EINVAL;
  const sma = M.alloc_sem_array(nsems);
  if (nil(sma)) return -E.ENOMEM;
  sma.ns = B.ipc_ns_of(p);
  const id = B.ipc_addid(p, f, B.IPC_SEM, sma, key, flags, I.SEMMNI);
  if (id < 0) M.free_sem_array(sma);
  return id;
}

/** A semop that went to sleep: what has become of it. */
function resumed(p: task_struct, f: frame): i32 {
  let r = M.semop_status(f);
  if (r > 0) r = f.expired ? -E.EAGAIN : -E.EINTR;
  remove_waiters(p);
  return r;
}

/** Nanoseconds of the timespec at `addr`; -1: none. Less: -errno - 1, RET_NEED. */
function timeout_of(f: frame, addr: u64, compat: bool): i64 {
  if (!addr) return -1;
  const bad = copy_from_user(f, SCRATCH_USER, addr, compat ? 8 : 16);
  if (bad) return bad - 1;
  const sec = compat ? <i64>load<i32>(SCRATCH_USER) : load<i64>(SCRATCH_USER);
  const nsec = compat ? <i64>load<i32>(SCRATCH_USER, 4) : load<i64>(SCRATCH_USER, 8);
  if (sec < 0 || nsec < 0 || nsec >= 1_000_000_000) return -E.EINVAL - 1;
  return min<i64>(sec, 1_000_000_000) * 1_000_000_000 + nsec;
}

/** Reads and checks the operations. Return: 1 when they change something, 0, -errno, RET_NEED. */
function check_sops(sma: sem_array, n: i32): i32 {
  for (let i = 0; i < n; ++i) {
    const num = <i32>load<u16>(SCRATCH_USER + <usize>(<u32>i * M.SEMBUF_BYTES));
    if (num >= sma.nsems) return -E.EFBIG;
  }
  return M.alters(SCRATCH_USER, n) ? 1 : 0;
}

function wants_undo(n: i32): bool {
  for (let i = 0; i < n; ++i) {
    if (load<u16>(SCRATCH_USER + <usize>(<u32>i * M.SEMBUF_BYTES), 4) & I.SEM_UNDO) return true;
  }
  return false;
}

/** semop(2), semtimedop(2): set, operations, their number, timeout (0: none). */
export function sys_semtimedop(
  p: task_struct,
  f: frame,
  semid: i32,
  sops: u64,
  nsops: u32,
  timeout: u64,
  compat: bool,
): i32 {
  if (f.phase) return resumed(p, f);
  if (nsops < 1 || semid < 0) return -E.EINVAL;
  if (nsops > <u32>I.SEMOPM) return -E.E2BIG;
  const n = <i32>nsops;
  const wait = timeout_of(f, timeout, compat);
  if (wait < -1) return <i32>wait + 1;
  const bad = copy_from_user(f, SCRATCH_USER, sops, nsops * M.SEMBUF_BYTES);
  if (bad) return bad;
  const at = B.ipc_obtain(p, B.IPC_SEM, semid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const sma = changetype<sem_array>(at);
  const alter = check_sops(sma, n);
  if (alter < 0) return alter;
  const refused = B.ipcperms(p, sma, alter ? WRITES : READS);
  if (refused) return refused;
  const look = (f.assist & ASSIST_PEEK) != 0;
  let un = NULL<sem_undo>();
  if (wants_undo(n) && !look) {
    un = M.find_alloc_undo(p.signal, sma);
    if (nil(un)) return -E.ENOMEM;
  }
  const r = M.perform_semop(p, sma, un, SCRATCH_USER, n, look);
  if (!r && !look) {
    sma.otime = B.ipc_now();
    if (alter) M.update_queue(sma);
  }
  if (r <= 0) return r;
  if (look) return RET_SLEEPS;
  if (signal_pending(p)) return -E.EINTR;
  f.cookie = 0;
  f.expired = 0;
  f.deadline = wait < 0 ? 0 : root().clock + <u64>wait;
  f.set_args(<u64>semid, sops, nsops);
  const asleep = wait_on(p, f, sma.waiters);
  f.phase = asleep == -E.ENOMEM ? 0 : 1;
  return asleep;
}

/** The commands about one semaphore. */
function semctl_one(p: task_struct, sma: sem_array, num: i32, cmd: i32): i32 {
  const refused = B.ipcperms(p, sma, READS);
  if (refused) return refused;
  if (num < 0 || num >= sma.nsems) return -E.EINVAL;
  if (cmd == I.GETVAL) return M.semval(sma, num);
  if (cmd == I.GETPID) return B.ipc_pid_nr(p, M.sempid(sma, num));
  return M.count_waiting(sma, num, cmd == I.GETZCNT);
}

function set_value(p: task_struct, sma: sem_array, num: i32, value: i32): void {
  const at = M.sem_at(sma, num);
  store<i32>(at, value);
  B.ipc_update_pid(at + 4, p);
  M.clear_undos(sma, num);
}

function semctl_setval(p: task_struct, sma: sem_array, num: i32, value: i32): i32 {
  if (num < 0 || num >= sma.nsems) return -E.EINVAL;
  const refused = B.ipcperms(p, sma, WRITES);
  if (refused) return refused;
  set_value(p, sma, num, value);
  sma.ctime = B.ipc_now();
  M.update_queue(sma);
  return 0;
}

/** GETALL, SETALL: an array of 16-bit values. */
function semctl_all(p: task_struct, f: frame, sma: sem_array, addr: u64, set: bool): i32 {
  const refused = B.ipcperms(p, sma, set ? WRITES : READS);
  if (refused) return refused;
  const n = sma.nsems;
  // a value at a time: a set may be larger than the scratch buffer
  for (let pass = set ? 0 : 1; pass < 2; ++pass) {
    for (let i = 0; i < n; ++i) {
      const at = addr + ((<u64>i) << 1);
      if (!set) {
        store<u16>(SCRATCH_USER, <u16>M.semval(sma, i));
        const bad = copy_to_user(f, at, SCRATCH_USER, 2);
        if (bad) return bad;
        continue;
      }
      const bad = copy_from_user(f, SCRATCH_USER, at, 2);
      if (bad) return bad;
      const value = <i32>load<u16>(SCRATCH_USER);
      if (value > I.SEMVMX) return -E.ERANGE;
      if (pass) set_value(p, sma, i, value);
    }
  }
  if (set) {
    sma.ctime = B.ipc_now();
    M.update_queue(sma);
  }
  return 0;
}

/** IPC_STAT and its relatives: struct semid64_ds. */
function semctl_stat(p: task_struct, f: frame, sma: sem_array, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_begin_stat(p, sma, cmd == I.SEM_STAT_ANY, SEMID_DS_BYTES);
  if (refused) return refused;
  store<u64>(SCRATCH_USER, sma.otime, 48);
  store<u64>(SCRATCH_USER, sma.ctime, 64);
  store<u64>(SCRATCH_USER, sma.nsems, 80);
  return B.ipc_end_stat(f, sma, addr, SEMID_DS_BYTES, cmd);
}

/** IPC_INFO, SEM_INFO: struct seminfo; the highest index in use. */
function semctl_info(p: task_struct, f: frame, addr: u64, cmd: i32): i32 {
  const ids = B.ids_of(B.ipc_ns_of(p), B.IPC_SEM);
  const at = SCRATCH_USER;
  memory.fill(at, 0, SEMINFO_BYTES);
  let used = 0;
  for (let i = 0; !nil(ids) && i < ids.len; ++i) {
    const one = B.entry_at(ids, i);
    if (!nil(one)) used += changetype<sem_array>(one).nsems;
  }
  const info = cmd == I.SEM_INFO;
  store<i32>(at, I.SEMMNS); // semmap
  store<i32>(at, I.SEMMNI, 4);
  store<i32>(at, I.SEMMNS, 8);
  store<i32>(at, I.SEMMNS, 12); // semmnu
  store<i32>(at, I.SEMMSL, 16);
  store<i32>(at, I.SEMOPM, 20);
  store<i32>(at, I.SEMOPM, 24); // semume
  store<i32>(at, info ? (nil(ids) ? 0 : ids.in_use) : 20, 28); // semusz
  store<i32>(at, I.SEMVMX, 32);
  store<i32>(at, info ? used : I.SEMVMX, 36); // semaem
  const bad = copy_to_user(f, addr, at, SEMINFO_BYTES);
  return bad ? bad : B.ipc_max_index(ids);
}

/** IPC_SET, IPC_RMID. */
function semctl_down(p: task_struct, f: frame, at: kern_ipc_perm, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_owned(p, at);
  if (refused) return refused;
  const sma = changetype<sem_array>(at);
  if (cmd == I.IPC_RMID) {
    M.freeary(sma);
    return 0;
  }
  const bad = copy_from_user(f, SCRATCH_USER, addr, B.IPC64_PERM_BYTES);
  if (bad) return bad;
  const r = B.ipc_update_perm(p, sma);
  if (!r) sma.ctime = B.ipc_now();
  return r;
}

/** semctl(2): set, semaphore, command, argument. */
export function sys_semctl(
  p: task_struct,
  f: frame,
  semid: i32,
  num: i32,
  cmd: i32,
  arg: u64,
): i32 {
  if (semid < 0) return -E.EINVAL;
  if (cmd == I.IPC_INFO || cmd == I.SEM_INFO) return semctl_info(p, f, arg, cmd);
  if (cmd == I.SETVAL && (<i32>arg > I.SEMVMX || <i32>arg < 0)) return -E.ERANGE;
  if (cmd == I.IPC_SET) {
    const bad = access_ok(f, arg, B.IPC64_PERM_BYTES, WINDOW_READ);
    if (bad) return bad;
  }
  const indexed = cmd == I.SEM_STAT || cmd == I.SEM_STAT_ANY;
  const at = indexed ? B.ipc_obtain_index(p, B.IPC_SEM, semid) : B.ipc_obtain(p, B.IPC_SEM, semid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const sma = changetype<sem_array>(at);
  switch (cmd) {
    case I.IPC_STAT:
    case I.SEM_STAT:
    case I.SEM_STAT_ANY:
      return semctl_stat(p, f, sma, arg, cmd);
    case I.GETALL:
    case I.SETALL:
      return semctl_all(p, f, sma, arg, cmd == I.SETALL);
    case I.GETVAL:
    case I.GETPID:
    case I.GETNCNT:
    case I.GETZCNT:
      return semctl_one(p, sma, num, cmd);
    case I.SETVAL:
      return semctl_setval(p, sma, num, <i32>arg);
    case I.IPC_RMID:
    case I.IPC_SET:
      return semctl_down(p, f, at, arg, cmd);
    default:
      return -E.EINVAL;
  }
}
