// Options of file systems, given one by one by fsconfig(2) or as the list of mount(2): which each
// type takes, and what their values mean (tmpfs(5), fs/fs_parser.c).
import { nil } from "../lib/err.ts";
import * as C from "./fs-context.ts";
import { fs_context, fs_options } from "./fs-context.ts";
import { FS_DATA, root } from "../lib/root.ts";
import { kmalloc } from "../lib/slab.ts";
import * as B from "./super.ts";
import { super_block } from "./super.ts";
import { INVALID_ID } from "../namespace/uid-map.ts";
import { make_kgid, make_kuid, user_namespace } from "../namespace/user-namespace.ts";
import { EINVAL, ENOMEM } from "../uapi/errno.ts";
import * as F from "../uapi/mount.ts";

// What kind of value an option comes with.
export const VALUE_FLAG: u32 = 0;
export const VALUE_STRING: u32 = 1;
/** Bytes, a path or a descriptor: no option of these types takes one. */
export const VALUE_OTHER: u32 = 2;

// Names of options, first byte lowest; of the longer ones the first eight bytes.
const RO: u64 = 0x6f72;
const RW: u64 = 0x7772;
const SYNC: u64 = 0x636e7973;
const ASYNC: u64 = 0x636e797361;
const DIRSYNC: u64 = 0x636e7973726964;
const LAZYTIME: u64 = 0x656d6974797a616c;
const NOLAZYTI: u64 = 0x6974797a616c6f6e;
const ME: u64 = 0x656d;
const MAND: u64 = 0x646e616d;
const NOMAND: u64 = 0x646e616d6f6e;
export const SOURCE: u64 = 0x656372756f73;
const SIZE: u64 = 0x657a6973;
const MODE: u64 = 0x65646f6d;
const UID: u64 = 0x646975;
const GID: u64 = 0x646967;
const NR_INODE: u64 = 0x65646f6e695f726e;
const NR_BLOCK: u64 = 0x6b636f6c625f726e;
const S: u64 = 0x73;
const HUGE: u64 = 0x65677568;
const NEVER: u64 = 0x726576656e;
const INODE32: u64 = 0x323365646f6e69;
const INODE64: u64 = 0x343665646f6e69;
const NOSWAP: u64 = 0x706177736f6e;
const HIDEPID: u64 = 0x64697065646968;
const SUBSET: u64 = 0x746573627573;
const PID: u64 = 0x646970;

/** An option is none that the type knows. */
const ENOPARAM: i32 = 1;
const NOT_A_NUMBER: u64 = u64.MAX_VALUE;

/** Up to eight bytes of a text from `from` on, first byte lowest. */
function word_at(at: usize, len: u32, from: u32): u64 {
  let word: u64 = 0;
  for (let i = min<u32>(len, from + 8); i > from; --i) {
    word = (word << 8) | (<u64>load<u8>(at + i - 1));
  }
  return word;
}

/** Is the text exactly that of the two words? */
export function is_text(at: usize, len: u32, first: u64, second: u64): bool {
  if (len > 16 || word_at(at, len, 0) != first) return false;
  return word_at(at, len, 8) == second;
}

function digit_of(byte: u32): u32 {
  if (byte - 48 < 10) return byte - 48;
  const letter = byte | 32;
  return letter - 97 < 26 ? letter - 87 : 99;
}

// Where the parsing of a number stopped: one at a time runs.
@unmanaged
class number_end {
  at: u32;
}

/**
 * A number to the base that it says itself (0x, 0) or to base 8. Its end is left at NUMBER_END.
 * Return: NOT_A_NUMBER when there is no digit, or too many.
 */
function parse_number(at: usize, len: u32, octal: bool): u64 {
  let i: u32 = 0;
  let base: u64 = octal ? 8 : 10;
  if (!octal && len > 1 && load<u8>(at) == 48) {
    base = 8;
    if ((load<u8>(at + 1) | 32) == 120) {
      base = 16;
      i = 2;
    }
  }
  const first = i;
  let value: u64 = 0;
  while (i < len && <u64>digit_of(load<u8>(at + i)) < base) {
    if (value >> 59) return NOT_A_NUMBER;
    value = value * base + <u64>digit_of(load<u8>(at + i));
    i += 1;
  }
  changetype<number_end>(C.NUMBER_END).at = i;
  return i == first ? NOT_A_NUMBER : value;
}

