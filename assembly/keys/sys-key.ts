// add_key, request_key, container_add_key: getting keys, making and updating them (keyctl.c).
import { seeded_fault } from "../lib/bug.ts";
import { container } from "../container/container.ts";
import { cred } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, RET_NEED } from "../lib/err.ts";
import { container_of_fd } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import * as X from "./key.ts";
import { key } from "./key.ts";
import * as R from "./keyring.ts";
import * as P from "./process-keys.ts";
import { KEY_TYPE_NAME, SCRATCH_USER, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open } from "../lib/seq-file.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { container_permission } from "../container/sys-container.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, strncpy_from_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import * as K from "../uapi/keyctl.ts";
import { from_kuid } from "../namespace/user-namespace.ts";

// Names of types, as numbers: keyring, user, logon, big_key
const NAME_KEYRING: u64 = 0x676e697279656b;
const NAME_USER: u64 = 0x72657375;
const NAME_LOGON: u64 = 0x6e6f676f6c;
const NAME_BIG_KEY: u64 = 0x79656b5f676962;
// Seeded fault (debug builds only): members possess what their container's keyring holds.
const F_MEMBER_KEYS = 191;

/** Longest name of a type, its NUL included. */
const TYPE_MAX: u32 = 32;
/** What a big key counts, however long it is. */
const BIG_KEY_QUOTA = 16;

/** The type's name into its buffer. 0, -EFAULT, RET_NEED, -EINVAL, -EPERM when it is reserved. */
export function copy_type(f: frame, addr: u64): i32 {
  memory.fill(KEY_TYPE_NAME, 0, TYPE_MAX);
  const len = strncpy_from_user(f, KEY_TYPE_NAME, addr, TYPE_MAX);
  if (len < 0) return len;
  if (len == 0 || len >= <i32>TYPE_MAX) return -E.EINVAL;
  return load<u8>(KEY_TYPE_NAME) == 46 ? -E.EPERM : 0;
}

/** The type whose name copy_type() has read, 0 when there is none such. */
export function key_type(): u32 {
  const name = load<u64>(KEY_TYPE_NAME);
  if (load<u64>(KEY_TYPE_NAME, 8)) return 0;
  if (name == NAME_KEYRING) return X.KEY_TYPE_KEYRING;
  if (name == NAME_USER) return X.KEY_TYPE_USER;
  if (name == NAME_LOGON) return X.KEY_TYPE_LOGON;
  return name == NAME_BIG_KEY ? X.KEY_TYPE_BIG : 0;
}

/** A description into the scratch buffer. Its length, or -EFAULT, RET_NEED, -EINVAL. */
export function copy_desc(f: frame, addr: u64): i32 {
  const len = strncpy_from_user(f, SCRATCH_USER, addr, K.KEY_MAX_DESC);
  return len == K.KEY_MAX_DESC ? -E.EINVAL : len;
}

/** May a key of that type have this description? A logon key's begins with a service. */
function desc_valid(type: u32, len: i32): bool {
  if (len == 0) return false;
  if (type != X.KEY_TYPE_LOGON) return true;
  for (let i = 0; i < len; ++i) if (load<u8>(SCRATCH_USER + i) == 58) return i > 0;
  return false;
}

/** Is a payload of that length good for the type? */
function payload_valid(type: u32, plen: u32): bool {
  if (type == X.KEY_TYPE_KEYRING) return plen == 0;
  if (plen == 0) return false;
  return plen <= <u32>(type == X.KEY_TYPE_BIG ? K.KEY_PAYLOAD_MAX : K.KEY_USER_PAYLOAD_MAX);
}

/** Gives `k` the payload of `plen` bytes at `payload`, which it owns from then on. 0, -EDQUOT. */
export function set_payload(k: key, payload: usize, plen: u32): i32 {
  const big = k.type == X.KEY_TYPE_BIG;
  const counted = big ? (k.payload ? BIG_KEY_QUOTA : 0) : <i32>k.datalen;
  const error = X.key_payload_reserve(k, (big ? BIG_KEY_QUOTA : <i32>plen) - counted);
  if (error) return error;
  X.free_payload(k);
  k.payload = <u32>payload;
  k.datalen = plen;
  k.capacity = plen;
  k.expiry = 0;
  return 0;
}

/** What a new key permits: everything that its type can do to the possessor, a look to its user. */
function default_perm(type: u32): u32 {
  let perm: u32 = K.KEY_POS_VIEW | K.KEY_POS_SEARCH | K.KEY_POS_LINK | K.KEY_POS_SETATTR;
  if (type != X.KEY_TYPE_LOGON) perm |= K.KEY_POS_READ;
  return perm | K.KEY_POS_WRITE | K.KEY_USR_VIEW;
}

