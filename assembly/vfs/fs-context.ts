// struct fs_context - a file system that is being configured, the object behind the descriptor of
// fsopen(2) and fspick(2) (linux/fs_context.h) - and its log, which read(2) gives line by line.
import { container, put_container } from "../container/container.ts";
import { get_ns, ns_common, put_ns } from "../namespace/namespace.ts";
import { nil } from "../lib/err.ts";
import { FS_PARAMS } from "../lib/root.ts";
import { seq_file, seq_putc } from "../lib/seq-file.ts";
import {
  CACHE_FS_CONTEXT,
  kfree,
  kmalloc,
  kmem_cache_free,
  kmem_cache_init,
  kmem_cache_zalloc,
} from "../lib/slab.ts";
import { deactivate_super, fs_name, super_block } from "./super.ts";
import { user_namespace } from "../namespace/user-namespace.ts";

/** Of the option that is being parsed: where a number ends, the option (fs-params.ts). */
export const NUMBER_END: usize = FS_PARAMS;
export const FS_PARAMETER: usize = FS_PARAMS + 16;
/** Options of a mount(2), struct fs_options. */
export const FS_OPTIONS: usize = FS_PARAMS + 48;
/** What a mount(2) is asked to do, and where (sys-vfsmount.ts). */
export const MOUNT_REQUEST: usize = FS_PARAMS + 96;
export const MOUNT_TARGET: usize = FS_PARAMS + 128;

// fs_context.phase
export const FS_CONTEXT_CREATE_NS: u32 = 0;
export const FS_CONTEXT_CREATE_PARAMS: u32 = 1;
export const FS_CONTEXT_AWAITING_MOUNT: u32 = 2;
export const FS_CONTEXT_AWAITING_RECONF: u32 = 3;
export const FS_CONTEXT_RECONF_PARAMS: u32 = 4;
export const FS_CONTEXT_FAILED: u32 = 5;

// fs_options.seen: which of them were given.
export const SEEN_BLOCKS: u32 = 1;
export const SEEN_INODES: u32 = 2;
export const SEEN_MODE: u32 = 4;
export const SEEN_UID: u32 = 8;
export const SEEN_GID: u32 = 16;

/** What a file system is told when it is made or reconfigured; 32 bytes. */
@unmanaged
export class fs_options {
  sb_flags: u32; // MS_* that concern the whole file system
  sb_mask: u32; // those of them that were named
  seen: u32; // SEEN_*
  mode: u32; // of its root directory
  uid: i32; // kuid_t of that
  gid: i32;
  blocks: u32; // pages of 4 KiB; 0: no limit
  inodes: u32; // 0: no limit
}

// Lines of the log: what went wrong, and the name of the option.
export const LOG_UNKNOWN: u32 = 1;
export const LOG_BAD_VALUE: u32 = 2;
export const LOG_NO_TEXT: u32 = 3;
export const LOG_TWO_SOURCES: u32 = 4;
export const LOG_REUSED: u32 = 5;
export const LOG_TOO_SMALL: u32 = 6;

/** struct fs_context. Belongs to its open file. */
@unmanaged
export class fs_context extends fs_options {
  phase: u32; // FS_CONTEXT_*
  type: u32; // [C] FS_*; 0: of the world, which knows more of it
  by_write: u32; // [C] 1: made by the proposal's fsopen, configured by write(2)
  sb: super_block; // what was made or picked; an active reference
  user_ns: user_namespace; // who will own it: the opener's, or the container's; a reference
  shown: ns_common; // the namespace that it will show; a reference; null: it shows none
  container: container; // where it is going to be mounted; a reference; null: with the caller
  source: u32; // kmalloc'd bytes: what it will be mounted from
  source_len: u32;
  log: u32; // [C] log_line[LOG_LINES], a ring
  log_head: u32; // lines written so far
  log_tail: u32; // lines read or lost
}

/** A line of the log: a word that says what happened, the length of a name, the name. */
const LINE_BYTES: u32 = 64;
const LOG_LINES: u32 = 8;
const NAME_AT: u32 = 8;

