// keyctl(2): what is done with keys that are there.
import { container } from "../container/container.ts";
import { cred, cred_ns_capable, in_group_p } from "../cred/cred.ts";
import { IS_ERR, nil, PTR_ERR } from "../lib/err.ts";
import { container_of_fd } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as X from "./key.ts";
import { key } from "./key.ts";
import * as R from "./keyring.ts";
import * as P from "./process-keys.ts";
import { root, SCRATCH_USER, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal } from "../lib/seq-file.ts";
import { seq_put_digits, seq_putc } from "../lib/seq-file.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import {
  copy_desc,
  copy_type,
  destination,
  key_type,
  may_give_keys,
  set_payload,
} from "./sys-key.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import * as K from "../uapi/keyctl.ts";
import { PAGE_SIZE } from "../uapi/limits.ts";
import { alloc_uid, free_uid } from "../cred/user.ts";
import {
  from_kgid_munged,
  from_kuid_munged,
  init_user_ns,
  make_kgid,
  make_kuid,
} from "../namespace/user-namespace.ts";

const NS_PER_S: u64 = 1000000000;

function member_of(p: task_struct): container {
  return p.signal.leader.container;
}

function may_everything(p: task_struct): bool {
  return cred_ns_capable(p.cred, init_user_ns(), CAP_SYS_ADMIN);
}

/** A keyring for a call that changes it: a reference or a negative errno. */
function keyring_to_write(p: task_struct, id: i32, create: bool): usize {
  const ref = P.lookup_user_key(p, id, create, false, K.KEY_NEED_WRITE);
  if (P.is_err_ref(ref)) return ref;
  return P.ref_key(ref).type == X.KEY_TYPE_KEYRING ? ref : <usize>-E.ENOTDIR;
}

function get_keyring_id(p: task_struct, id: i32, create: bool): i32 {
  const ref = P.lookup_user_key(p, id, create, false, K.KEY_NEED_SEARCH);
  return P.is_err_ref(ref) ? <i32>ref : P.ref_key(ref).serial;
}

/** The keyring of that name that the caller may search, in its user namespace; or null. */
function find_keyring_by_name(p: task_struct, len: u32): key {
  const r = root();
  for (let i: u32 = 0; i < r.key_buckets; ++i) {
    let k = changetype<key>(load<u32>(r.keys + (i << 2)));
    for (; !nil(k); k = k.next) {
      if (!X.key_matches(k, X.KEY_TYPE_KEYRING, SCRATCH_USER, len)) continue;
      if (k.ns != p.cred.user_ns.inum || k.flags & X.KEY_FLAG_REVOKED) continue;
      if (!X.key_permission(k, false, p.cred, member_of(p), K.KEY_NEED_SEARCH)) return k;
    }
  }
  return changetype<key>(0);
}

function join_session_keyring(p: task_struct, f: frame, name: u64): i32 {
  let error = 0;
  if (!name) {
    error = P.new_session_keyring(p);
  } else {
    const len = copy_desc(f, name);
    if (len < 0) return len;
    if (len > 0 && load<u8>(SCRATCH_USER) == 46) return -E.EPERM;
    const found = find_keyring_by_name(p, <u32>len);
    const perm: u32 = K.KEY_POS_ALL | K.KEY_USR_VIEW | K.KEY_USR_READ | K.KEY_USR_LINK;
    const k = nil(found) ? R.keyring_alloc(SCRATCH_USER, <u32>len, p.cred, perm) : X.key_get(found);
    if (IS_ERR(k)) return PTR_ERR(k);
    error = P.set_session_keyring(p, k);
  }
  return error ? error : get_keyring_id(p, K.KEY_SPEC_SESSION_KEYRING, false);
}

/** KEYCTL_UPDATE: key, payload, length. */
function update(p: task_struct, f: frame, id: i32): i32 {
  const plen = <u32>f.r10;
  if (f.r10 > <u64>PAGE_SIZE) return -E.EINVAL;
  const block = plen ? kmalloc(plen) : 0;
  if (plen && !block) return -E.ENOMEM;
  let error = copy_from_user(f, block, f.a2, plen);
  if (!error) error = update_with(p, id, block, plen);
  if (error) kfree(block, plen);
  return error;
}

