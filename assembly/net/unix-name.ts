// Names of unix sockets: bind(2) and connect(2) of AF_UNIX. Abstract names are of one network
// namespace. A name that is a path belongs to a file system. For tasks with a root of the kernel's
// it is a node there; for others the kernel knows the sockets by the path's text, and where the
// host says what the world's file system answers, that counts.
import { IS_ERR, nil, PTR_ERR, RET_BLOCKED, same } from "../lib/err.ts";
import { file } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { init_net, net_namespace, net_ready } from "./net-namespace.ts";
import { SCRATCH_ADDR } from "../lib/root.ts";
import { family_of, nonblock, wait_on_sock } from "./sock-addr.ts";
import * as S from "./sock.ts";
import { sock } from "./sock.ts";
import { task_struct } from "../process/task.ts";
import * as U from "./unix.ts";
import * as E from "../uapi/errno.ts";
import * as F from "../uapi/frame.ts";
import * as K from "../uapi/socket.ts";
import { has_root } from "../vfs/namei.ts";
import { vfs_find_sock, vfs_mknod_sock } from "../vfs/sock-node.ts";

const NAME: usize = SCRATCH_ADDR + 2;

/** Is the name at SCRATCH_ADDR one at all? Return: 0 or -EINVAL. */
function check_name(len: i32): i32 {
  if (len <= 2 || len > 2 + <i32>S.UNIX_PATH_MAX) return -E.EINVAL;
  return family_of(len) == K.AF_UNIX ? 0 : -E.EINVAL;
}

function is_path(): bool {
  return load<u8>(NAME) != 0;
}

/** Bytes of the name: a path ends at its NUL, an abstract name where the caller says. */
function name_len(len: i32): u32 {
  const most = <u32>len - 2;
  if (!is_path()) return most;
  let n: u32 = 0;
  while (n < most && load<u8>(NAME + n)) ++n;
  return n;
}

/** Where a name is looked up: paths are the same for all network namespaces. */
function names_of(net: net_namespace): net_namespace {
  return is_path() ? init_net() : net;
}

/**
 * The socket that the name at SCRATCH_ADDR leads to. Return: 0, with its address in `found`;
 * -ECONNREFUSED, -ENOENT, -EPROTOTYPE.
 */