/** All of the text is one number of 32 bits. Return: it, or NOT_A_NUMBER. */
function parse_u32(at: usize, len: u32, octal: bool): u64 {
  const value = parse_number(at, len, octal);
  if (value > <u64>u32.MAX_VALUE) return NOT_A_NUMBER;
  return changetype<number_end>(C.NUMBER_END).at == len ? value : NOT_A_NUMBER;
}

/** A number with a suffix K, M, G, T, P or E; percent of the memory where `percent` allows it. */
function parse_size(at: usize, len: u32, percent: bool): u64 {
  let value = parse_number(at, len, false);
  let i = changetype<number_end>(C.NUMBER_END).at;
  if (value == NOT_A_NUMBER) {
    // nothing at all is zero, as Linux has it
    if (len && digit_of(load<u8>(at)) < 10) return value;
    value = 0;
    i = 0;
  }
  let shift: u64 = 0;
  if (i < len) {
    const suffix = load<u8>(at + i) | 32;
    if (suffix == 107) shift = 10;
    else if (suffix == 109) shift = 20;
    else if (suffix == 103) shift = 30;
    else if (suffix == 116) shift = 40;
    else if (suffix == 112) shift = 50;
    else if (suffix == 101) shift = 60;
    if (shift) i += 1;
  }
  if (shift && value >> (63 - shift)) return NOT_A_NUMBER;
  value <<= shift;
  if (percent && i + 1 == len && load<u8>(at + i) == 37) {
    // half of the memory is what a file system gets of itself
    return value > 1_000_000 ? NOT_A_NUMBER : (value * total_pages() * 4096) / 100;
  }
  return i == len ? value : NOT_A_NUMBER;
}

function total_pages(): u64 {
  return <u64>root().fs_pages_max * 2;
}

/** Options that every file system has. Return: 0 or ENOPARAM. */
function parse_sb_flag(o: fs_options, key: usize, len: u32): i32 {
  let flag: u32 = 0;
  let clears = false;
  const word = word_at(key, len, 0);
  if (is_text(key, len, NOLAZYTI, ME)) {
    flag = F.MS_LAZYTIME;
    clears = true;
  } else if (len <= 8) {
    if (word == RO || word == RW) flag = F.MS_RDONLY;
    else if (word == SYNC || word == ASYNC) flag = F.MS_SYNCHRONOUS;
    else if (word == DIRSYNC) flag = F.MS_DIRSYNC;
    else if (word == LAZYTIME) flag = F.MS_LAZYTIME;
    else if (word == MAND || word == NOMAND) flag = F.MS_MANDLOCK;
    clears = word == RW || word == ASYNC || word == NOMAND;
  }
  if (!flag) return ENOPARAM;
  o.sb_flags = clears ? o.sb_flags & ~flag : o.sb_flags | flag;
  o.sb_mask |= flag;
  return 0;
}

/** Where an option stands, and what came with it. */
@unmanaged
export class fs_parameter {
  key: u32;
  key_len: u32;
  value: u32;
  value_len: u32;
  type: u32; // VALUE_*
}

