// Writes to /proc/PID/{uid_map,gid_map,projid_map,setgroups} and what reading them gives
// (user_namespaces(7)).
import { seeded_fault } from "../lib/bug.ts";
import { cred, cred_ns_capable } from "../cred/cred.ts";
import { same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { proc_audit_read, proc_audit_write } from "../audit/proc-audit.ts";
import { PROC_GID_MAP, PROC_LOGINUID, PROC_SETGROUPS, PROC_UID_MAP, proc_file } from "./procfs.ts";
import { SCRATCH_USER } from "../lib/root.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user, copy_to_user, prepare_write } from "../lib/uaccess.ts";
import { CAP_SETFCAP, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN } from "../uapi/capability.ts";
import * as E from "../uapi/errno.ts";
import { PAGE_SIZE, UID_GID_MAP_MAX_EXTENTS } from "../uapi/limits.ts";
import * as M from "../namespace/uid-map.ts";
import { uid_gid_extent, uid_gid_map } from "../namespace/uid-map.ts";
import * as U from "../namespace/user-namespace.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

// Seeded faults (debug builds only): a map is written twice; anyone maps what they like.
const F_MAP_TWICE = 133;
const F_MAP_ANY = 134;

/** No capability is asked for: project ids. */
const NO_CAP = -1;
const EXTENTS_BYTES: u32 = UID_GID_MAP_MAX_EXTENTS * M.EXTENT_BYTES;

/** The map of a namespace that a proc file shows. */
function map_of(ns: user_namespace, what: u32): uid_gid_map {
  if (what == PROC_UID_MAP) return ns.uid_map;
  return what == PROC_GID_MAP ? ns.gid_map : ns.projid_map;
}

function is_space(at: usize): bool {
  const byte = load<u8>(at);
  return byte == 32 || (byte >= 9 && byte <= 13);
}
function skip_spaces(at: usize): usize {
  while (is_space(at)) ++at;
  return at;
}
function is_digit(at: usize): bool {
  return load<u8>(at) >= 48 && load<u8>(at) <= 57;
}

/** A line of three numbers at `at`, which ends with a NUL. False: it is none. */
function parse_line(at: usize, e: uid_gid_extent): bool {
  for (let i: usize = 0; i < 3; ++i) {
    at = skip_spaces(at);
    // wraps around as the C library's conversion does here
    let value: u64 = 0;
    while (is_digit(at)) {
      value = value * 10 + <u64>(load<u8>(at) - 48);
      ++at;
    }
    store<u32>(changetype<usize>(e) + (i << 2), <u32>value);
    const end = i == 2 && !load<u8>(at);
    if (!end && !is_space(at)) return false;
  }
  return !load<u8>(skip_spaces(at));
}

/** Is the extent one that a map may have? */
function valid_extent(e: uid_gid_extent): bool {
  if (e.first == 0xffffffff || e.lower_first == 0xffffffff) return false;
  return e.first + e.count > e.first && e.lower_first + e.count > e.lower_first;
}

/** The extents of the text at `text`, into `to`. Return: how many, or 0: it is no map. */
function parse_map(text: usize, to: usize): u32 {
  let nr: u32 = 0;
  for (let at = text; at;) {
    let next = at;
    while (load<u8>(next) && load<u8>(next) != 10) ++next;
    const more = load<u8>(next) == 10;
    store<u8>(next, 0);
    next = more && load<u8>(next, 1) ? next + 1 : 0;
    if (nr == UID_GID_MAP_MAX_EXTENTS) return 0;
    const e = changetype<uid_gid_extent>(to + nr * M.EXTENT_BYTES);
    if (!parse_line(at, e) || !valid_extent(e)) return 0;
    if (M.mappings_overlap(to, nr, e)) return 0;
    nr += 1;
    at = next;
  }
  return nr;
}

/** Whoever maps the parent's root must have been able to give files capabilities there. */
function verify_root_map(f: proc_file, ns: user_namespace, at: usize, nr: u32): bool {
  let root_mapped = false;
  for (let i: u32 = 0; i < nr; ++i) {
    if (!load<u32>(at + i * M.EXTENT_BYTES, 4)) root_mapped = true;
  }
  if (!root_mapped) return true;
  if (same(ns, f.cred.user_ns)) return (ns.flags & U.USERNS_PARENT_COULD_SETFCAP) != 0;
  return cred_ns_capable(f.cred, changetype<user_namespace>(ns.parent), CAP_SETFCAP);
}

/** May the map be written, with what stands in it? */
function new_idmap_permitted(p: task_struct, f: proc_file, cap: i32, at: usize, nr: u32): bool {
  if (seeded_fault(F_MAP_ANY)) return true;
  const ns = f.user_ns;
  const parent = changetype<user_namespace>(ns.parent);
  const opener: cred = f.cred;
  if (cap == CAP_SETUID && !verify_root_map(f, ns, at, nr)) return false;
  // one's own id alone needs no privilege; a group only when none can be dropped any more
  if (nr == 1 && load<u32>(at, 8) == 1 && ns.owner == opener.euid) {
    const id = load<i32>(at, 4);
    if (cap == CAP_SETUID && U.make_kuid(parent, id) == opener.euid) return true;
    if (cap == CAP_SETGID && !(ns.flags & U.USERNS_SETGROUPS_ALLOWED)) {
      if (U.make_kgid(parent, id) == opener.egid) return true;
    }
  }
  if (cap == NO_CAP) return true;
  return cred_ns_capable(p.cred, parent, cap) && cred_ns_capable(opener, parent, cap);
}

/** The lower ids of the extents become the kernel's; false when the parent maps one not. */
function lower_extents(ns: user_namespace, what: u32, at: usize, nr: u32): bool {
  const parent = changetype<user_namespace>(ns.parent);
  // the initial namespace shows every id as it is
  if (same(parent, U.init_user_ns())) return true;
  const map = map_of(parent, what);
  for (let i: u32 = 0; i < nr; ++i) {
    const e = changetype<uid_gid_extent>(at + i * M.EXTENT_BYTES);
    const lower = M.map_id_range_down(map, e.lower_first, e.count);
    if (lower == M.INVALID_ID) return false;
    e.lower_first = <u32>lower;
  }
  return true;
}

/** The map of `len` bytes at the scratch buffer becomes that of the namespace. 0 or errno. */
function set_map(p: task_struct, f: proc_file, cap: i32, extents: usize): i32 {
  const ns = f.user_ns;
  const map = map_of(ns, f.what);
  if (map.nr_extents && !seeded_fault(F_MAP_TWICE)) return -E.EPERM;
  if (cap != NO_CAP && !cred_ns_capable(f.cred, ns, CAP_SYS_ADMIN)) return -E.EPERM;
  const nr = parse_map(SCRATCH_USER, extents);
  if (!nr) return -E.EINVAL;
  if (!new_idmap_permitted(p, f, cap, extents, nr)) return -E.EPERM;
  if (!lower_extents(ns, f.what, extents, nr)) return -E.EPERM;
  if (map.nr_extents) M.free_map(map);
  return M.install_map(map, extents, nr) ? 0 : -E.ENOMEM;
}

/** A write to an id map: once, from its beginning. */
function map_write(p: task_struct, f: frame, at: file, pf: proc_file, count: u64): i32 {
  const ns = pf.user_ns;
  if (!ns.parent) return -E.EPERM;
  const opener = pf.cred.user_ns;
  const above = ns.parent == <u32>changetype<usize>(opener);
  if (!same(opener, ns) && !above) return -E.EPERM;
  if (at.pos != 0 || count >= <u64>PAGE_SIZE) return -E.EINVAL;
  const bad = copy_from_user(f, SCRATCH_USER, f.a1, <u32>count);
  if (bad) return bad;
  store<u8>(SCRATCH_USER + <usize>count, 0);
  const extents = kmalloc(EXTENTS_BYTES);
  if (!extents) return -E.ENOMEM;
  let cap = NO_CAP;
  if (pf.what == PROC_UID_MAP) cap = CAP_SETUID;
  else if (pf.what == PROC_GID_MAP) cap = CAP_SETGID;
  const error = set_map(p, pf, cap, extents);
  kfree(extents, EXTENTS_BYTES);
  if (error) return error;
  at.pos = count;
  return <i32>count;
}

/** "allow" or "deny", and nothing but spaces behind it: 1, 0; -1 is neither. */
function parse_setgroups(): i32 {
  const word = load<u32>(SCRATCH_USER);
  let rest: usize = SCRATCH_USER + 4;
  let allowed = 0;
  if (word == 0x6f6c6c61 && load<u8>(rest) == 119) {
    allowed = 1;
    rest += 1;
  } else if (word != 0x796e6564) {
    return -1;
  }
  return load<u8>(skip_spaces(rest)) ? -1 : allowed;
}

/** A write to setgroups: what is denied stays so, what is in use is not taken away. */
function setgroups_write(f: frame, at: file, ns: user_namespace, count: u64): i32 {
  if (at.pos != 0 || count >= 8) return -E.EINVAL;
  store<u64>(SCRATCH_USER, 0);
  const bad = copy_from_user(f, SCRATCH_USER, f.a1, <u32>count);
  if (bad) return bad;
  const allowed = parse_setgroups();
  if (allowed < 0) return -E.EINVAL;
  if (allowed) {
    if (!(ns.flags & U.USERNS_SETGROUPS_ALLOWED)) return -E.EPERM;
  } else {
    // the initial namespace has its groups mapped
    if (ns.nr_gids || !ns.parent) return -E.EPERM;
    ns.flags &= ~U.USERNS_SETGROUPS_ALLOWED;
  }
  at.pos = count;
  return <i32>count;
}

/** Is the file one of those whose contents are the kernel's? */
export function proc_is_kernels(pf: proc_file): bool {
  return proc_is_userns(pf) || pf.what >= PROC_LOGINUID;
}

function proc_is_userns(pf: proc_file): bool {
  return pf.what >= PROC_UID_MAP && pf.what <= PROC_SETGROUPS;
}

/** write(2) to a file of /proc. */
export function proc_write(p: task_struct, f: frame, at: file): i32 {
  const pf = at.proc;
  const count = f.a2;
  if (pf.what >= PROC_LOGINUID) return proc_audit_write(p, f, at);
  if (pf.what == PROC_SETGROUPS) return setgroups_write(f, at, pf.user_ns, count);
  if (proc_is_userns(pf)) return map_write(p, f, at, pf, count);
  return -E.EINVAL;
}

/** Appends a number, ten columns wide, and `end`. */
function put_number(to: usize, value: u32, end: u8): usize {
  for (let i: usize = 10; i > 0; --i) {
    const shown = value != 0 || i == 10;
    store<u8>(to + i - 1, shown ? <u8>(48 + (value % 10)) : 32);
    value /= 10;
  }
  store<u8>(to, end, 10);
  return to + 11;
}

/** The text of one extent as the reader sees it: below its own namespace, or one above. */
function show_extent(reader: user_namespace, f: proc_file, i: u32, to: usize): usize {
  const ns = f.user_ns;
  const init = U.init_user_ns();
  let lower_ns = reader;
  if (same(lower_ns, ns) && ns.parent) lower_ns = changetype<user_namespace>(ns.parent);
  // the initial namespace has one extent: everything
  let first: u32 = 0;
  let lower: u32 = 0;
  let count: u32 = 0xffffffff;
  if (!same(ns, init)) {
    const e = changetype<uid_gid_extent>(map_of(ns, f.what).extents + i * M.EXTENT_BYTES);
    first = e.first;
    lower = e.lower_first;
    count = e.count;
  }
  if (!same(lower_ns, init)) lower = <u32>M.map_id_up(map_of(lower_ns, f.what), lower);
  return put_number(put_number(put_number(to, first, 32), lower, 32), count, 10);
}

/** The whole text of the file from byte `pos`, at most `room` bytes, at the scratch buffer. */
function show(p: task_struct, f: proc_file, pos: u64, room: u32): u32 {
  const ns = f.user_ns;
  if (f.what == PROC_SETGROUPS) {
    const allowed = (ns.flags & U.USERNS_SETGROUPS_ALLOWED) != 0;
    store<u64>(SCRATCH_USER, allowed ? 0x0a776f6c6c61 : 0x0a796e6564);
    const len: u32 = allowed ? 6 : 5;
    if (pos >= <u64>len) return 0;
    memory.copy(SCRATCH_USER, SCRATCH_USER + <usize>pos, len);
    return min(len - <u32>pos, room);
  }
  const line: u64 = 33;
  const nr = same(ns, U.init_user_ns()) ? <u32>1 : map_of(ns, f.what).nr_extents;
  // whole lines come as long as they fit, as a sequence of records is read
  let at = SCRATCH_USER;
  const first = <u32>(pos / line);
  const skip = <u32>(pos % line);
  for (let i = first; i < nr && at + 33 <= SCRATCH_USER + 0x1000; ++i) {
    at = show_extent(f.cred.user_ns, f, i, at);
  }
  const have = <u32>(at - SCRATCH_USER);
  if (have <= skip) return 0;
  memory.copy(SCRATCH_USER, SCRATCH_USER + skip, have - skip);
  return min(have - skip, room);
}

/** read(2) of a file of /proc that is the kernel's. */
export function proc_read(p: task_struct, f: frame, at: file): i32 {
  const pf = at.proc;
  if (pf.what >= PROC_LOGINUID) return proc_audit_read(p, f, at);
  const room = f.a2 > 0x1000 ? 0x1000 : <u32>f.a2;
  const need = prepare_write(f, f.a1, room);
  if (need) return need;
  const n = show(p, pf, at.pos, room);
  if (n && copy_to_user(f, f.a1, SCRATCH_USER, n)) return -E.EFAULT;
  at.pos += n;
  return <i32>n;
}
