// Calls on users and namespaces: what a log shows of their arguments, and what of their outputs is
// compared.
import * as OP from '../../assembly/uapi/op.ts';
import { O_RDWR } from '../../assembly/uapi/fcntl.ts';
import { ASSIST_CLOEXEC, ASSIST_NONBLOCK } from '../../assembly/uapi/frame.ts';
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import type { Call } from './call.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';

/** Is everything known that the call depends on? `partly`: it is run, but not compared. */
export type Known = boolean | 'partly';

/** The three sets that capget and capset show. */
export interface Caps {
  effective: bigint;
  permitted: bigint;
  inheritable: bigint;
}

/** One set: `1<<CAP_CHOWN|...`, or two words of 32 bits where no names are shown. */
function capSetOf(node: ArgNode | undefined): bigint | undefined {
  if (node?.kind === 'flags' && node.parts.every((part) => typeof part !== 'string')) {
    const [low, high] = node.parts;
    return BigInt(low!) | (BigInt(high ?? 0) << 32n);
  }
  return valueOf(node);
}

export function capsOf(node: ArgNode | undefined): Caps | undefined {
  const effective = capSetOf(fieldOf(node, 'effective'));
  const permitted = capSetOf(fieldOf(node, 'permitted'));
  const inheritable = capSetOf(fieldOf(node, 'inheritable'));
  if (effective === undefined || permitted === undefined || inheritable === undefined) {
    return undefined;
  }
  return { effective, permitted, inheritable };
}

/** The groups of a list; undefined when it is cut off. */
export function groupsOf(node: ArgNode | undefined): number[] | undefined {
  if (node?.kind !== 'array' || node.truncated) return undefined;
  const groups = node.items.map((item) => Number(valueOf(item) ?? Number.NaN));
  return groups.some(Number.isNaN) ? undefined : groups;
}

/** A path goes into a window; one that the log does not show is some name. */
function putPath(frame: Frame, i: number, node: ArgNode | undefined): void {
  const path = node?.kind === 'str' && !node.truncated ? node.value : '?';
  frame.window(addressOf(i), Buffer.from(`${path}\0`, 'latin1'), 'r').setArg(i, addressOf(i));
}

/** Flags of open as far as their names are known. */
function openFlags(node: ArgNode | undefined): bigint {
  const value = valueOf(node);
  if (value !== undefined) return value;
  const text = node?.kind === 'flags' ? node.parts.join('|') : '';
  const mode = /O_(RDONLY|WRONLY)/.exec(text)?.[1];
  return mode === 'RDONLY' ? 0n : mode === 'WRONLY' ? 1n : BigInt(O_RDWR);
}

function encodeOpen(frame: Frame, call: Call): Known {
  const at = call.row!.op === OP.OP_OPEN ? 0 : 1;
  if (at) frame.setArg(0, valueOf(call.args[0]) ?? -1n);
  const node = call.args[at];
  // the recorder says where a relative path has led
  const led = call.retPath?.startsWith('/proc/') && node?.kind === 'str' && node.value[0] !== '/';
  if (led) putPath(frame, at, { kind: 'str', value: call.retPath!, truncated: false });
  else putPath(frame, at, node);
  const how = call.row!.op === OP.OP_OPENAT2;
  const flags = how ? fieldOf(call.args[2], 'flags') : call.args[at + 1];
  const value = openFlags(flags);
  if (how) {
    const bytes = new Uint8Array(24);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    frame.window(addressOf(2), bytes, 'r').setArg(2, addressOf(2)).setArg(3, 24);
  } else {
    frame.setArg(at + 1, value);
  }
  if (/\bO_CLOEXEC\b/.test(call.text)) frame.assistFlags(ASSIST_CLOEXEC);
  if (/NONBLOCK\b/.test(call.text)) frame.assistFlags(ASSIST_NONBLOCK);
  return true;
}

/** What is written to a file whose contents are the kernel's. */
function encodeWrite(frame: Frame, call: Call): Known {
  const [fd, data, count] = call.args;
  frame.setArg(0, valueOf(fd) ?? -1n).setArg(2, valueOf(count) ?? 0n);
  if (data?.kind !== 'str') {
    if (call.errno === 'EFAULT') frame.window(addressOf(1), 4096, 'unmapped');
    frame.setArg(1, addressOf(1));
    return call.errno === 'EFAULT';
  }
  let text = data.value;
  // of a map that is cut off, the lines that are whole count
  if (data.truncated) text = text.slice(0, text.lastIndexOf('\n') + 1);
  frame.window(addressOf(1), Buffer.from(text, 'latin1'), 'r').setArg(1, addressOf(1));
  if (!data.truncated) return true;
  frame.setArg(2, text.length);
  return text.length ? 'partly' : false;
}