/** An option of tmpfs. Return: 0, -EINVAL, ENOPARAM. */
function shmem_parse(o: fs_options, ns: user_namespace, p: fs_parameter): i32 {
  const word = word_at(p.key, p.key_len, 0);
  const text = p.type == VALUE_STRING;
  if (p.key_len == 9 && load<u8>(p.key + 8) == <u8>S && (word == NR_INODE || word == NR_BLOCK)) {
    const n = text ? parse_size(p.value, p.value_len, false) : NOT_A_NUMBER;
    if (n == NOT_A_NUMBER) return -EINVAL;
    const kept = <u32>min<u64>(n, u32.MAX_VALUE);
    if (word == NR_INODE) o.inodes = kept;
    else o.blocks = kept;
    o.seen |= word == NR_INODE ? C.SEEN_INODES : C.SEEN_BLOCKS;
    return 0;
  }
  if (p.key_len > 8) return ENOPARAM;
  if (word == SIZE) {
    const n = text ? parse_size(p.value, p.value_len, true) : NOT_A_NUMBER;
    if (n == NOT_A_NUMBER) return -EINVAL;
    o.blocks = <u32>min<u64>((n + 4095) / 4096, u32.MAX_VALUE);
    o.seen |= C.SEEN_BLOCKS;
    return 0;
  }
  if (word == MODE || word == UID || word == GID) return parse_root(o, ns, p, word);
  if (word == HUGE) {
    // there are no huge pages to be had
    return text && is_text(p.value, p.value_len, NEVER, 0) ? 0 : -EINVAL;
  }
  if (word == INODE32 || word == INODE64 || word == NOSWAP) {
    return p.type == VALUE_FLAG ? 0 : -EINVAL;
  }
  return ENOPARAM;
}

/** Mode and owner of the root directory. */
function parse_root(o: fs_options, ns: user_namespace, p: fs_parameter, word: u64): i32 {
  const text = p.type == VALUE_STRING;
  const n = text ? parse_u32(p.value, p.value_len, word == MODE) : NOT_A_NUMBER;
  if (n == NOT_A_NUMBER) return -EINVAL;
  if (word == MODE) {
    o.mode = (<u32>n) & 0o7777;
    o.seen |= C.SEEN_MODE;
    return 0;
  }
  const id = word == UID ? make_kuid(ns, <i32>n) : make_kgid(ns, <i32>n);
  if (id == INVALID_ID) return -EINVAL;
  if (word == UID) o.uid = id;
  else o.gid = id;
  o.seen |= word == UID ? C.SEEN_UID : C.SEEN_GID;
  return 0;
}

/** Options of proc: who sees what is said elsewhere, here they are words that it knows. */
function proc_parse(p: fs_parameter): i32 {
  const word = p.key_len > 8 ? 0 : word_at(p.key, p.key_len, 0);
  if (word != HIDEPID && word != SUBSET && word != GID) return ENOPARAM;
  if (p.type != VALUE_STRING) return -EINVAL;
  if (word == SUBSET) return is_text(p.value, p.value_len, PID, 0) ? 0 : -EINVAL;
  const n = parse_u32(p.value, p.value_len, false);
  if (word == GID) return n == NOT_A_NUMBER ? -EINVAL : 0;
  return n <= 2 || n == 4 ? 0 : -EINVAL;
}

/** What a type makes of an option of its own. Return: 0, -EINVAL, ENOPARAM. */
function type_parse(o: fs_options, type: u32, ns: user_namespace, p: fs_parameter): i32 {
  if (type == B.FS_TMPFS || type == B.FS_DEVTMPFS) return shmem_parse(o, ns, p);
  if (type == B.FS_PROC) return proc_parse(p);
  if (type != B.FS_RAMFS) return ENOPARAM;
  const mode = p.key_len == 4 && word_at(p.key, 4, 0) == MODE;
  return mode ? parse_root(o, ns, p, MODE) : ENOPARAM;
}

/** The source, which every type has and none of these needs. */
function parse_source(fc: fs_context, p: fs_parameter): i32 {
  if (p.type != VALUE_STRING) {
    logfc(fc, C.LOG_NO_TEXT, p, false);
    return -EINVAL;
  }
  if (fc.source) {
    logfc(fc, C.LOG_TWO_SOURCES, p, false);
    return -EINVAL;
  }
  // one byte more, so that an empty source is one too
  fc.source = <u32>kmalloc(p.value_len + 1);
  if (!fc.source) return -ENOMEM;
  fc.source_len = p.value_len + 1;
  memory.copy(fc.source, p.value, p.value_len);
  store<u8>(fc.source + p.value_len, 0);
  return 0;
}

function logfc(fc: fs_context, what: u32, p: fs_parameter, named: bool): void {
  if (!nil(fc)) C.logfc(fc, what, p.key, named ? p.key_len : 0);
}