function update_with(p: task_struct, id: i32, block: usize, plen: u32): i32 {
  const ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_WRITE);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  if (k.type == X.KEY_TYPE_KEYRING) return -E.EOPNOTSUPP;
  return plen ? set_payload(k, block, plen) : -E.EINVAL;
}

function revoke(p: task_struct, id: i32): i32 {
  let ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_WRITE);
  if (<i32>ref == -E.EACCES) ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_SETATTR);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  k.flags |= X.KEY_FLAG_REVOKED;
  if (k.type == X.KEY_TYPE_KEYRING) R.keyring_clear(k);
  else drop_payload(k);
  return 0;
}

/** What a revoked key held is gone at once. */
function drop_payload(k: key): void {
  X.key_payload_reserve(k, -(k.quotalen - <i32>k.desc_len - 1));
  X.free_payload(k);
  k.payload = 0;
  k.datalen = 0;
  k.capacity = 0;
}

function invalidate(p: task_struct, id: i32): i32 {
  let ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_SEARCH);
  if (<i32>ref == -E.EACCES && may_everything(p)) ref = P.lookup_user_key(p, id, false, false, 0);
  if (P.is_err_ref(ref)) return <i32>ref;
  P.ref_key(ref).flags |= X.KEY_FLAG_INVALIDATED;
  return 0;
}

/** KEYCTL_CHOWN: key, user, group; -1 leaves one alone. Quotas go along. */
function chown(p: task_struct, id: i32, uid: i32, gid: i32): i32 {
  if (uid == -1 && gid == -1) return 0;
  const ref = P.lookup_user_key(p, id, true, true, K.KEY_NEED_SETATTR);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  const all = may_everything(p);
  if (uid != -1 && uid != k.uid && !all) return -E.EACCES;
  if (gid != -1 && gid != k.gid && !in_group_p(p.cred, gid) && !all) return -E.EACCES;
  if (uid != -1 && uid != k.uid) {
    const to = alloc_uid(uid);
    if (nil(to)) return -E.ENOMEM;
    const root_user = uid == 0;
    const keys = root_user ? K.KEY_QUOTA_ROOT_KEYS : K.KEY_QUOTA_KEYS;
    const bytes = root_user ? K.KEY_QUOTA_ROOT_BYTES : K.KEY_QUOTA_BYTES;
    if (to.nr_keys >= keys || to.key_bytes + k.quotalen > bytes) {
      free_uid(to);
      return -E.EDQUOT;
    }
    to.nr_keys += 1;
    to.key_bytes += k.quotalen;
    const from = k.user;
    from.nr_keys -= 1;
    from.key_bytes -= k.quotalen;
    free_uid(from);
    k.user = to;
    k.uid = uid;
  }
  if (gid != -1) k.gid = gid;
  return 0;
}

/** The same with ids as the caller's user namespace has them. */
function chown_mapped(p: task_struct, id: i32, uid: i32, gid: i32): i32 {
  const ns = p.cred.user_ns;
  const kuid = uid == -1 ? -1 : make_kuid(ns, uid);
  const kgid = gid == -1 ? -1 : make_kgid(ns, gid);
  if ((uid != -1 && kuid == -1) || (gid != -1 && kgid == -1)) return -E.EINVAL;
  return chown(p, id, kuid, kgid);
}

function setperm(p: task_struct, id: i32, perm: u32): i32 {
  if (perm & ~(<u32>K.KEY_PERM_ALL)) return -E.EINVAL;
  const ref = P.lookup_user_key(p, id, true, true, K.KEY_NEED_SETATTR);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  if (k.uid != p.cred.fsuid && !may_everything(p)) return -E.EACCES;
  k.perm = perm;
  return 0;
}

/** "type;uid;gid;perm;description" with its NUL, as `c` sees it. Return: its length. */
function describe_to(k: key, c: cred, buf: usize, size: u32): u32 {
  const s = seq_open(changetype<seq_file>(SEQ_FILE), buf, size);
  if (k.type == X.KEY_TYPE_KEYRING) seq_puts(s, "keyring;");
  else if (k.type == X.KEY_TYPE_USER) seq_puts(s, "user;");
  else if (k.type == X.KEY_TYPE_LOGON) seq_puts(s, "logon;");
  else seq_puts(s, "big_key;");
  seq_puts(seq_put_decimal(s, <u64>(<u32>from_kuid_munged(c.user_ns, k.uid)), 0), ";");
  seq_puts(seq_put_decimal(s, <u64>(<u32>from_kgid_munged(c.user_ns, k.gid)), 0), ";");
  seq_puts(seq_put_digits(s, <u64>k.perm, 4, 8), ";");
  for (let i: u32 = 0; i < k.desc_len; ++i) seq_putc(s, <u32>load<u8>(k.desc + i));
  return seq_putc(s, 0).count;
}

