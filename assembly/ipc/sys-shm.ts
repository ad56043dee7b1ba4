// shmget(2), shmat(2), shmdt(2), shmctl(2).
import { cred_ns_capable } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR, RET_RAW } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import * as B from "./ipc.ts";
import { rlimit } from "../process/signal-struct.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import * as M from "./shm.ts";
import { shmid_kernel } from "./shm.ts";
import { task_struct } from "../process/task.ts";
import { access_ok, copy_from_user, copy_to_user } from "../lib/uaccess.ts";
import { user_namespace } from "../namespace/user-namespace.ts";
import { CAP_IPC_LOCK } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { ASSIST_ERRNO, ASSIST_MASK, WINDOW_READ } from "../uapi/frame.ts";
import * as I from "../uapi/ipc.ts";
import { RLIMIT_MEMLOCK } from "../uapi/resource.ts";

const SHMID_DS_BYTES: u32 = 112;
const SHMINFO_BYTES: u32 = 72;
const SHM_INFO_BYTES: u32 = 48;
const PAGE: u64 = 4096;
/** ULONG_MAX - 2^24: of one segment, and in pages of all of them. */
const SHMMAX: u64 = 0xffff_ffff_feff_ffff;

/** shmget(2): key, size, flags. */
export function sys_shmget(p: task_struct, f: frame, key: i32, size: u64, flags: u32): i32 {
  const at = B.ipc_lookup(p, B.IPC_SHM, key, flags);
  if (IS_ERR(at)) return PTR_ERR(at);
  if (!nil(at)) {
    if (changetype<shmid_kernel>(at).segsz < size) return -E.EINVAL;
    const refused = B.ipcperms(p, at, flags);
    return refused ? refused : at.id;
  }
  if (!size || size > SHMMAX) return -E.EINVAL;
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  const shp = M.alloc_segment(p, size);
  if (nil(shp)) return -E.ENOMEM;
  const id = B.ipc_addid(p, f, B.IPC_SHM, shp, key, flags, I.SHMMNI);
  if (id < 0) M.free_segment(shp);
  else M.set_creator(p, shp);
  return id;
}

/** shmat(2): segment, address (0: any), flags. The world says where it lies. */
export function sys_shmat(p: task_struct, f: frame, shmid: i32, addr: u64, flags: u32): i32 {
  if (shmid < 0) return -E.EINVAL;
  let at = addr;
  if (at) {
    if (at & (PAGE - 1)) {
      if (!(flags & I.SHM_RND)) return -E.EINVAL;
      at &= ~(PAGE - 1);
      if (!at && flags & I.SHM_REMAP) return -E.EINVAL;
    }
  } else if (flags & I.SHM_REMAP) {
    return -E.EINVAL;
  }
  let access: u32 = flags & I.SHM_RDONLY ? 0o444 : 0o666;
  if (flags & I.SHM_EXEC) access |= 0o111;
  const found = B.ipc_obtain(p, B.IPC_SHM, shmid);
  if (IS_ERR(found)) return PTR_ERR(found);
  const refused = B.ipcperms(p, found, access);
  if (refused) return refused;
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  if (f.assist & ASSIST_MASK) at = f.assist_mask;
  if (!at) return -E.ENOMEM;
  const shp = changetype<shmid_kernel>(found);
  const end = at + ((shp.segsz + PAGE - 1) & ~(PAGE - 1));
  if (flags & I.SHM_REMAP && !M.shm_unmap(p, at, end)) return -E.ENOMEM;
  const prot: u32 = (flags & I.SHM_RDONLY ? 1 : 3) | (flags & I.SHM_EXEC ? 4 : 0);
  if (!M.shm_open(p, shp, at, prot << 1)) return -E.ENOMEM;
  f.rax = at;
  return RET_RAW;
}

/** shmdt(2): address. */
export function sys_shmdt(p: task_struct, addr: u64): i32 {
  if (addr & (PAGE - 1) || !addr) return -E.EINVAL;
  return M.shm_close(p, p.signal, addr) ? 0 : -E.EINVAL;
}

/** IPC_STAT and its relatives: struct shmid64_ds. */
function shmctl_stat(p: task_struct, f: frame, shp: shmid_kernel, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_begin_stat(p, shp, cmd == I.SHM_STAT_ANY, SHMID_DS_BYTES);
  if (refused) return refused;
  const at = SCRATCH_USER;
  store<u64>(at, shp.segsz, 48);
  store<u64>(at, shp.atime, 56);
  store<u64>(at, shp.dtime, 64);
  store<u64>(at, shp.ctime, 72);
  store<i32>(at, B.ipc_pid_nr(p, shp.cprid), 80);
  store<i32>(at, B.ipc_pid_nr(p, shp.lprid), 84);
  store<u64>(at, shp.nattch, 88);
  return B.ipc_end_stat(f, shp, addr, SHMID_DS_BYTES, cmd);
}

