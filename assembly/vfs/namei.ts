// From a path to where it leads (fs/namei.c). A call runs alone: nothing changes under a walk, so
// it holds no references; what is kept of its result takes them. Where it stands, and the rest of
// the paths around symbolic links, lie in a fixed place: no recursion.
import { container } from "../container/container.ts";
import { cred } from "../cred/cred.ts";
import { d_lookup, dentry } from "./dcache.ts";
import { IS_ERR, nil, PTR_ERR, same } from "../lib/err.ts";
import { frame } from "../lib/frame.ts";
import { I_DYNAMIC, is_dir, is_link, vfs_inode } from "./inode.ts";
import { lookup_mnt, mount } from "./mount.ts";
import { inode_permission, MAY_EXEC, may_follow_link } from "./permission.ts";
import { cold, task_struct } from "../process/task.ts";
import { proc_get_link } from "../proc/proc-links.ts";
import { proc_lookup, proc_permission } from "../proc/proc-vfs.ts";
import { strncpy_from_user } from "../lib/uaccess.ts";
import * as E from "../uapi/errno.ts";
import { MNT_NOSYMFOLLOW } from "../uapi/mount.ts";
import * as S from "../uapi/stat.ts";

// nameidata.flags. Those of RESOLVE_* keep their numbers, the walk's own are above.
export const LOOKUP_FOLLOW: u32 = 0x100;
export const LOOKUP_DIRECTORY: u32 = 0x200;
/** An empty path is where the walk begins (AT_EMPTY_PATH). */
export const LOOKUP_EMPTY: u32 = 0x400;
/** What the walk found: slashes behind the last name. */
export const LOOKUP_TRAILING: u32 = 0x800;

// nameidata.last_type
export const LAST_NORM: u32 = 0;
/** The path is nothing but slashes: there is no last name. */
export const LAST_ROOT: u32 = 1;
export const LAST_DOT: u32 = 2;
export const LAST_DOTDOT: u32 = 3;

/** What the walk found: a file that has no place, behind the link of proc at which it stands. */
export const LOOKUP_MAGIC: u32 = 0x1000;

/** What a step gives when it meets a link that is to be followed. */
export const STEP_LINK: i32 = 1;

/** struct nameidata - where a walk stands. A rest of a path for each link follows it. */
@unmanaged
export class nameidata {
  mnt: mount;
  dentry: dentry;
  root_mnt: mount; // what `/` is, and above which `..` does not lead
  root: dentry;
  cred: cred; // with whose rights
  flags: u32; // LOOKUP_*, RESOLVE_*
  last: u32; // the last name, in the path or in a link's text
  last_len: i32;
  last_type: u32; // LAST_*
  links: i32; // followed so far
  depth: i32; // rests of paths on the stack
  link: u32; // the text of the link that the last step met
  link_len: u32;
  path: u32; // address of the path
  len: i32;
  task: task_struct; // who walks
}
const STACK_AT: usize = 64;
if (offsetof<nameidata>() > STACK_AT) ERROR("the stack lies behind struct nameidata");

/**
 * A path from guest memory into `to`, one of the two places for paths.
 * Return: its length, -ENAMETOOLONG, -EFAULT, RET_NEED.
 */
export function getname(f: frame, to: usize, addr: u64): i32 {
  const len = strncpy_from_user(f, to, addr, S.PATH_MAX);
  return len == S.PATH_MAX ? -E.ENAMETOOLONG : len;
}

/** Has the task a root directory of the kernel's? If not, its paths are the world's. */
export function has_root(p: task_struct): bool {
  return !nil(cold(p).fs.root_mnt);
}

/**
 * Sets a walk up at a place of the kernel's file systems; `mnt` null: at the task's own root
 * directory, as an absolute path begins.
 */
export function nd_begin(at: usize, p: task_struct, path: usize, len: i32, flags: u32): nameidata {
  const nd = changetype<nameidata>(at);
  const fs = cold(p).fs;
  nd.mnt = fs.pwd_mnt;
  nd.dentry = fs.pwd;
  nd.root_mnt = fs.root_mnt;
  nd.root = fs.root;
  nd.cred = p.cred;
  nd.flags = flags;
  nd.last = 0;
  nd.last_len = 0;
  nd.last_type = LAST_ROOT;
  nd.links = 0;
  nd.depth = 0;
  nd.task = p;
  nd.path = <u32>path;
  nd.len = len;
  return nd;
}

/** The walk begins at a directory's descriptor. */
export function nd_from(nd: nameidata, mnt: mount, at: dentry): void {
  nd.mnt = mnt;
  nd.dentry = at;
}

/**
 * The walk is confined to a directory: it is what `/` is, and nothing leads above.
 * DEVIATION: D-28 - a container's descriptor is a root, not only a beginning
 */
export function nd_confine(nd: nameidata, mnt: mount, at: dentry): void {
  nd_from(nd, mnt, at);
  nd.root_mnt = mnt;
  nd.root = at;
  nd.flags |= S.RESOLVE_IN_ROOT;
}