/** readlink: path, buffer, size. */
function encodeLink(frame: Frame, call: Call, at: number): Known {
  putPath(frame, at, call.args[at]);
  const size = Number(valueOf(call.args[at + 2]) ?? 0n);
  const fault = call.errno === 'EFAULT';
  frame.window(addressOf(at + 1), Math.min(Math.max(size, 1), 4096), fault ? 'unmapped' : 'w');
  frame.setArg(at + 1, addressOf(at + 1)).setArg(at + 2, size);
  return true;
}

function encodeRead(frame: Frame, call: Call): Known {
  const size = Number(valueOf(call.args[2]) ?? 0n);
  const fault = call.errno === 'EFAULT';
  frame.window(addressOf(1), Math.min(Math.max(size, 1), 4096), fault ? 'unmapped' : 'w');
  frame
    .setArg(0, valueOf(call.args[0]) ?? -1n)
    .setArg(1, addressOf(1))
    .setArg(2, size);
  return true;
}

/** sethostname and setdomainname: name, length. */
function encodeName(frame: Frame, call: Call): Known {
  const [name, len] = call.args;
  frame.setArg(0, addressOf(0)).setArg(1, valueOf(len) ?? -1n);
  if (call.errno === 'EFAULT') frame.window(addressOf(0), 65, 'unmapped');
  // a refusal comes before the name is looked at
  if (name?.kind !== 'str' || name.truncated) return call.retKind === 'error';
  frame.window(addressOf(0), Buffer.from(name.value, 'latin1'), 'r');
  return true;
}

/** ioctl on the file of a namespace. */
function encodeIoctl(frame: Frame, call: Call): Known {
  const command = valueOf(call.args[1]);
  const value = valueOf(call.args[2]);
  frame.setArg(0, valueOf(call.args[0]) ?? -1n).setArg(1, command ?? 0n);
  if (call.errno === 'EFAULT') frame.window(addressOf(2), 4, 'unmapped');
  else if (call.args[2]?.kind === 'array') frame.window(addressOf(2), 4, 'w');
  const memory = call.errno === 'EFAULT' || call.args[2]?.kind === 'array';
  frame.setArg(2, memory ? addressOf(2) : (value ?? 0n));
  return command !== undefined;
}

function capBytes(caps: Caps): Uint8Array {
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  [caps.effective, caps.permitted, caps.inheritable].forEach((set, i) => {
    view.setUint32(i * 4, Number(set & 0xffffffffn), true);
    view.setUint32(12 + i * 4, Number((set >> 32n) & 0xffffffffn), true);
  });
  return bytes;
}

/** capget and capset: header, data. */
function encodeCaps(frame: Frame, call: Call): Known {
  const [header, data] = call.args;
  const fault = call.errno === 'EFAULT';
  const version = valueOf(fieldOf(header, 'version'));
  const pid = valueOf(fieldOf(header, 'pid'));
  if (version !== undefined && pid !== undefined) {
    const bytes = new Uint8Array(8);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, Number(BigInt.asUintN(32, version)), true);
    view.setInt32(4, Number(pid), true);
    frame.window(addressOf(0), bytes, 'rw');
  } else if (fault) {
    frame.window(addressOf(0), 8, 'unmapped');
  } else {
    return false;
  }
  frame.setArg(0, addressOf(0));
  if (!data || data.kind === 'null') return true;
  frame.setArg(1, addressOf(1));
  const caps = capsOf(data);
  if (call.row!.op === OP.OP_CAPSET) {
    if (caps) frame.window(addressOf(1), capBytes(caps), 'r');
    else if (fault) frame.window(addressOf(1), 24, 'unmapped');
    return caps !== undefined || fault;
  }
  frame.window(addressOf(1), 24, fault && data.kind === 'int' ? 'unmapped' : 'w');
  return true;
}

/** getgroups and setgroups: number, list. */
function encodeGroups(frame: Frame, call: Call): Known {
  const [size, list] = call.args;
  const n = valueOf(size);
  if (n === undefined) return false;
  frame.setArg(0, n);
  if (!list || list.kind === 'null' || n <= 0n) return true;
  frame.setArg(1, addressOf(1));
  const wide = (call.row!.op & OP.OP_ID16) === 0;
  const bytes = Math.min(Number(n), 65536) * (wide ? 4 : 2);
  if (call.errno === 'EFAULT') {
    frame.window(addressOf(1), bytes, 'unmapped');
  } else if ((call.row!.op & ~OP.OP_ID16) === OP.OP_GETGROUPS) {
    frame.window(addressOf(1), bytes, 'w');
  } else {
    const groups = groupsOf(list);
    // a refusal comes before the list is looked at
    if (!groups && call.retKind === 'value') return false;
    const data = wide ? Uint32Array.from(groups ?? []) : Uint16Array.from(groups ?? []);
    frame.window(addressOf(1), new Uint8Array(data.buffer), 'r');
  }
  return true;
}