/** The key of that description in the keyring, if it is one that can be updated; or null. */
function key_to_update(keyring: key, type: u32, desc_len: u32): key {
  const i = R.find_link(keyring, type, SCRATCH_USER, desc_len);
  if (i == keyring.datalen || type == X.KEY_TYPE_KEYRING) return NULL<key>();
  const k = changetype<key>(load<u32>(keyring.payload + (i << 2)));
  return k.flags & (X.KEY_FLAG_REVOKED | X.KEY_FLAG_INVALIDATED) ? NULL<key>() : k;
}

/**
 * A key of what is described at the scratch buffer, linked in `keyring`; or the one that is there
 * is updated. `payload` goes to the key, or is freed. `given`: into a container's keyring, whose
 * keys permit nothing to anybody; whoever may add there may update. Return: serial number or errno.
 */
function create_or_update(
  p: task_struct,
  keyring: key,
  type: u32,
  desc_len: u32,
  payload: usize,
  plen: u32,
  given: bool,
): i32 {
  const found = key_to_update(keyring, type, desc_len);
  let error = 0;
  if (!nil(found)) {
    const box: container = p.signal.leader.container;
    if (!given) error = X.key_permission(found, true, p.cred, box, K.KEY_NEED_WRITE);
    if (!error) error = set_payload(found, payload, plen);
    if (error) kfree(payload, plen);
    return error ? error : found.serial;
  }
  const perm = given ? K.KEY_POS_ALL : default_perm(type);
  const k = X.key_alloc(type, SCRATCH_USER, desc_len, p.cred, perm);
  if (IS_ERR(k)) {
    kfree(payload, plen);
    return PTR_ERR(k);
  }
  if (type != X.KEY_TYPE_KEYRING) {
    error = set_payload(k, payload, plen);
    if (error) kfree(payload, plen);
  }
  if (!error) error = R.key_link(keyring, k);
  const serial = k.serial;
  // the keyring holds it now, or nobody does
  X.key_put(k);
  return error ? error : serial;
}

/** The payload's bytes in a block of their own. ERR_PTR-like: negative errno or RET_NEED. */
function copy_payload(f: frame, addr: u64, plen: u32): usize {
  if (!plen) return 0;
  const block = kmalloc(plen);
  if (!block) return <usize>-E.ENOMEM;
  const bad = copy_from_user(f, block, addr, plen);
  if (!bad) return block;
  kfree(block, plen);
  return <usize>bad;
}

/** Is the block none, but an errno or RET_NEED? */
function is_bad_block(block: usize): bool {
  return IS_ERR(changetype<key>(block)) || <i32>block == RET_NEED;
}

/** The arguments of add_key that are checked before the keyring. Return: description's length. */
function check_arguments(f: frame, reserved: i32): i32 {
  if (f.r10 > <u64>K.KEY_PAYLOAD_MAX) return -E.EINVAL;
  const bad = copy_type(f, f.a0);
  if (bad) return bad == -E.EPERM ? reserved : bad;
  const len = f.a1 ? copy_desc(f, f.a1) : 0;
  if (len < 0) return len;
  const dot = len > 0 && load<u8>(SCRATCH_USER) == 46;
  return dot && key_type() == X.KEY_TYPE_KEYRING ? -E.EPERM : len;
}

/** add_key(2): type, description, payload, length, keyring. */
export function sys_add_key(p: task_struct, f: frame): i32 {
  const len = check_arguments(f, -E.EPERM);
  if (len < 0) return len;
  const plen = <u32>f.r10;
  const payload = copy_payload(f, f.a2, plen);
  if (is_bad_block(payload)) return <i32>payload;
  const ref = P.lookup_user_key(p, <i32>f.r8, true, false, K.KEY_NEED_WRITE);
  const type = key_type();
  let error = P.is_err_ref(ref) ? <i32>ref : 0;
  if (!error && !type) error = -E.ENODEV;
  if (!error && P.ref_key(ref).type != X.KEY_TYPE_KEYRING) error = -E.ENOTDIR;
  if (!error && (!desc_valid(type, len) || !payload_valid(type, plen))) error = -E.EINVAL;
  if (error) {
    kfree(payload, plen);
    return error;
  }
  const keyring = P.ref_key(ref);
  return create_or_update(p, keyring, type, <u32>len, payload, plen, false);
}