/** The same of a container's root. */
export function nd_container(nd: nameidata, c: container): void {
  nd_confine(nd, c.root_mnt, c.root);
}

/** What openat2's flags say of the root. */
function set_root(nd: nameidata): void {
  if (!(nd.flags & (S.RESOLVE_BENEATH | S.RESOLVE_IN_ROOT))) return;
  nd.root_mnt = nd.mnt;
  nd.root = nd.dentry;
}

/** To `/`. Return: 0 or -EXDEV. */
function jump_root(nd: nameidata): i32 {
  if (nd.flags & S.RESOLVE_BENEATH) return -E.EXDEV;
  if (nd.flags & S.RESOLVE_NO_XDEV && !same(nd.root_mnt, nd.mnt)) return -E.EXDEV;
  nd.mnt = nd.root_mnt;
  nd.dentry = nd.root;
  return 0;
}

/** From a place to what is mounted there, and on that. Return: 0 or -EXDEV. */
function traverse_mounts(nd: nameidata): i32 {
  while (!nil(nd.dentry.mounts)) {
    const m = lookup_mnt(nd.mnt, nd.dentry);
    if (nil(m)) return 0;
    if (nd.flags & S.RESOLVE_NO_XDEV) return -E.EXDEV;
    nd.mnt = m;
    nd.dentry = m.root;
  }
  return 0;
}

/**
 * From the root of a mount out of it, and of all that it is mounted on the root of: to the place
 * that it covers. Return: 0, -EXDEV, or STAYS: there is nothing above that the walk may see.
 */
function choose_mountpoint(nd: nameidata): i32 {
  let m = nd.mnt;
  while (!same(m.parent, m)) {
    const at = m.mountpoint;
    m = m.parent;
    if (same(at, nd.root) && same(m, nd.root_mnt)) return STAYS;
    if (same(at, m.root)) continue;
    if (nd.flags & S.RESOLVE_NO_XDEV) return -E.EXDEV;
    nd.mnt = m;
    nd.dentry = at;
    return 0;
  }
  return STAYS;
}
const STAYS: i32 = 1;

/** One directory up: out of mounts, never above the root. Return: 0, -EXDEV, -ENOENT. */
function follow_dotdot(nd: nameidata): i32 {
  let up = same(nd.dentry, nd.root) && same(nd.mnt, nd.root_mnt) ? STAYS : 0;
  if (!up && same(nd.dentry, nd.mnt.root)) up = choose_mountpoint(nd);
  if (up == STAYS) return nd.flags & S.RESOLVE_BENEATH ? -E.EXDEV : traverse_mounts(nd);
  if (up) return up;
  // what has been moved out of the mount has no parent in it
  if (!path_connected(nd.mnt, nd.dentry.parent)) return -E.ENOENT;
  nd.dentry = nd.dentry.parent;
  return traverse_mounts(nd);
}

/** Is the directory still below what its mount shows? */
function path_connected(m: mount, d: dentry): bool {
  if (same(m.root.parent, m.root)) return true;
  while (!same(d, m.root)) {
    if (same(d.parent, d)) return false;
    d = d.parent;
  }
  return true;
}

/** Is the link to be followed? Return: STEP_LINK, 0 when the walk is there, or an errno. */
function pick_link(nd: nameidata, dir: vfs_inode, d: dentry, trailing: bool): i32 {
  const i = d.inode;
  nd.links += 1;
  if (nd.links > S.MAXSYMLINKS) return -E.ELOOP;
  if (trailing && !may_follow_link(nd.cred, dir, i)) return -E.EACCES;
  if (nd.flags & S.RESOLVE_NO_SYMLINKS || nd.mnt.flags & MNT_NOSYMFOLLOW) return -E.ELOOP;
  if (i.state & I_DYNAMIC) return proc_get_link(nd, d);
  nd.link = i.data;
  nd.link_len = i.cap;
  return STEP_LINK;
}

/**
 * One name further. Return: 0, STEP_LINK with nd.link, -ENOENT and others. `follow`: links are
 * followed; `trailing`: it is the last name.
 */
function walk_component(nd: nameidata, follow: bool, trailing: bool): i32 {
  if (nd.last_type == LAST_DOTDOT) return follow_dotdot(nd);
  if (nd.last_type != LAST_NORM) return 0;
  const dir = nd.dentry.inode;
  const child = lookup_one(nd);
  if (nil(child)) return -E.ENOENT;
  if (IS_ERR(child)) return PTR_ERR(child);
  if (is_link(child.inode) && follow) return pick_link(nd, dir, child, trailing);
  nd.dentry = child;
  return traverse_mounts(nd);
}

function type_of_name(at: usize, len: i32): u32 {
  if (load<u8>(at) != 46 || len > 2) return LAST_NORM;
  if (len == 1) return LAST_DOT;
  return load<u8>(at + 1) == 46 ? LAST_DOTDOT : LAST_NORM;
}