const NS_LINK = /^(mnt|uts|ipc|net|pid|cgroup|user|time):\[(\d+)\]$/;

/** The namespace that a call shows: the text of a link, or what its descriptor is said to be. */
export function nsLink(call: Call): string | undefined {
  const { op } = call.row!;
  const text = op === OP.OP_READLINK ? call.args[1] : op === OP.OP_READLINKAT ? call.args[2] : null;
  if (text === null) {
    return NS_LINK.test(call.retPath ?? '') ? call.retPath : undefined;
  }
  return text?.kind === 'str' && !text.truncated && NS_LINK.test(text.value)
    ? text.value
    : undefined;
}

/** Calls that open by name. */
export const FILE_OPENS: ReadonlySet<number> = new Set([OP.OP_OPEN, OP.OP_OPENAT, OP.OP_OPENAT2]);

/** Does the call open a file of /proc? */
export function isProc(call: Call): boolean {
  return /"\/proc\//.test(call.text) || call.retPath?.startsWith('/proc/') === true;
}

/** Calls that `encodeNs` knows. */
const ENCODED: ReadonlySet<number> = new Set([
  OP.OP_OPEN,
  OP.OP_OPENAT,
  OP.OP_OPENAT2,
  OP.OP_WRITE,
  OP.OP_CAPGET,
  OP.OP_CAPSET,
  OP.OP_GETGROUPS,
  OP.OP_SETGROUPS,
  OP.OP_READLINK,
  OP.OP_READLINKAT,
  OP.OP_READ,
  OP.OP_UNAME,
  OP.OP_SETHOSTNAME,
  OP.OP_SETDOMAINNAME,
  OP.OP_MOUNT,
  OP.OP_UMOUNT2,
  OP.OP_PIVOT_ROOT,
  OP.OP_IOCTL,
  OP.OP_CHROOT,
]);

export function encodesNs(op: number): boolean {
  return ENCODED.has(op & ~OP.OP_ID16);
}

/** Puts the arguments of a call of this file into the frame; undefined: it is none. */
export function encodeNs(frame: Frame, call: Call): Known | undefined {
  switch (call.row!.op & ~OP.OP_ID16) {
    case OP.OP_OPEN:
    case OP.OP_OPENAT:
    case OP.OP_OPENAT2:
      return encodeOpen(frame, call);
    case OP.OP_WRITE:
      return encodeWrite(frame, call);
    case OP.OP_CAPGET:
    case OP.OP_CAPSET:
      return encodeCaps(frame, call);
    case OP.OP_GETGROUPS:
    case OP.OP_SETGROUPS:
      return encodeGroups(frame, call);
    case OP.OP_READLINK:
      return encodeLink(frame, call, 0);
    case OP.OP_READLINKAT:
      frame.setArg(0, valueOf(call.args[0]) ?? -1n);
      return encodeLink(frame, call, 1);
    case OP.OP_READ:
      return encodeRead(frame, call);
    case OP.OP_UNAME:
      frame.window(addressOf(0), 390, call.errno === 'EFAULT' ? 'unmapped' : 'w');
      frame.setArg(0, addressOf(0));
      return true;
    case OP.OP_SETHOSTNAME:
    case OP.OP_SETDOMAINNAME:
      return encodeName(frame, call);
    case OP.OP_MOUNT:
      for (const i of [0, 1]) if (call.args[i]?.kind !== 'null') putPath(frame, i, call.args[i]);
      frame.setArg(3, valueOf(call.args[3]) ?? 0n);
      return true;
    case OP.OP_UMOUNT2: {
      putPath(frame, 0, call.args[0]);
      const flags = valueOf(call.args[1]);
      frame.setArg(1, flags ?? 0n);
      return flags !== undefined;
    }
    case OP.OP_PIVOT_ROOT:
      return true;
    case OP.OP_IOCTL:
      return encodeIoctl(frame, call);
    case OP.OP_CHROOT:
      if (call.errno === 'EFAULT') frame.window(addressOf(0), 4096, 'unmapped');
      putPath(frame, 0, call.args[0]);
      return true;
    default:
      return undefined;
  }
}

const hex = (value: bigint): string => `0x${value.toString(16)}`;

function compareCaps(frame: Frame, call: Call): string | undefined {
  const want = capsOf(call.args[1]);
  const bytes = frame.output(addressOf(1), 24);
  if (!want || !bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const [i, name] of (['effective', 'permitted', 'inheritable'] as const).entries()) {
    const high = BigInt(view.getUint32(12 + i * 4, true));
    const have = (high << 32n) | BigInt(view.getUint32(i * 4, true));
    if (have !== want[name]) return `${name} ${hex(have)}, recorded ${hex(want[name])}`;
  }
  return undefined;
}

