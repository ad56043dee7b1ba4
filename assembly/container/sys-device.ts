// container_devices, and where its list is enforced: mknod, mknodat, and open of what the world
// says is a device node.
import { cred_ns_capable } from "../cred/cred.ts";
import { DEVICE_BYTES, device_allowed, set_devices } from "./device.ts";
import { IS_ERR, PTR_ERR } from "../lib/err.ts";
import { container_of_fd } from "../fs/file.ts";
import { frame } from "../lib/frame.ts";
import { init_user_ns } from "../namespace/user-namespace.ts";
import { kfree, kmalloc } from "../lib/slab.ts";
import { container_permission } from "./sys-container.ts";
import { sys_world_call } from "../fs/sys-file.ts";
import { task_struct } from "../process/task.ts";
import { copy_from_user } from "../lib/uaccess.ts";
import { CAP_MKNOD } from "../uapi/capability.ts";
import { CONTAINER_DEVICES_MAX, CONTAINER_FLAG_INIT_STARTED } from "../uapi/container.ts";
import * as E from "../uapi/errno.ts";
import { S_IFBLK, S_IFCHR, S_IFMT } from "../uapi/fcntl.ts";
import { ASSIST_DEVICE, ASSIST_ERRNO } from "../uapi/frame.ts";

/** Only devices are on the list, and each entry says of which type. */
function devices_valid(list: usize, n: u32): bool {
  for (let i: u32 = 0; i < n; ++i) {
    const type = load<u32>(list + i * DEVICE_BYTES);
    if (type != S_IFCHR && type != S_IFBLK) return false;
  }
  return true;
}

/** container_devices(cfd, list, count): before the start; an empty list allows none. */
export function sys_container_devices(p: task_struct, f: frame): i32 {
  const c = container_of_fd(p, <i32>f.a0);
  if (IS_ERR(c)) return PTR_ERR(c);
  const bad = container_permission(p, c);
  if (bad) return bad;
  const n = <u32>f.a2;
  if (n > <u32>CONTAINER_DEVICES_MAX) return -E.EINVAL;
  if (c.flags & CONTAINER_FLAG_INIT_STARTED) return -E.EBUSY;
  if (!n) {
    set_devices(c, 0, 0);
    return 0;
  }
  const list = kmalloc(n * DEVICE_BYTES);
  if (!list) return -E.ENOMEM;
  let error = copy_from_user(f, list, f.a1, n * DEVICE_BYTES);
  if (!error && !devices_valid(list, n)) error = -E.EINVAL;
  if (error) {
    kfree(list, n * DEVICE_BYTES);
    return error;
  }
  set_devices(c, list, n);
  return 0;
}

/** mknod(2), mknodat(2): whether the path is good the world knows, the rest is decided here. */
export function sys_mknod(p: task_struct, f: frame, mode: u32, dev: u32): i32 {
  if (f.assist & ASSIST_ERRNO) return -f.assist_val;
  const type = mode & S_IFMT;
  // the character device 0:0 is no device, but what hides a name in an overlay
  if ((type == S_IFCHR && dev != 0) || type == S_IFBLK) {
    if (!cred_ns_capable(p.cred, init_user_ns(), CAP_MKNOD)) return -E.EPERM;
    const minor = (dev & 0xff) | ((dev >> 12) & 0xfff00);
    const major = (dev >> 8) & 0xfff;
    const c = p.signal.leader.container;
    if (!device_allowed(c, type, major, minor)) return -E.EPERM;
  }
  return sys_world_call(f, -E.ENOSYS);
}

/** open(2) of a file that the world says is a device node. Return: 0 or -EPERM. */
export function may_open_device(p: task_struct, f: frame): i32 {
  if (!(f.assist & ASSIST_DEVICE)) return 0;
  const mode = <u32>(f.assist_mask >> 48);
  const major = (<u32>(f.assist_mask >> 32)) & 0xffff;
  const c = p.signal.leader.container;
  return device_allowed(c, mode & S_IFMT, major, <u32>f.assist_mask) ? 0 : -E.EPERM;
}
