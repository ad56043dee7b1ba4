// Control messages of unix sockets (net/core/scm.c): open files and credentials on their way in
// and out. The header and what the control part says lie in the scratch area of one call.
import { cred_ns_capable } from "../cred/cred.ts";
import { nil } from "../lib/err.ts";
import * as FD from "../fs/file.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { find_pid_ns, pid, pid_nr_ns, task_active_pid_ns } from "../process/pid.ts";
import { root, SCRATCH_NAME, SCRATCH_SCM, SCRATCH_USER, SCRATCH_USER_BYTES } from "../lib/root.ts";
import { rlimit } from "../process/signal-struct.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { import_iovec } from "../lib/uio.ts";
import { CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { RLIMIT_NOFILE } from "../uapi/resource.ts";
import * as K from "../uapi/socket.ts";
import { sk_buff, skb_attach, skb_file, sock } from "./sock.ts";
import {
  from_kgid_munged,
  from_kuid_munged,
  init_user_ns,
  make_kgid,
  make_kuid,
  user_namespace,
} from "../namespace/user-namespace.ts";

/** A message under way, in or out. */
@unmanaged
export class scm_cookie {
  name: u64; // guest addresses, from struct msghdr
  iov: u64;
  iovlen: u64;
  control: u64;
  controllen: u64; // what is left of it
  namelen: i32;
  flags: u32; // MSG_* that the caller finds afterwards
  total: u32; // bytes of its buffers
  has_cred: u32; // out: SCM_CREDENTIALS was given; in: the first piece says who wrote
  pid: pid; // no reference of its own
  uid: i32; // kuid
  gid: i32;
  carrier: sk_buff; // in: the message whose files come along; null: none
  nr_fds: u32; // out: files to send
  compat: u32;
  from_len: u32; // in: bytes of the sender's name at SCRATCH_NAME
}
const FDS: usize = SCRATCH_SCM + 256; // u32[SCM_MAX_FD]: files to send, without references
if (offsetof<scm_cookie>() > 256) ERROR("scm_cookie outgrew its place");

// cmsg_len, cmsg_level, cmsg_type; alignment
const CMSG_HEAD: u32 = 16;
const CMSG_HEAD_COMPAT: u32 = 12;
const CMSG_BYTES_MAX: u64 = 131072;
const UCRED_BYTES: u32 = 12;

export function scm(): scm_cookie {
  return changetype<scm_cookie>(SCRATCH_SCM);
}

export function scm_init(): scm_cookie {
  memory.fill(SCRATCH_SCM, 0, offsetof<scm_cookie>());
  return scm();
}

/** struct msghdr at `addr`, and its buffers. Return: 0, errno, RET_NEED. */
export function import_msghdr(f: frame, addr: u64, compat: bool): i32 {
  const m = scm_init();
  const at = SCRATCH_USER;
  const bad = copy_from_user(f, at, addr, compat ? 28 : 56);
  if (bad) return bad;
  m.compat = compat ? 1 : 0;
  if (compat) {
    m.name = load<u32>(at);
    m.namelen = load<i32>(at, 4);
    m.iov = load<u32>(at, 8);
    m.iovlen = load<u32>(at, 12);
    m.control = load<u32>(at, 16);
    m.controllen = load<u32>(at, 20);
  } else {
    m.name = load<u64>(at);
    m.namelen = load<i32>(at, 8);
    m.iov = load<u64>(at, 16);
    m.iovlen = load<u64>(at, 24);
    m.control = load<u64>(at, 32);
    m.controllen = load<u64>(at, 40);
  }
  if (!m.name) m.namelen = 0;
  if (m.namelen < 0) return -E.EINVAL;
  if (m.iovlen > <u64>K.UIO_MAXIOV) return -E.EMSGSIZE;
  const total = import_iovec(f, m.iov, m.iovlen, compat);
  if (total < 0) return total;
  m.total = <u32>total;
  return 0;
}

function align(n: u32, compat: bool): u32 {
  return compat ? (n + 3) & ~3 : (n + 7) & ~7;
}

/** Files that a control message names: they have to be open. */
function scm_fp_copy(p: task_struct, at: usize, n: u32): i32 {
  const m = scm();
  if (!n) return 0;
  if (n > <u32>K.SCM_MAX_FD || m.nr_fds + n > <u32>K.SCM_MAX_FD) return -E.EINVAL;
  for (let i: u32 = 0; i < n; ++i) {
    const f = FD.fget(p, load<i32>(at + (i << 2)));
    if (nil(f)) return -E.EBADF;
    store<u32>(FDS + (m.nr_fds << 2), <u32>changetype<usize>(f));
    m.nr_fds += 1;
  }
  return 0;
}

/** Ids that a process may say it has: its own, or any with the capability for it. */
function scm_check_creds(p: task_struct, at: usize): i32 {
  const c = p.cred;
  const ns = task_active_pid_ns(p);
  const nr = load<i32>(at);
  const uid = load<i32>(at, 4);
  const gid = load<i32>(at, 8);
  const kuid = make_kuid(c.user_ns, uid);
  const kgid = make_kgid(c.user_ns, gid);
  if (kuid == -1 || kgid == -1) return -E.EINVAL;
  const own_pid = nr == pid_nr_ns(p.signal.tgid_pid, ns);
  const user_ns = c.user_ns;
  const pid_owner = changetype<user_namespace>(<usize>ns.user_ns);
  if (!own_pid && !cred_ns_capable(c, pid_owner, CAP_SYS_ADMIN)) return -E.EPERM;
  const own_uid = kuid == c.uid || kuid == c.euid || kuid == c.suid;
  if (!own_uid && !cred_ns_capable(c, user_ns, CAP_SETUID)) return -E.EPERM;
  const own_gid = kgid == c.gid || kgid == c.egid || kgid == c.sgid;
  if (!own_gid && !cred_ns_capable(c, user_ns, CAP_SETGID)) return -E.EPERM;
  const who = own_pid ? p.signal.tgid_pid : find_pid_ns(nr, ns);
  if (nil(who)) return -E.ESRCH;
  const m = scm();
  m.has_cred = 1;
  m.pid = who;
  m.uid = kuid;
  m.gid = kgid;
  return 0;
}

/** One control message of level SOL_SOCKET. */
function scm_one(p: task_struct, type: i32, at: usize, bytes: u32): i32 {
  if (type == K.SCM_RIGHTS) return scm_fp_copy(p, at, bytes >> 2);
  if (type != K.SCM_CREDENTIALS || bytes != UCRED_BYTES) return -E.EINVAL;
  return scm_check_creds(p, at);
}

/** Reads the control part of a message that is to be sent. 0, errno, RET_NEED. */
export function scm_send(p: task_struct, f: frame): i32 {
  const m = scm();
  m.has_cred = 0;
  m.nr_fds = 0;
  if (m.controllen > CMSG_BYTES_MAX) return -E.ENOBUFS;
  if (!m.control || !m.controllen) return 0;
  // more than the largest message of files needs no reading: it is one that has none
  if (m.controllen > SCRATCH_USER_BYTES) return -E.EINVAL;
  const compat = m.compat != 0;
  const head = compat ? CMSG_HEAD_COMPAT : CMSG_HEAD;
  const left = <u32>m.controllen;
  const bad = copy_from_user(f, SCRATCH_USER, m.control, left);
  if (bad) return bad;
  for (let at: u32 = 0; at + head <= left;) {
    const from = SCRATCH_USER + at;
    const len = compat ? <u64>load<u32>(from) : load<u64>(from);
    if (len < head || len > left - at) return -E.EINVAL;
    const level = load<i32>(from + head - 8);
    const type = load<i32>(from + head - 4);
    if (level == K.SOL_SOCKET) {
      const error = scm_one(p, type, from + head, <u32>len - head);
      if (error) return error;
    }
    at += align(<u32>len, compat);
  }
  return 0;
}

/** May the caller have this many more files in flight? Linux counts per user, here all count. */
export function too_many_in_flight(p: task_struct): bool {
  if (<u64>root().nr_inflight <= rlimit(p.signal, RLIMIT_NOFILE)) return false;
  const may = cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_RESOURCE);
  return !may && !cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_ADMIN);
}