function push_rest(nd: nameidata, at: usize, end: usize): void {
  const slot = changetype<usize>(nd) + STACK_AT + ((<usize>nd.depth) << 3);
  store<u32>(slot, <u32>at);
  store<u32>(slot, <u32>end, 4);
  nd.depth += 1;
}

/** The directory at which the walk stands may be searched. Return: 0, -ENOTDIR, -EACCES. */
function may_lookup(nd: nameidata): i32 {
  const i = nd.dentry.inode;
  if (!is_dir(i)) return -E.ENOTDIR;
  const bad = inode_permission(nd.cred, i, MAY_EXEC);
  return bad && i.state & I_DYNAMIC ? proc_permission(nd.task, i, bad) : bad;
}

/** Walks to the directory of the last name of [at, end), which is left in nd.last. */
function link_path_walk(nd: nameidata, at: usize, end: usize): i32 {
  if (at < end && load<u8>(at) == 47) {
    const bad = jump_root(nd);
    if (bad) return bad;
  }
  while (true) {
    while (at < end && load<u8>(at) == 47) ++at;
    if (at == end) {
      nd.last_type = LAST_ROOT;
      if (!nd.depth) return 0;
      nd.depth -= 1;
      const slot = changetype<usize>(nd) + STACK_AT + ((<usize>nd.depth) << 3);
      at = load<u32>(slot);
      end = load<u32>(slot, 4);
      continue;
    }
    let bad = may_lookup(nd);
    if (bad) return bad;
    let stop = at;
    while (stop < end && load<u8>(stop) != 47) ++stop;
    let rest = stop;
    while (rest < end && load<u8>(rest) == 47) ++rest;
    nd.last = <u32>at;
    nd.last_len = <i32>(stop - at);
    nd.last_type = type_of_name(at, nd.last_len);
    if (rest == end && !nd.depth) {
      if (rest != stop) nd.flags |= LOOKUP_TRAILING;
      // too long a name is nowhere, and nothing of that name is made
      return nd.last_len > S.NAME_MAX ? -E.ENAMETOOLONG : 0;
    }
    if (nd.last_len > S.NAME_MAX) return -E.ENAMETOOLONG;
    bad = walk_component(nd, true, false);
    if (bad < 0) return bad;
    at = rest;
    if (bad != STEP_LINK) continue;
    if (rest < end) push_rest(nd, rest, end);
    at = nd.link;
    end = at + nd.link_len;
    if (load<u8>(at) != 47) continue;
    bad = jump_root(nd);
    if (bad) return bad;
  }
}

/** Follows the link that the last name was: the walk goes on with its text. */
function follow_last(nd: nameidata): i32 {
  return link_path_walk(nd, nd.link, nd.link + nd.link_len);
}

/** To the directory of the path's last name, which may be there or not. */
export function filename_parentat(nd: nameidata): i32 {
  if (!nd.len) return -E.ENOENT;
  set_root(nd);
  return link_path_walk(nd, nd.path, nd.path + nd.len);
}

/** From there on to what the last name is, its links followed or not by LOOKUP_FOLLOW. */
export function lookup_last(nd: nameidata): i32 {
  while (nd.last_type != LAST_ROOT) {
    const trailing = (nd.flags & LOOKUP_TRAILING) != 0;
    if (trailing) nd.flags |= LOOKUP_DIRECTORY;
    const r = walk_component(nd, trailing || (nd.flags & LOOKUP_FOLLOW) != 0, true);
    if (r < 0) return r;
    if (r != STEP_LINK) break;
    const bad = follow_last(nd);
    if (bad) return bad;
  }
  const dir = nd.flags & LOOKUP_DIRECTORY && !is_dir(nd.dentry.inode);
  return dir ? -E.ENOTDIR : 0;
}

/** Where a path leads to: nd.mnt, nd.dentry. Return: 0 or an errno. */
export function path_lookupat(nd: nameidata): i32 {
  if (!nd.len) {
    if (!(nd.flags & LOOKUP_EMPTY)) return -E.ENOENT;
    set_root(nd);
    return nd.flags & LOOKUP_DIRECTORY && !is_dir(nd.dentry.inode) ? -E.ENOTDIR : 0;
  }
  const bad = filename_parentat(nd);
  return bad ? bad : lookup_last(nd);
}

/** The last name in its directory, links not followed; null or ERR_PTR: it is not there. */
export function lookup_one(nd: nameidata): dentry {
  const dir = nd.dentry;
  if (dir.inode.state & I_DYNAMIC) return proc_lookup(dir, nd.last, nd.last_len);
  return d_lookup(dir.inode, nd.last, <u32>nd.last_len);
}

/** A step of open(2), which makes the last name where it is not there. */
export function step_last(nd: nameidata): i32 {
  const trailing = (nd.flags & LOOKUP_TRAILING) != 0;
  const r = walk_component(nd, trailing || (nd.flags & LOOKUP_FOLLOW) != 0, true);
  if (r != STEP_LINK) return r;
  const bad = follow_last(nd);
  return bad ? bad : STEP_AGAIN;
}

/** What step_last gives when the last name was a link: the walk stands before another one. */
export const STEP_AGAIN: i32 = 2;