export function fs_context_caches_init(): void {
  kmem_cache_init(CACHE_FS_CONTEXT, <u32>offsetof<fs_context>());
}

/** A context without owner yet; null when memory is exhausted. */
export function alloc_fs_context(type: u32, phase: u32): fs_context {
  const fc = changetype<fs_context>(kmem_cache_zalloc(CACHE_FS_CONTEXT));
  if (nil(fc)) return fc;
  fc.log = <u32>kmalloc(LINE_BYTES * LOG_LINES);
  if (!fc.log) {
    kmem_cache_free(CACHE_FS_CONTEXT, changetype<usize>(fc));
    return changetype<fs_context>(0);
  }
  fc.type = type;
  fc.phase = phase;
  return fc;
}

/** Whose it will be, and what it will show. */
export function fs_context_belongs(fc: fs_context, owner: user_namespace, shown: ns_common): void {
  const old_owner = fc.user_ns;
  const old_shown = fc.shown;
  get_ns(owner);
  fc.user_ns = owner;
  fc.shown = nil(shown) ? shown : get_ns(shown);
  put_ns(old_owner);
  put_ns(old_shown);
}

/** Its open file is released. */
export function put_fs_context(fc: fs_context): void {
  if (!nil(fc.sb)) deactivate_super(fc.sb);
  put_ns(fc.user_ns);
  put_ns(fc.shown);
  put_container(fc.container);
  kfree(fc.source, fc.source_len);
  kfree(fc.log, LINE_BYTES * LOG_LINES);
  kmem_cache_free(CACHE_FS_CONTEXT, changetype<usize>(fc));
}

/** What was configured has been used: the context is as if the file system had been picked. */
export function vfs_clean_context(fc: fs_context): void {
  memory.fill(changetype<usize>(fc), 0, offsetof<fs_options>());
  kfree(fc.source, fc.source_len);
  fc.source = fc.source_len = 0;
  fc.phase = FS_CONTEXT_AWAITING_RECONF;
}

/** Remembers what went wrong with an option; the oldest line makes room. */
export function logfc(fc: fs_context, what: u32, key: usize, len: u32): void {
  if (fc.log_head - fc.log_tail == LOG_LINES) fc.log_tail += 1;
  const line = fc.log + (fc.log_head & (LOG_LINES - 1)) * LINE_BYTES;
  const kept = min<u32>(len, LINE_BYTES - NAME_AT);
  store<u32>(line, what);
  store<u32>(line, kept, 4);
  memory.copy(line + NAME_AT, key, kept);
  fc.log_head += 1;
}

/** Is there a line that nobody has read? */
export function fc_log_empty(fc: fs_context): bool {
  return fc.log_head == fc.log_tail;
}

function put_bytes(s: seq_file, at: usize, len: u32): void {
  for (let i: u32 = 0; i < len; ++i) seq_putc(s, load<u8>(at + i));
}

/** Writes the oldest line and forgets it: class, type of the file system, what happened. */
export function fc_log_take(fc: fs_context, s: seq_file): void {
  const line = fc.log + (fc.log_tail & (LOG_LINES - 1)) * LINE_BYTES;
  fc.log_tail += 1;
  const what = load<u32>(line);
  seq_putc(s, what == LOG_REUSED ? 119 : 101);
  seq_putc(s, 32);
  for (let name = fs_name(fc.type); name; name >>= 8) seq_putc(s, (<u32>name) & 0xff);
  seq_puts(s, ": ");
  if (what == LOG_UNKNOWN) seq_puts(s, "no such option: ");
  else if (what == LOG_BAD_VALUE) seq_puts(s, "not a value of this option: ");
  else if (what == LOG_NO_TEXT) seq_puts(s, "the source has to be a text");
  else if (what == LOG_TWO_SOURCES) seq_puts(s, "there is a source already");
  else if (what == LOG_REUSED) seq_puts(s, "there is such a file system already");
  else seq_puts(s, "more than that is in use: ");
  put_bytes(s, line + NAME_AT, load<u32>(line, 4));
}