/** Puts what is to be sent along into the first piece. */
export function scm_attach(skb: sk_buff): void {
  const m = scm();
  for (let i: u32 = 0; i < m.nr_fds; ++i) {
    skb_attach(skb, i, changetype<file>(<usize>load<u32>(FDS + (i << 2))));
  }
}

/** The writer of the first piece that is read: later pieces of others end the read. */
export function scm_set_writer(skb: sk_buff): void {
  const m = scm();
  m.has_cred = 1;
  m.pid = skb.pid;
  m.uid = skb.uid;
  m.gid = skb.gid;
}

/** Appends one control message of `bytes` bytes that lie behind its head at SCRATCH_USER. */
function put_cmsg(f: frame, type: i32, bytes: u32): i32 {
  const m = scm();
  const compat = m.compat != 0;
  const head = compat ? CMSG_HEAD_COMPAT : CMSG_HEAD;
  if (!m.control || m.controllen < head) {
    m.flags |= K.MSG_CTRUNC;
    return 0;
  }
  let len = head + bytes;
  if (m.controllen < len) {
    m.flags |= K.MSG_CTRUNC;
    len = <u32>m.controllen;
  }
  const at = SCRATCH_USER;
  if (compat) store<u32>(at, len);
  else store<u64>(at, len);
  store<i32>(at + head - 8, K.SOL_SOCKET);
  store<i32>(at + head - 4, type);
  const bad = copy_to_user(f, m.control, at, len);
  if (bad) return bad;
  const space = min<u64>(align(len, compat), m.controllen);
  m.control += space;
  m.controllen -= space;
  return 0;
}