/** KEYCTL_DESCRIBE. Return: the whole length. */
function describe(p: task_struct, f: frame, id: i32): i32 {
  const ref = P.lookup_user_key(p, id, false, true, K.KEY_NEED_VIEW);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  const size = k.desc_len + 64;
  const block = kmalloc(size);
  if (!block) return -E.ENOMEM;
  const r = put_result(f, block, describe_to(k, p.cred, block, size), true);
  kfree(block, size);
  return r;
}

/** `len` bytes for the caller's buffer (argument 2, its size in 3). Return: `len`, or errno. */
function put_result(f: frame, from: usize, len: u32, whole: bool): i32 {
  const room = f.r10 > <u64>len ? len : <u32>f.r10;
  // a buffer that is too short for a text stays empty
  const n = whole && room < len ? 0 : room;
  if (!f.a2 || !n) return <i32>len;
  const need = prepare_write(f, f.a2, n);
  if (need) return need;
  return copy_to_user(f, f.a2, from, n) ? -E.EFAULT : <i32>len;
}

/** KEYCTL_READ: payload, or the serial numbers of what is linked. */
function read_key(p: task_struct, f: frame, id: i32): i32 {
  const ref = P.lookup_user_key(p, id, false, false, 0);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  // what may be searched for from one's own keyrings may be read
  const refused = X.key_permission(k, P.ref_possessed(ref), p.cred, member_of(p), K.KEY_NEED_READ);
  if (refused && !P.ref_possessed(ref)) return refused;
  if (k.type == X.KEY_TYPE_LOGON) return -E.EOPNOTSUPP;
  if (k.type != X.KEY_TYPE_KEYRING) return put_result(f, k.payload, k.datalen, false);
  const size = k.datalen << 2;
  const block = kmalloc(size);
  if (!block) return -E.ENOMEM;
  for (let i: u32 = 0; i < k.datalen; ++i) {
    const link = changetype<key>(load<u32>(k.payload + (i << 2)));
    store<i32>(block + (i << 2), link.serial);
  }
  const r = put_result(f, block, size, false);
  kfree(block, size);
  return r;
}

function clear(p: task_struct, id: i32): i32 {
  const ref = keyring_to_write(p, id, true);
  if (P.is_err_ref(ref)) return <i32>ref;
  R.keyring_clear(P.ref_key(ref));
  return 0;
}

function link(p: task_struct, id: i32, ring: i32): i32 {
  const to = keyring_to_write(p, ring, true);
  if (P.is_err_ref(to)) return <i32>to;
  const ref = P.lookup_user_key(p, id, true, false, K.KEY_NEED_LINK);
  if (P.is_err_ref(ref)) return <i32>ref;
  return R.key_link(P.ref_key(to), P.ref_key(ref));
}

function unlink(p: task_struct, id: i32, ring: i32): i32 {
  const from = keyring_to_write(p, ring, false);
  if (P.is_err_ref(from)) return <i32>from;
  const ref = P.lookup_user_key(p, id, false, true, 0);
  if (P.is_err_ref(ref)) return <i32>ref;
  return R.key_unlink(P.ref_key(from), P.ref_key(ref));
}

/** KEYCTL_MOVE: key, from, to, flags. */
function move(p: task_struct, f: frame, id: i32): i32 {
  if (f.r8 & ~(<u64>K.KEYCTL_MOVE_EXCL)) return -E.EINVAL;
  const ref = P.lookup_user_key(p, id, true, false, K.KEY_NEED_LINK);
  if (P.is_err_ref(ref)) return <i32>ref;
  const from = keyring_to_write(p, <i32>f.a2, false);
  if (P.is_err_ref(from)) return <i32>from;
  const to = keyring_to_write(p, <i32>f.r10, true);
  if (P.is_err_ref(to)) return <i32>to;
  return R.key_move(P.ref_key(ref), P.ref_key(from), P.ref_key(to), f.r8 != 0);
}