/** IPC_INFO: struct shminfo64. SHM_INFO: struct shm_info. The highest index in use. */
function shmctl_info(p: task_struct, f: frame, addr: u64, cmd: i32): i32 {
  const ids = B.ids_of(B.ipc_ns_of(p), B.IPC_SHM);
  const at = SCRATCH_USER;
  memory.fill(at, 0, SHMINFO_BYTES);
  let len = SHMINFO_BYTES;
  if (cmd == I.IPC_INFO) {
    store<u64>(at, SHMMAX);
    store<u64>(at, 1, 8);
    store<u64>(at, I.SHMMNI, 16);
    store<u64>(at, I.SHMMNI, 24);
    store<u64>(at, SHMMAX, 32);
  } else {
    len = SHM_INFO_BYTES;
    let pages: u64 = 0;
    for (let i = 0; !nil(ids) && i < ids.len; ++i) {
      const one = B.entry_at(ids, i);
      if (!nil(one)) pages += (changetype<shmid_kernel>(one).segsz + PAGE - 1) / PAGE;
    }
    store<i32>(at, nil(ids) ? 0 : ids.in_use);
    store<u64>(at, pages, 8);
  }
  const bad = copy_to_user(f, addr, at, len);
  return bad ? bad : B.ipc_max_index(ids);
}

/** IPC_SET, IPC_RMID. */
function shmctl_down(p: task_struct, f: frame, shp: shmid_kernel, addr: u64, cmd: i32): i32 {
  const refused = B.ipc_owned(p, shp);
  if (refused) return refused;
  if (cmd == I.IPC_RMID) {
    M.shm_rmid(shp);
    return 0;
  }
  const bad = copy_from_user(f, SCRATCH_USER, addr, B.IPC64_PERM_BYTES);
  if (bad) return bad;
  const r = B.ipc_update_perm(p, shp);
  if (!r) shp.ctime = B.ipc_now();
  return r;
}

/** SHM_LOCK, SHM_UNLOCK. */
function shmctl_lock(p: task_struct, shp: shmid_kernel, lock: bool): i32 {
  const user = changetype<user_namespace>(<usize>shp.ns.user_ns);
  if (!cred_ns_capable(p.cred, user, CAP_IPC_LOCK)) {
    const euid = p.cred.euid;
    if (euid != shp.uid && euid != shp.cuid) return -E.EPERM;
    if (lock && !rlimit(p.signal, RLIMIT_MEMLOCK)) return -E.EPERM;
  }
  if (lock) shp.mode |= I.SHM_LOCKED;
  else shp.mode &= ~I.SHM_LOCKED;
  return 0;
}

/** shmctl(2): segment, command, buffer. */
export function sys_shmctl(p: task_struct, f: frame, shmid: i32, cmd: i32, addr: u64): i32 {
  if (cmd < 0 || shmid < 0) return -E.EINVAL;
  if (cmd == I.IPC_INFO || cmd == I.SHM_INFO) return shmctl_info(p, f, addr, cmd);
  if (cmd == I.IPC_SET) {
    const bad = access_ok(f, addr, B.IPC64_PERM_BYTES, WINDOW_READ);
    if (bad) return bad;
  }
  const indexed = cmd == I.SHM_STAT || cmd == I.SHM_STAT_ANY;
  const at = indexed ? B.ipc_obtain_index(p, B.IPC_SHM, shmid) : B.ipc_obtain(p, B.IPC_SHM, shmid);
  if (IS_ERR(at)) return PTR_ERR(at);
  const shp = changetype<shmid_kernel>(at);
  switch (cmd) {
    case I.IPC_STAT:
    case I.SHM_STAT:
    case I.SHM_STAT_ANY:
      return shmctl_stat(p, f, shp, addr, cmd);
    case I.IPC_SET:
    case I.IPC_RMID:
      return shmctl_down(p, f, shp, addr, cmd);
    case I.SHM_LOCK:
    case I.SHM_UNLOCK:
      return shmctl_lock(p, shp, cmd == I.SHM_LOCK);
    default:
      return -E.EINVAL;
  }
}
