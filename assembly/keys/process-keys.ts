// The keyrings of a task: session, process and thread keyring in its cred, and those that its user
// has without asking (security/keys/process_keys.c). What lookups by id mean.
import { container } from "../container/container.ts";
import { cred, get_cred, prepare_creds, put_cred } from "../cred/cred.ts";
import { ERR_PTR, IS_ERR, NULL, nil, PTR_ERR, same } from "../lib/err.ts";
import * as X from "./key.ts";
import { key } from "./key.ts";
import * as R from "./keyring.ts";
import { keyring_search } from "./keyring.ts";
import { KEYRING_SEARCH, kernel_root, root, SCRATCH_SIGINFO, SEQ_FILE } from "../lib/root.ts";
import { seq_file, seq_open, seq_put_decimal } from "../lib/seq-file.ts";
import {
  CACHE_KEYRINGS,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { task_struct } from "../process/task.ts";
import * as E from "../uapi/errno.ts";
import * as K from "../uapi/keyctl.ts";
import { from_kuid } from "../namespace/user-namespace.ts";

/** struct cred_keyrings - 16 bytes, belongs to one cred; each field holds a reference. */
@unmanaged
export class cred_keyrings {
  session: key;
  process: key;
  thread: key;
  reqkey_default: i32; // KEY_REQKEY_DEFL_*
}

/** struct user_keyrings - of one user in one user namespace. */
@unmanaged
export class user_keyrings {
  next: user_keyrings;
  ns: u32; // [C] inode number of the user namespace
  uid: i32; // [C] kuid
  user: key; // _uid.N; holds a reference
  session: key; // _uid_ses.N; holds a reference
}
const USER_KEYRINGS_BYTES: u32 = 32;

/** Names are put together here. */
const NAME: usize = SCRATCH_SIGINFO + 0x80;

/** An empty name; what is put into it has to fit into 64 bytes. */
function new_name(): seq_file {
  return seq_open(changetype<seq_file>(SEQ_FILE), NAME, 64);
}

const USER_KEYRING_PERM: u32 = (K.KEY_POS_ALL & ~K.KEY_POS_SETATTR) | K.KEY_USR_ALL;
const OWN_KEYRING_PERM: u32 = K.KEY_POS_ALL | K.KEY_USR_VIEW;

export function process_keys_init(): void {
  kmem_cache_init(CACHE_KEYRINGS, <u32>offsetof<cred_keyrings>());
}

function keyrings_of(c: cred): cred_keyrings {
  return changetype<cred_keyrings>(<usize>c.keyrings);
}

function get_or_null(k: key): key {
  return nil(k) ? k : X.key_get(k);
}

/** `c` is a copy of another cred: it gets keyrings of its own. False: memory is exhausted. */
export function copy_keyrings(c: cred): bool {
  const old = keyrings_of(c);
  if (nil(old)) return true;
  const own = changetype<cred_keyrings>(kmem_cache_zalloc(CACHE_KEYRINGS));
  c.keyrings = <u32>changetype<usize>(own);
  if (nil(own)) return false;
  own.session = get_or_null(old.session);
  own.process = get_or_null(old.process);
  own.thread = get_or_null(old.thread);
  own.reqkey_default = old.reqkey_default;
  return true;
}

/** `c` has no keyrings any more: it goes, or a container's members begin without. */
export function drop_keyrings(c: cred): void {
  const own = keyrings_of(c);
  if (nil(own)) return;
  c.keyrings = 0;
  X.key_put(own.session);
  X.key_put(own.process);
  X.key_put(own.thread);
  kmem_cache_free(CACHE_KEYRINGS, changetype<usize>(own));
}

/** The keyrings of a cred that nobody shares; null when memory is exhausted. */
function own_keyrings(c: cred): cred_keyrings {
  if (!c.keyrings) c.keyrings = <u32>kmem_cache_zalloc(CACHE_KEYRINGS);
  return keyrings_of(c);
}

/** Has the cred a keyring that a child, or a program that is executed, does not get? */
export function has_private_keyrings(c: cred): bool {
  const own = keyrings_of(c);
  return !nil(own) && (!nil(own.process) || !nil(own.thread));
}

/** Process and thread keyring stay behind. `c` is not shared. */
export function drop_private_keyrings(c: cred): void {
  const own = keyrings_of(c);
  if (nil(own)) return;
  X.key_put(own.process);
  X.key_put(own.thread);
  own.process = NULL<key>();
  own.thread = NULL<key>();
}

/** A new thread of a thread with a keyring gets an empty one. `c` is not shared. 0 or errno. */
function renew_thread_keyring(c: cred): i32 {
  const own = keyrings_of(c);
  const len = seq_puts(new_name(), "_tid").count;
  const fresh = R.keyring_alloc(NAME, len, c, OWN_KEYRING_PERM);
  if (IS_ERR(fresh)) return PTR_ERR(fresh);
  X.key_put(own.thread);
  own.thread = fresh;
  return 0;
}

/**
 * The cred of a child or, with `thread`, of a thread of a task with `old`, which has private
 * keyrings: the session keyring goes along, a thread keyring is one's own. ERR_PTR.
 */
export function fork_keyrings(old: cred, thread: bool): cred {
  if (thread && nil(keyrings_of(old).thread)) return get_cred(old);
  const c = prepare_creds(old);
  if (nil(c)) return ERR_PTR<cred>(-E.ENOMEM);
  let error = 0;
  if (thread) error = renew_thread_keyring(c);
  else drop_private_keyrings(c);
  if (!error) return c;
  put_cred(c);
  return ERR_PTR<cred>(error);
}

/** exec: a program begins without process and thread keyring. Null when memory is exhausted. */
export function exec_keyrings(old: cred): cred {
  const c = prepare_creds(old);
  if (!nil(c)) drop_private_keyrings(c);
  return c;
}

/** `p` becomes `c`, which differs in keyrings alone. */
function commit(p: task_struct, c: cred): void {
  const old = p.cred;
  p.cred = c;
  put_cred(old);
}

/** Which of the three keyrings. */
const SESSION: u32 = 0;
const PROCESS: u32 = 1;
const THREAD: u32 = 2;

/** `p` gets `k` (its reference goes along) as its session, process or thread keyring. 0, errno. */
function install(p: task_struct, which: u32, k: key): i32 {
  const c = prepare_creds(p.cred);
  const own = nil(c) ? NULL<cred_keyrings>() : own_keyrings(c);
  if (nil(own)) {
    put_cred(c);
    X.key_put(k);
    return -E.ENOMEM;
  }
  const at = changetype<usize>(own) + ((<usize>which) << 2);
  X.key_put(changetype<key>(load<u32>(at)));
  store<u32>(at, <u32>changetype<usize>(k));
  commit(p, c);
  return 0;
}

/** A fresh keyring of the caller's own. */
function install_own(p: task_struct, which: u32): i32 {
  const s = new_name();
  if (which == SESSION) seq_puts(s, "_ses");
  else if (which == PROCESS) seq_puts(s, "_pid");
  else seq_puts(s, "_tid");
  const k = R.keyring_alloc(NAME, s.count, p.cred, OWN_KEYRING_PERM);
  return IS_ERR(k) ? PTR_ERR(k) : install(p, which, k);
}

/** An anonymous session keyring for `p`. */
export function new_session_keyring(p: task_struct): i32 {
  return install_own(p, SESSION);
}

export function set_session_keyring(p: task_struct, k: key): i32 {
  return install(p, SESSION, k);
}

/** The default destination of request_key: the old one, or errno. */
export function set_reqkey_default(p: task_struct, value: i32): i32 {
  const old = nil(keyrings_of(p.cred)) ? 0 : keyrings_of(p.cred).reqkey_default;
  if (value == K.KEY_REQKEY_DEFL_NO_CHANGE || value == old) return old;
  const c = prepare_creds(p.cred);
  const own = nil(c) ? NULL<cred_keyrings>() : own_keyrings(c);
  if (nil(own)) {
    put_cred(c);
    return -E.ENOMEM;
  }
  own.reqkey_default = value;
  commit(p, c);
  return old;
}

/** The keyrings that the user of `c` has without asking, made when missing. ERR_PTR. */
function look_up_user_keyrings(c: cred): user_keyrings {
  const r = root();
  const ns = c.user_ns.inum;
  const uid = c.uid;
  let u = changetype<user_keyrings>(<usize>r.user_keyrings);
  while (!nil(u) && (u.ns != ns || u.uid != uid)) u = u.next;
  if (!nil(u)) return u;
  u = changetype<user_keyrings>(kmalloc(USER_KEYRINGS_BYTES));
  if (nil(u)) return ERR_PTR<user_keyrings>(-E.ENOMEM);
  const shown = <u64>(<u32>from_kuid(c.user_ns, uid));
  let len = seq_put_decimal(seq_puts(new_name(), "_uid."), shown, 0).count;
  const user = R.keyring_alloc(NAME, len, c, USER_KEYRING_PERM);
  len = seq_put_decimal(seq_puts(new_name(), "_uid_ses."), shown, 0).count;
  const session = IS_ERR(user) ? user : R.keyring_alloc(NAME, len, c, USER_KEYRING_PERM);
  let error = IS_ERR(session) ? PTR_ERR(session) : R.key_link(session, user);
  if (error) {
    if (!IS_ERR(session)) X.key_put(session);
    if (!IS_ERR(user)) X.key_put(user);
    kfree(changetype<usize>(u), USER_KEYRINGS_BYTES);
    return ERR_PTR<user_keyrings>(error);
  }
  user.flags |= X.KEY_FLAG_UID_KEYRING;
  session.flags |= X.KEY_FLAG_UID_KEYRING;
  u.ns = ns;
  u.uid = uid;
  u.user = user;
  u.session = session;
  u.next = changetype<user_keyrings>(<usize>r.user_keyrings);
  r.user_keyrings = <u32>changetype<usize>(u);
  return u;
}

/** User namespace `ns` is gone: so are its users' keyrings. */
export function user_ns_keyrings_gone(ns: u32): void {
  const r = root();
  let link = changetype<usize>(r) + offsetof<kernel_root>("user_keyrings");
  while (load<u32>(link)) {
    const u = changetype<user_keyrings>(<usize>load<u32>(link));
    if (u.ns != ns) {
      link = changetype<usize>(u) + offsetof<user_keyrings>("next");
      continue;
    }
    store<u32>(link, <u32>changetype<usize>(u.next));
    X.key_put(u.session);
    X.key_put(u.user);
    kfree(changetype<usize>(u), USER_KEYRINGS_BYTES);
  }
}

/** A search on behalf of `p`: type and description are still to be set. */
export function begin_search(p: task_struct): keyring_search {
  const s = changetype<keyring_search>(KEYRING_SEARCH);
  s.type = 0;
  s.desc = 0;
  s.desc_len = 0;
  s.cred = p.cred;
  s.box = p.signal.leader.container;
  s.possessed = 1;
  s.flags = 0;
  s.target = NULL<key>();
  return s;
}

/**
 * Searches thread, process and session keyring of `p` (without one its user's session keyring).
 * ERR_PTR: EAGAIN when there is nothing, else why what is there cannot be used.
 */
export function search_process_keyrings(p: task_struct, s: keyring_search): key {
  const own = keyrings_of(p.cred);
  let ret = 0;
  let err = -E.EAGAIN;
  for (let which: u32 = 0; which < 3; ++which) {
    // thread, process, session
    let keyring = NULL<key>();
    if (!nil(own))
      keyring = changetype<key>(load<u32>(changetype<usize>(own) + ((2 - which) << 2)));
    if (which == 2 && nil(keyring)) {
      const u = find_user_keyrings(p.cred);
      if (!nil(u)) keyring = u.session;
    }
    if (nil(keyring)) continue;
    const found = R.keyring_search_tree(s, keyring);
    if (!IS_ERR(found)) return found;
    const error = PTR_ERR(found);
    if (error == -E.ENOKEY || (error == -E.EAGAIN && which > 0 && !ret)) ret = error;
    else if (error != -E.EAGAIN) err = error;
  }
  return ERR_PTR<key>(ret ? ret : err);
}

function find_user_keyrings(c: cred): user_keyrings {
  let u = changetype<user_keyrings>(<usize>root().user_keyrings);
  while (!nil(u) && (u.ns != c.user_ns.inum || u.uid != c.uid)) u = u.next;
  return u;
}

/** A key with the possession bit, as lookups give it. */
export function ref_key(ref: usize): key {
  return changetype<key>(ref & ~1);
}
export function ref_possessed(ref: usize): bool {
  return (ref & 1) != 0;
}
/** Is it a negative errno? */
export function is_err_ref(ref: usize): bool {
  return IS_ERR(changetype<key>(ref));
}
function make_ref(k: key, possessed: bool): usize {
  return changetype<usize>(k) | (possessed ? 1 : 0);
}

/** A session keyring for a task that has none, or only its user's while it wants to write. */
function need_session_keyring(p: task_struct, create: bool): i32 {
  const own = keyrings_of(p.cred);
  const session = nil(own) ? NULL<key>() : own.session;
  if (!nil(session) && !(create && session.flags & X.KEY_FLAG_UID_KEYRING)) return 0;
  const u = look_up_user_keyrings(p.cred);
  if (IS_ERR(u)) return PTR_ERR(u);
  return create ? new_session_keyring(p) : install(p, SESSION, X.key_get(u.session));
}

/** The keyring that a special id names: a reference with possession, or a negative errno. */
function special_keyring(p: task_struct, id: i32, create: bool): usize {
  const own = keyrings_of(p.cred);
  if (id == K.KEY_SPEC_THREAD_KEYRING || id == K.KEY_SPEC_PROCESS_KEYRING) {
    const thread = id == K.KEY_SPEC_THREAD_KEYRING;
    let k = NULL<key>();
    if (!nil(own)) k = thread ? own.thread : own.process;
    if (!nil(k)) return make_ref(k, true);
    if (!create) return <usize>-E.ENOKEY;
    const error = install_own(p, thread ? THREAD : PROCESS);
    if (error) return <usize>error;
    const fresh = keyrings_of(p.cred);
    return make_ref(thread ? fresh.thread : fresh.process, true);
  }
  if (id == K.KEY_SPEC_SESSION_KEYRING) {
    const error = need_session_keyring(p, create);
    return error ? <usize>error : make_ref(keyrings_of(p.cred).session, true);
  }
  if (id == K.KEY_SPEC_USER_KEYRING || id == K.KEY_SPEC_USER_SESSION_KEYRING) {
    const u = look_up_user_keyrings(p.cred);
    if (IS_ERR(u)) return <usize>PTR_ERR(u);
    return make_ref(id == K.KEY_SPEC_USER_KEYRING ? u.user : u.session, false);
  }
  return <usize>(id == K.KEY_SPEC_REQKEY_AUTH_KEY ? -E.ENOKEY : -E.EINVAL);
}

/**
 * The key that `id` names to `p`, with the possession bit; `need`: KEY_NEED_*, 0: none. `create`:
 * special keyrings are made when missing; `partial`: invalid keys too. A negative errno: EINVAL,
 * ENOKEY, EKEYREVOKED, EKEYEXPIRED, EACCES, ENOMEM, EDQUOT.
 */
export function lookup_user_key(
  p: task_struct,
  id: i32,
  create: bool,
  partial: bool,
  need: u32,
): usize {
  let ref: usize = 0;
  if (id < 1) {
    ref = special_keyring(p, id, create);
    if (is_err_ref(ref)) return ref;
  } else {
    const k = X.key_lookup(id);
    if (nil(k)) return <usize>-E.ENOKEY;
    const s = begin_search(p);
    s.target = k;
    s.flags = R.SEARCH_NO_STATE_CHECK;
    ref = make_ref(k, same(search_process_keyrings(p, s), k));
  }
  const k = ref_key(ref);
  if (!partial) {
    const bad = X.key_validate(k);
    if (bad) return <usize>bad;
  }
  const box: container = p.signal.leader.container;
  if (need && X.key_permission(k, ref_possessed(ref), p.cred, box, need)) return <usize>-E.EACCES;
  return ref;
}