function put_creds(p: task_struct, f: frame): i32 {
  const m = scm();
  const at = SCRATCH_USER + (m.compat ? CMSG_HEAD_COMPAT : CMSG_HEAD);
  const ns = p.cred.user_ns;
  store<i32>(at, nil(m.pid) ? 0 : pid_nr_ns(m.pid, task_active_pid_ns(p)));
  store<i32>(at, from_kuid_munged(ns, m.uid), 4);
  store<i32>(at, from_kgid_munged(ns, m.gid), 8);
  return put_cmsg(f, K.SCM_CREDENTIALS, UCRED_BYTES);
}

/** New descriptors for the files of a message, as many as there are room and numbers for. */
function put_files_in(p: task_struct, f: frame, skb: sk_buff, cloexec: bool): i32 {
  const m = scm();
  const head = m.compat ? CMSG_HEAD_COMPAT : CMSG_HEAD;
  const room = m.controllen > head ? <u32>min<u64>((m.controllen - head) >> 2, skb.nr_fds) : 0;
  let n: u32 = 0;
  for (; n < room; ++n) {
    const fd = FD.get_unused_fd(p, 0);
    if (fd < 0) break;
    FD.fd_install(p, fd, FD.get_file(skb_file(skb, n)), cloexec);
    store<i32>(SCRATCH_USER + head + (n << 2), fd);
  }
  if (n < skb.nr_fds) m.flags |= K.MSG_CTRUNC;
  return n ? put_cmsg(f, K.SCM_RIGHTS, n << 2) : 0;
}

/** Writes the control part of a message that was received by `s`. 0, -EFAULT. */
export function scm_recv(p: task_struct, f: frame, s: sock, cloexec: bool): i32 {
  const m = scm();
  const has_fds = !nil(m.carrier) && m.carrier.nr_fds != 0;
  if (!m.control) {
    if (s.passcred || has_fds) m.flags |= K.MSG_CTRUNC;
    return 0;
  }
  if (s.passcred) {
    const bad = put_creds(p, f);
    if (bad) return bad;
  }
  return has_fds ? put_files_in(p, f, m.carrier, cloexec) : 0;
}

/** Guest memory that a message received into the header at `addr` will need. 0 or RET_NEED. */
export function scm_prepare(f: frame, addr: u64): i32 {
  const m = scm();
  let need = prepare_write(f, addr, m.compat ? 28 : 56);
  const room = min<u32>(<u32>m.namelen, K.SOCKADDR_STORAGE_BYTES);
  if (!need && m.name && room) need = prepare_write(f, m.name, room);
  if (need || !m.control || !m.controllen) return need;
  return prepare_write(f, m.control, <u32>min<u64>(m.controllen, SCRATCH_USER_BYTES));
}

/** namelen, controllen and flags go back into the header at `addr`. 0, -EFAULT. */
export function put_msghdr(f: frame, addr: u64, control: u64): i32 {
  const m = scm();
  const at = SCRATCH_USER;
  store<u64>(at, m.control - control);
  store<u32>(at, m.flags, 8);
  store<u32>(at, m.from_len, 12);
  const compat = m.compat != 0;
  if (m.name && m.from_len) {
    const part = min<u32>(m.from_len, <u32>m.namelen);
    if (part && copy_to_user(f, m.name, SCRATCH_NAME, part)) return -E.EFAULT;
  }
  if (m.name && copy_to_user(f, addr + (compat ? 4 : 8), at + 12, 4)) return -E.EFAULT;
  if (copy_to_user(f, addr + (compat ? 24 : 48), at + 8, 4)) return -E.EFAULT;
  return copy_to_user(f, addr + (compat ? 20 : 40), at, compat ? 4 : 8);
}

/** Is `skb` of the writer that the read began with? */
export function scm_same_writer(skb: sk_buff): bool {
  const m = scm();
  return skb.pid == m.pid && skb.uid == m.uid && skb.gid == m.gid;
}