function lookup(p: task_struct, f: frame, s: sock, len: i32): i32 {
  const n = name_len(len);
  if (!is_path()) {
    const other = U.find_unix(s.net, NAME, n, s.type);
    store<u32>(SCRATCH_ADDR + 112, <u32>changetype<usize>(other));
    return nil(other) ? -E.ECONNREFUSED : 0;
  }
  if (has_root(p)) return lookup_node(p, s, n);
  // whether the path leads anywhere, and for whom, the file system says
  if (f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  const bad = net_ready(init_net());
  if (bad) return bad;
  const other = U.find_unix(init_net(), NAME, n, 0);
  store<u32>(SCRATCH_ADDR + 112, <u32>changetype<usize>(other));
  if (nil(other)) return -E.ENOENT;
  return other.type == s.type ? 0 : -E.EPROTOTYPE;
}

/** The same by a node of the kernel's own. */
function lookup_node(p: task_struct, s: sock, n: u32): i32 {
  const r = vfs_find_sock(p, NAME, <i32>n);
  if (r < 0) return r;
  store<i32>(SCRATCH_ADDR + 112, r);
  if (!r) return -E.ECONNREFUSED;
  return found().type == s.type ? 0 : -E.EPROTOTYPE;
}

/** The socket that the last lookup found. */
export function found(): sock {
  return changetype<sock>(<usize>load<u32>(SCRATCH_ADDR + 112));
}

/** Where a message to the name at SCRATCH_ADDR goes: found(). Return: 0 or errno. */
export function unix_target(p: task_struct, f: frame, s: sock, len: i32): i32 {
  const bad = check_name(len);
  return bad ? bad : lookup(p, f, s, len);
}

function hex_digit(n: u32): u8 {
  return <u8>(n < 10 ? 48 + n : 87 + n);
}

/** A name that nobody has: a NUL and five hex digits. Return: 0, -ENOMEM, -ENOSPC. */
export function unix_autobind(s: sock): i32 {
  if (!nil(s.addr)) return 0;
  const net = s.net;
  for (let tries: u32 = 0; tries < 0x100000; ++tries) {
    const n = (net.autobind + tries) & 0xfffff;
    store<u8>(NAME, 0);
    for (let i: u32 = 0; i < 5; ++i) store<u8>(NAME + 1 + i, hex_digit((n >> ((4 - i) << 2)) & 15));
    if (!nil(U.find_unix(net, NAME, 6, s.type))) continue;
    const a = S.alloc_address(NAME, 6);
    if (nil(a)) return -E.ENOMEM;
    net.autobind = n + 1;
    U.set_name(s, a, net);
    return 0;
  }
  return -E.ENOSPC;
}

/** A node of the kernel's own for a path of `n` bytes. */
function bind_node(p: task_struct, s: sock, n: u32): i32 {
  const a = S.alloc_address(NAME, n);
  if (nil(a)) return -E.ENOMEM;
  const node = vfs_mknod_sock(p, NAME, <i32>n, <u32>changetype<usize>(s));
  if (IS_ERR(node)) {
    S.put_address(a);
    return PTR_ERR(node);
  }
  s.addr = a;
  s.node = node;
  return 0;
}

/** bind(2): the name of `len` bytes at SCRATCH_ADDR. */
export function unix_bind(p: task_struct, f: frame, s: sock, len: i32): i32 {
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  if (len == 2 && family_of(len) == K.AF_UNIX) return peek ? 0 : unix_autobind(s);
  const bad = check_name(len);
  if (bad) return bad;
  const path = is_path();
  if (path && f.assist & F.ASSIST_ERRNO) return -f.assist_val;
  if (!nil(s.addr)) return -E.EINVAL;
  const n = name_len(len);
  if (path && has_root(p)) return peek ? 0 : bind_node(p, s, n);
  const net = names_of(s.net);
  const unready = net_ready(net);
  if (unready) return unready;
  const taken = !nil(U.find_unix(net, NAME, n, path ? 0 : s.type));
  // the host says that the path is free: the file was removed, and its socket has lost the name
  if (taken && !(path && f.assist & F.ASSIST_RET)) return -E.EADDRINUSE;
  if (peek) return 0;
  const a = S.alloc_address(NAME, n);
  if (nil(a)) return -E.ENOMEM;
  U.set_name(s, a, net);
  return 0;
}

/** connect(2): the name of `len` bytes at SCRATCH_ADDR. */
export function unix_connect(p: task_struct, f: frame, at: file, len: i32): i32 {
  const s = at.sock;
  if (S.connected(s)) return stream_connect(p, f, at, len);
  if (len < 2) return -E.EINVAL;
  const peek = (f.assist & F.ASSIST_PEEK) != 0;
  if (family_of(len) == K.AF_UNSPEC) {
    if (!peek) U.unix_disconnect(s);
    return 0;
  }
  const bad = check_name(len);
  if (bad) return bad;
  const lost = lookup(p, f, s, len);
  if (lost) return lost;
  const other = found();
  if (!may_send(s, other)) return -E.EPERM;
  if (peek) return 0;
  if (s.passcred) {
    const unbound = unix_autobind(s);
    if (unbound) return unbound;
  }
  other.count += 1;
  U.unix_disconnect(s);
  s.peer = other;
  s.state = S.TCP_ESTABLISHED;
  return 0;
}

/** A socket of datagrams that is connected takes them from its peer alone. */
function may_send(s: sock, to: sock): bool {
  return nil(to.peer) || same(to.peer, s);
}

function stream_connect(p: task_struct, f: frame, at: file, len: i32): i32 {
  const s = at.sock;
  if (f.phase && !nil(s.parent)) S.unlist(s);
  const bad = check_name(len);
  if (bad) return bad;
  const lost = lookup(p, f, s, len);
  if (lost) return lost;
  const listener = found();
  if (listener.state != S.TCP_LISTEN) return -E.ECONNREFUSED;
  if (listener.shutdown & S.RCV_SHUTDOWN) return -E.ECONNREFUSED;
  if (listener.nr_children > listener.backlog) return wait_for_room(p, f, at, listener);
  if (s.state == S.TCP_ESTABLISHED) return -E.EISCONN;
  if (s.state != S.TCP_CLOSE) return -E.EINVAL;
  if (f.assist & F.ASSIST_PEEK) return 0;
  // whoever accepts is the world's
  if (listener.opaque) {
    s.opaque = 1;
    s.state = S.TCP_ESTABLISHED;
    return 0;
  }
  const child = U.new_child(listener);
  if (nil(child)) return -E.ENOMEM;
  if (s.passcred) {
    const unbound = unix_autobind(s);
    if (unbound) {
      S.put_sock(child);
      return unbound;
    }
  }
  U.set_peercred(child, p.signal.tgid_pid, p.cred);
  U.unix_connect_stream(s, listener, child);
  return 0;
}

/** The queue of `to` is full: `at` waits until there is room, and then tries again. */
export function wait_for_room(p: task_struct, f: frame, at: file, to: sock): i32 {
  const s = at.sock;
  if (nonblock(at, 0)) return -E.EAGAIN;
  const r = wait_on_sock(p, f, at, s.sndtimeo);
  if (r == RET_BLOCKED && nil(s.parent)) S.enlist(s, to, to.pending);
  return r;
}