/** KEYCTL_SEARCH: keyring, type, description, destination. */
function search(p: task_struct, f: frame, id: i32): i32 {
  const bad = copy_type(f, f.a2);
  if (bad) return bad;
  const len = copy_desc(f, f.r10);
  if (len < 0) return len;
  const ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_SEARCH);
  if (P.is_err_ref(ref)) return <i32>ref;
  const dest = destination(p, <i32>f.r8);
  if (P.is_err_ref(dest)) return <i32>dest;
  const type = key_type();
  if (!type) return -E.ENOKEY;
  if (P.ref_key(ref).type != X.KEY_TYPE_KEYRING) return -E.ENOTDIR;
  const s = P.begin_search(p);
  s.type = type;
  s.desc = <u32>SCRATCH_USER;
  s.desc_len = <u32>len;
  s.possessed = P.ref_possessed(ref) ? 1 : 0;
  const k = R.keyring_search_tree(s, P.ref_key(ref));
  if (IS_ERR(k)) return PTR_ERR(k) == -E.EAGAIN ? -E.ENOKEY : PTR_ERR(k);
  if (!dest) return k.serial;
  const refused = X.key_permission(k, s.possessed != 0, p.cred, member_of(p), K.KEY_NEED_LINK);
  if (refused) return refused;
  const error = R.key_link(P.ref_key(dest), k);
  return error ? error : k.serial;
}

function set_timeout(p: task_struct, id: i32, seconds: u32): i32 {
  const ref = P.lookup_user_key(p, id, true, true, K.KEY_NEED_SETATTR);
  if (P.is_err_ref(ref)) return <i32>ref;
  P.ref_key(ref).expiry = seconds ? root().clock + <u64>seconds * NS_PER_S : 0;
  return 0;
}

/** KEYCTL_RESTRICT_KEYRING without a type: no more links. */
function restrict_keyring(p: task_struct, f: frame, id: i32): i32 {
  const ref = P.lookup_user_key(p, id, false, false, K.KEY_NEED_SETATTR);
  if (P.is_err_ref(ref)) return <i32>ref;
  if (f.a2) return f.r10 ? -E.ENOENT : -E.EINVAL;
  if (f.r10) return -E.EINVAL;
  const k = P.ref_key(ref);
  if (k.type != X.KEY_TYPE_KEYRING) return -E.ENOTDIR;
  if (k.flags & X.KEY_FLAG_RESTRICTED) return -E.EEXIST;
  k.flags |= X.KEY_FLAG_RESTRICTED;
  return 0;
}

/** KEYCTL_GET_SECURITY: there is no module that labels keys. */
function get_security(p: task_struct, f: frame, id: i32): i32 {
  const ref = P.lookup_user_key(p, id, false, true, K.KEY_NEED_VIEW);
  if (P.is_err_ref(ref)) return <i32>ref;
  store<u8>(SCRATCH_USER, 0);
  return put_result(f, SCRATCH_USER, 1, false);
}

/** KEYCTL_CAPABILITIES: big keys, invalidation, restriction, moving; names by namespace. */
function capabilities(f: frame): i32 {
  store<u8>(SCRATCH_USER, 0xf1);
  store<u8>(SCRATCH_USER, 0x01, 1);
  const size = f.a2 > 4096 ? 4096 : <u32>f.a2;
  memory.fill(SCRATCH_USER + 2, 0, 4094);
  const need = prepare_write(f, f.a1, size);
  if (need) return need;
  return size && copy_to_user(f, f.a1, SCRATCH_USER, size) ? -E.EFAULT : 2;
}

/** KEYCTL_SET_CONTAINER_KEYRING: container, keyring. */
function set_container_keyring(p: task_struct, fd: i32, id: i32): i32 {
  const c = container_of_fd(p, fd);
  if (IS_ERR(c)) return PTR_ERR(c);
  const refused = may_give_keys(p, c);
  if (refused) return refused;
  const ref = P.lookup_user_key(p, id, true, false, K.KEY_NEED_LINK);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  if (k.type != X.KEY_TYPE_KEYRING) return -E.ENOTDIR;
  X.key_get(k);
  X.key_put(c.keyring);
  c.keyring = k;
  return 0;
}

