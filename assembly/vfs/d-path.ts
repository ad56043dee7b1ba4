// The text of where something is (fs/d_path.c): written from its end to its beginning.
import { dentry } from "./dcache.ts";
import { same } from "../lib/err.ts";
import { mount } from "./mount.ts";

/** Puts the name of `d` and a slash before `at`; 0: no room from `from` on. */
function prepend_name(from: usize, at: usize, d: dentry): usize {
  if (at - from < d.len + 1) return 0;
  at -= d.len;
  memory.copy(at, d.name, d.len);
  at -= 1;
  store<u8>(at, 47);
  return at;
}

/**
 * The path of `d` in `m` below the root `top` of `top_mnt`, into the bytes that end at `end`.
 * Return: where it begins; 0: there is no room. What the root does not lead to begins with
 * "(unreachable)", as getcwd(2) has it.
 */
export function prepend_path(
  from: usize,
  end: usize,
  m: mount,
  d: dentry,
  top_mnt: mount,
  top: dentry,
): usize {
  let at = end;
  while (!same(d, top) || !same(m, top_mnt)) {
    if (same(d, m.root)) {
      if (same(m.parent, m)) return prepend_unreachable(from, at == end ? slash(at) : at);
      d = m.mountpoint;
      m = m.parent;
      continue;
    }
    // moved out of what the mount shows
    if (same(d.parent, d)) return prepend_unreachable(from, at == end ? slash(at) : at);
    at = prepend_name(from, at, d);
    if (!at) return 0;
    d = d.parent;
  }
  return at == end ? slash(at) : at;
}

function slash(at: usize): usize {
  store<u8>(at - 1, 47);
  return at - 1;
}

/** "(unreachable)" in front. */
function prepend_unreachable(from: usize, at: usize): usize {
  if (at - from < 13) return 0;
  store<u64>(at - 13, 0x68636165726e7528);
  store<u32>(at - 5, 0x656c6261);
  store<u8>(at - 1, 0x29);
  return at - 13;
}
