// Which device nodes a container's members may make and open: a list of types, majors and bitmaps
// of minors (seed: future development, 5). What a container has no list of, its parent decides;
// where several have one, all of them have to allow it.
import { seeded_fault } from "../lib/bug.ts";
import { container } from "./container.ts";
import { nil } from "../lib/err.ts";
import { kfree } from "../lib/slab.ts";

/** One entry of the list, as container_devices(2) takes it. 40 bytes. */
@unmanaged
export class container_device {
  type: u32; // S_IFCHR, S_IFBLK
  major: u32;
  minors0: u64; // bit m: minor m; 256 of them
  minors1: u64;
  minors2: u64;
  minors3: u64;
}
export const DEVICE_BYTES: u32 = 40;
if (offsetof<container_device>() != 40) ERROR("container_device is part of the interface");

// Seeded fault (debug builds only): a nested container's list counts instead of its parent's.
const F_DEVICES = 190;

/** Is the device on the list at `list`? */
function list_allows(list: usize, n: u32, type: u32, major: u32, minor: u32): bool {
  if (minor > 255) return false;
  const at = offsetof<container_device>("minors0") + (((<usize>minor) >> 6) << 3);
  for (let i: u32 = 0; i < n; ++i) {
    const d = list + i * DEVICE_BYTES;
    const entry = changetype<container_device>(d);
    if (entry.type != type || entry.major != major) continue;
    if ((load<u64>(d + at) >> ((<u64>minor) & 63)) & 1) return true;
  }
  return false;
}

/** May members of `c` make and open the device? Every list on the way to the root has a say. */
export function device_allowed(c: container, type: u32, major: u32, minor: u32): bool {
  for (; !nil(c); c = c.parent) {
    if (seeded_fault(F_DEVICES) && c.restricted) {
      return list_allows(c.devices, c.nr_devices, type, major, minor);
    }
    if (c.restricted && !list_allows(c.devices, c.nr_devices, type, major, minor)) return false;
  }
  return true;
}

/** The list of `n` entries at `list` becomes that of `c`, which owns it from now on. */
export function set_devices(c: container, list: usize, n: u32): void {
  kfree(c.devices, c.nr_devices * DEVICE_BYTES);
  c.devices = <u32>list;
  c.nr_devices = n;
  c.restricted = 1;
}