/**
 * One option for a file system of `type`. `fc`: the context that it is for, if there is one: it has
 * a log, and a source. Return: 0, -EINVAL, -ENOMEM.
 */
export function vfs_parse_fs_param(
  o: fs_options,
  type: u32,
  ns: user_namespace,
  p: fs_parameter,
  fc: fs_context,
): i32 {
  if (!parse_sb_flag(o, p.key, p.key_len)) return 0;
  let r = type_parse(o, type, ns, p);
  if (r == -EINVAL) logfc(fc, C.LOG_BAD_VALUE, p, true);
  if (r != ENOPARAM) return r;
  if (is_text(p.key, p.key_len, SOURCE, 0)) {
    if (!nil(fc)) return parse_source(fc, p);
    return p.type == VALUE_STRING ? 0 : -EINVAL;
  }
  // ramfs takes what tmpfs would, and does nothing about it
  if (type == B.FS_RAMFS) return 0;
  logfc(fc, C.LOG_UNKNOWN, p, true);
  r = -EINVAL;
  return r;
}

/** The list `key[=value],...` of `len` bytes that mount(2) is given. Return: as for one of them. */
function parse_monolithic(o: fs_options, type: u32, ns: user_namespace, at: usize, len: u32): i32 {
  const p = changetype<fs_parameter>(C.FS_PARAMETER);
  let i: u32 = 0;
  while (i < len) {
    let end = i;
    while (end < len && load<u8>(at + end) != 44) ++end;
    let equal = i;
    while (equal < end && load<u8>(at + equal) != 61) ++equal;
    if (end > i && equal > i) {
      p.key = <u32>(at + i);
      p.key_len = equal - i;
      p.type = equal < end ? VALUE_STRING : VALUE_FLAG;
      p.value = <u32>(at + equal + 1);
      p.value_len = equal < end ? end - equal - 1 : 0;
      const bad = vfs_parse_fs_param(o, type, ns, p, changetype<fs_context>(0));
      if (bad) return bad;
    }
    i = end + 1;
  }
  return 0;
}

/** The list that a mount(2) has left at FS_DATA, up to its NUL. */
export function parse_data(o: fs_options, type: u32, ns: user_namespace): i32 {
  let len: u32 = 0;
  while (load<u8>(FS_DATA + len)) len += 1;
  return parse_monolithic(o, type, ns, FS_DATA, len);
}

/** The limits that were asked for, as far as the machine has that much. */
function limit(asked: u32, most: u32): u32 {
  return asked && (asked < most || !most) ? asked : most;
}

/** A new file system is as it was asked for. */
export function apply_options(sb: super_block, o: fs_options): void {
  const r = root();
  if (o.seen & C.SEEN_BLOCKS) sb.max_pages = limit(o.blocks, r.fs_pages_max);
  if (o.seen & C.SEEN_INODES) sb.max_inodes = limit(o.inodes, r.fs_inodes_max);
  if (o.sb_flags & F.MS_RDONLY) sb.flags |= F.MS_RDONLY;
}

/**
 * What can be changed of a file system that is in use: its limits, not below what there is. Without
 * an effect when it fails. Return: 0 or -EINVAL.
 */
export function reconfigure_options(sb: super_block, o: fs_options, fc: fs_context): i32 {
  if (sb.type != B.FS_TMPFS) return 0;
  const p = changetype<fs_parameter>(C.FS_PARAMETER);
  const blocks = o.seen & C.SEEN_BLOCKS && o.blocks;
  const inodes = o.seen & C.SEEN_INODES && o.inodes;
  if ((blocks && o.blocks < sb.nr_pages) || (inodes && o.inodes < sb.nr_inodes)) {
    logfc(fc, C.LOG_TOO_SMALL, p, false);
    return -EINVAL;
  }
  if (o.seen & C.SEEN_BLOCKS) sb.max_pages = limit(o.blocks, root().fs_pages_max);
  if (o.seen & C.SEEN_INODES) sb.max_inodes = limit(o.inodes, root().fs_inodes_max);
  return 0;
}