/** The keyring that a result is to be linked in too; 0: none. A reference or a negative errno. */
export function destination(p: task_struct, id: i32): usize {
  if (!id) return 0;
  const ref = P.lookup_user_key(p, id, true, false, K.KEY_NEED_WRITE);
  if (P.is_err_ref(ref)) return ref;
  return P.ref_key(ref).type == X.KEY_TYPE_KEYRING ? ref : <usize>-E.ENOTDIR;
}

/** The key in the keyring of the caller's container: its members use it without possessing it. */
function search_container(p: task_struct, type: u32, len: u32): key {
  const box = p.signal.leader.container;
  if (nil(box.keyring)) return ERR_PTR<key>(-E.EAGAIN);
  const s = P.begin_search(p);
  s.type = type;
  s.desc = <u32>SCRATCH_USER;
  s.desc_len = len;
  s.possessed = 0;
  s.flags = R.SEARCH_NO_PERMISSION;
  return R.keyring_search_tree(s, box.keyring);
}

/**
 * request_key(2): type, description, information for a helper, destination keyring. There is no
 * helper program that would make a key: what is not found is ENOKEY.
 */
export function sys_request_key(p: task_struct, f: frame): i32 {
  const bad = copy_type(f, f.a0);
  if (bad) return bad;
  // the information is read, if only to find that it is not there
  let len = f.a2 ? copy_desc(f, f.a2) : 0;
  if (len < 0) return len;
  len = copy_desc(f, f.a1);
  if (len < 0) return len;
  const dest = destination(p, <i32>f.r10);
  if (P.is_err_ref(dest)) return <i32>dest;
  const type = key_type();
  if (!type) return -E.ENOKEY;
  const s = P.begin_search(p);
  s.type = type;
  s.desc = <u32>SCRATCH_USER;
  s.desc_len = <u32>len;
  let k = P.search_process_keyrings(p, s);
  let possessed = true;
  if (IS_ERR(k) && PTR_ERR(k) == -E.EAGAIN) {
    k = search_container(p, type, <u32>len);
    if (!seeded_fault(F_MEMBER_KEYS)) possessed = false;
  }
  if (IS_ERR(k)) return PTR_ERR(k) == -E.EAGAIN ? -E.ENOKEY : PTR_ERR(k);
  if (!dest) return k.serial;
  const c: cred = p.cred;
  const refused = X.key_permission(k, possessed, c, p.signal.leader.container, K.KEY_NEED_LINK);
  if (refused) return refused;
  const error = R.key_link(P.ref_key(dest), k);
  return error ? error : k.serial;
}

/** Whoever made the container, or is root in it, gives it keys. 0 or -EPERM. */
export function may_give_keys(p: task_struct, c: container): i32 {
  if (!container_permission(p, c)) return 0;
  const mine = p.cred.user_ns;
  const inside = changetype<usize>(mine) == changetype<usize>(c.cred.user_ns);
  return inside && from_kuid(mine, p.cred.euid) == 0 ? 0 : -E.EPERM;
}

/** A keyring for a container. Its keys permit nothing to anybody. ERR_PTR. */
function new_container_keyring(p: task_struct): key {
  const s = seq_open(changetype<seq_file>(SEQ_FILE), KEY_TYPE_NAME + 16, 16);
  const len = seq_puts(s, "_container").count;
  return R.keyring_alloc(KEY_TYPE_NAME + 16, len, p.cred, K.KEY_POS_ALL);
}

/**
 * container_add_key(type, description, payload, length, cfd): into the container's keyring, also
 * while it runs. DEVIATION: a type that begins with a dot is EINVAL here, not add_key's EPERM.
 */
export function sys_container_add_key(p: task_struct, f: frame): i32 {
  const c = container_of_fd(p, <i32>f.r8);
  if (IS_ERR(c)) return PTR_ERR(c);
  const refused = may_give_keys(p, c);
  if (refused) return refused;
  const len = check_arguments(f, -E.EINVAL);
  if (len < 0) return len;
  const plen = <u32>f.r10;
  const type = key_type();
  if (!type) return -E.ENODEV;
  if (!desc_valid(type, len) || !payload_valid(type, plen)) return -E.EINVAL;
  const payload = copy_payload(f, f.a2, plen);
  if (is_bad_block(payload)) return <i32>payload;
  // the keyring is made on first use
  const keyring = nil(c.keyring) ? new_container_keyring(p) : X.key_get(c.keyring);
  if (IS_ERR(keyring)) {
    kfree(payload, plen);
    return PTR_ERR(keyring);
  }
  const r = create_or_update(p, keyring, type, <u32>len, payload, plen, true);
  if (r > 0 && nil(c.keyring)) c.keyring = keyring;
  else X.key_put(keyring);
  return r;
}