/** KEYCTL_GRANT_PERMISSION: key, type of subject, subject, permissions. */
function grant_permission(p: task_struct, f: frame, id: i32): i32 {
  const perm = <u32>f.r8;
  if (perm & ~(<u32>0x3f)) return -E.EINVAL;
  let ref = P.lookup_user_key(p, id, true, true, K.KEY_NEED_SETATTR);
  const container_subject = <i32>f.a2 == K.KEY_ACE_SUBJ_CONTAINER;
  if (<i32>ref == -E.EACCES && container_subject) ref = own_container_key(p, f, id);
  if (P.is_err_ref(ref)) return <i32>ref;
  const k = P.ref_key(ref);
  if (container_subject) {
    const c = container_of_fd(p, <i32>f.r10);
    if (IS_ERR(c)) return PTR_ERR(c);
    return X.grant_to_container(k, c, perm) ? 0 : -E.ENOMEM;
  }
  const who = <u32>f.r10;
  if (<i32>f.a2 != K.KEY_ACE_SUBJ_STANDARD || who > <u32>K.KEY_ACE_POSSESSOR) return -E.EINVAL;
  const shift = who << 3;
  k.perm = (k.perm & ~((<u32>0x3f) << shift)) | (perm << shift);
  return 0;
}

/** A key of a container's keyring is in the hands of whoever may give that container keys. */
function own_container_key(p: task_struct, f: frame, id: i32): usize {
  const c = container_of_fd(p, <i32>f.r10);
  if (IS_ERR(c)) return <usize>PTR_ERR(c);
  const k = X.key_lookup(id);
  if (may_give_keys(p, c) || nil(c.keyring) || !R.is_linked(c.keyring, k)) return <usize>-E.EACCES;
  return changetype<usize>(k);
}

/** keyctl(2): operation, four arguments. */
export function sys_keyctl(p: task_struct, f: frame): i32 {
  const id = <i32>f.a1;
  const second = <i32>f.a2;
  switch (<i32>f.a0) {
    case K.KEYCTL_GET_KEYRING_ID:
      return get_keyring_id(p, id, second != 0);
    case K.KEYCTL_JOIN_SESSION_KEYRING:
      return join_session_keyring(p, f, f.a1);
    case K.KEYCTL_UPDATE:
      return update(p, f, id);
    case K.KEYCTL_REVOKE:
      return revoke(p, id);
    case K.KEYCTL_CHOWN:
      return chown_mapped(p, id, second, <i32>f.r10);
    case K.KEYCTL_SETPERM:
      return setperm(p, id, <u32>second);
    case K.KEYCTL_DESCRIBE:
      return describe(p, f, id);
    case K.KEYCTL_CLEAR:
      return clear(p, id);
    case K.KEYCTL_LINK:
      return link(p, id, second);
    case K.KEYCTL_UNLINK:
      return unlink(p, id, second);
    case K.KEYCTL_SEARCH:
      return search(p, f, id);
    case K.KEYCTL_READ:
      return read_key(p, f, id);
    case K.KEYCTL_SET_REQKEY_KEYRING:
      return set_reqkey_keyring(p, id);
    case K.KEYCTL_SET_TIMEOUT:
      return set_timeout(p, id, <u32>second);
    case K.KEYCTL_GET_SECURITY:
      return get_security(p, f, id);
    case K.KEYCTL_INVALIDATE:
      return invalidate(p, id);
    case K.KEYCTL_RESTRICT_KEYRING:
      return restrict_keyring(p, f, id);
    case K.KEYCTL_MOVE:
      return move(p, f, id);
    case K.KEYCTL_CAPABILITIES:
      return capabilities(f);
    case K.KEYCTL_SET_CONTAINER_KEYRING:
      return set_container_keyring(p, id, second);
    case K.KEYCTL_GRANT_PERMISSION:
      return grant_permission(p, f, id);
    default:
      return -E.EOPNOTSUPP;
  }
}

function set_reqkey_keyring(p: task_struct, value: i32): i32 {
  const last = K.KEY_REQKEY_DEFL_REQUESTOR_KEYRING;
  if (value < K.KEY_REQKEY_DEFL_NO_CHANGE || value > last) return -E.EINVAL;
  if (value == K.KEY_REQKEY_DEFL_GROUP_KEYRING) return -E.EINVAL;
  return P.set_reqkey_default(p, value);
}