function compareGroups(frame: Frame, call: Call, n: number): string | undefined {
  const want = groupsOf(call.args[1]);
  const wide = (call.row!.op & OP.OP_ID16) === 0;
  const bytes = frame.output(addressOf(1), n * (wide ? 4 : 2));
  if (!want || !bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const have = want.map((_, i) =>
    wide ? view.getUint32(i * 4, true) : view.getUint16(i * 2, true),
  );
  return have.every((gid, i) => gid === want[i]) ? undefined : `groups ${have.join(' ')}`;
}

/** Ids of 16 bits at three addresses. */
function compareIds16(frame: Frame, call: Call): string | undefined {
  for (const [i, node] of call.args.entries()) {
    const want = node.kind === 'array' ? valueOf(node.items[0]) : undefined;
    const bytes = frame.output(addressOf(i), 2);
    if (want === undefined || !bytes) continue;
    const have = bytes[0]! | (bytes[1]! << 8);
    if (BigInt(have) !== want) return `wrote ${have}, recorded ${want} (argument ${i + 1})`;
  }
  return undefined;
}

/** Bytes that the kernel wrote where the log shows a text. */
function compareText(frame: Frame, call: Call, i: number): string | undefined {
  const node = call.args[i];
  if (node?.kind !== 'str') return undefined;
  const bytes = frame.output(addressOf(i), node.value.length);
  const have = bytes && Buffer.from(bytes).toString('latin1');
  return have === undefined || have === node.value ? undefined : `wrote ${JSON.stringify(have)}`;
}

/** Is the namespace that the kernel names the one that the recording names? */
function compareLink(frame: Frame, call: Call, rax: bigint): string | undefined {
  const want = nsLink(call);
  if (want === undefined || !call.names) return undefined;
  const at = call.row!.op === OP.OP_READLINK ? 1 : 2;
  const bytes = FILE_OPENS.has(call.row!.op) ? undefined : frame.output(addressOf(at), want.length);
  const have = bytes
    ? Buffer.from(bytes).toString('latin1')
    : call.names.linkOf(call.pid, Number(rax));
  if (have === undefined || call.names.sameAs(want, have)) return undefined;
  return `${have}, recorded ${want}`;
}

/** Fields of struct utsname that the kernel decides: where they lie in it. */
export const UTS_NAMES: Readonly<Record<string, number>> = {
  sysname: 0,
  nodename: 65,
  domainname: 325,
};

/** A field of the utsname that the kernel wrote. */
export function utsField(frame: Frame, name: string): string | undefined {
  const bytes = frame.output(addressOf(0), 390);
  const at = UTS_NAMES[name];
  if (!bytes || at === undefined) return undefined;
  return Buffer.from(bytes.subarray(at, at + 65))
    .toString('latin1')
    .replace(/\0.*/s, '');
}

function compareUname(frame: Frame, call: Call): string | undefined {
  for (const name of Object.keys(UTS_NAMES)) {
    const field = fieldOf(call.args[0], name);
    const have = utsField(frame, name);
    if (field?.kind !== 'str' || field.truncated || have === field.value) continue;
    return `${name} ${have}, recorded ${field.value}`;
  }
  return undefined;
}

function compareOwner(frame: Frame, call: Call): string | undefined {
  const node = call.args[2];
  const want = node?.kind === 'array' ? valueOf(node.items[0]) : undefined;
  const bytes = frame.output(addressOf(2), 4);
  if (want === undefined || !bytes) return undefined;
  const have = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  return BigInt(have) === want ? undefined : `owner ${have}, recorded ${want}`;
}

/** What of the outputs of a call of this file differs; null: it is none. */
export function judgeNs(frame: Frame, call: Call, rax: bigint): string | undefined | null {
  switch (call.row!.op) {
    case OP.OP_OPEN:
    case OP.OP_OPENAT:
    case OP.OP_OPENAT2:
    case OP.OP_READLINK:
    case OP.OP_READLINKAT:
      return compareLink(frame, call, rax);
    case OP.OP_READ:
      return compareText(frame, call, 1);
    case OP.OP_UNAME:
      return compareUname(frame, call);
    case OP.OP_IOCTL:
      return compareOwner(frame, call);
    case OP.OP_CAPGET:
      return compareCaps(frame, call);
    case OP.OP_GETGROUPS:
    case OP.OP_GETGROUPS | OP.OP_ID16:
      return compareGroups(frame, call, Number(call.ret));
    case OP.OP_GETRESUID | OP.OP_ID16:
    case OP.OP_GETRESGID | OP.OP_ID16:
      return compareIds16(frame, call);
    default:
      return null;
  }
}
