// Messages between sockets as a log shows them: struct msghdr, its buffers, its control part; and
// what a receiver finds in them afterwards.
import { MSG_CTRUNC, SCM_CREDENTIALS, SCM_RIGHTS, SOL_SOCKET } from '../../assembly/uapi/socket.ts';
import type { Frame } from '../frame.ts';
import type { ArgNode } from '../trace/args.ts';
import { fieldOf } from '../trace/values.ts';
import { vectorBytes } from './buffers.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import { sockaddrBytes } from './sockets.ts';

const IOV_AT = addressOf(6);
const CONTROL_AT = addressOf(8);
/** Room for control messages where the log doesn't say how much there was. */
const CONTROL_ROOM = 1024;

interface Layout {
  size: number;
  head: number;
  word: number;
  iov: number;
  iovlen: number;
  control: number;
  controllen: number;
  flags: number;
}
const WIDE: Layout = {
  size: 56,
  head: 16,
  word: 8,
  iov: 16,
  iovlen: 24,
  control: 32,
  controllen: 40,
  flags: 48,
};
const NARROW: Layout = {
  size: 28,
  head: 12,
  word: 4,
  iov: 8,
  iovlen: 12,
  control: 16,
  controllen: 20,
  flags: 24,
};

function putWord(view: DataView, at: number, value: number, word: number): void {
  if (word === 8) view.setBigUint64(at, BigInt(value), true);
  else view.setUint32(at, value, true);
}

function getWord(view: DataView, at: number, word: number): number {
  return word === 8 ? Number(view.getBigUint64(at, true)) : view.getUint32(at, true);
}

/** The data of one control message; undefined: the log doesn't show it. */
function controlData(item: ArgNode): Uint8Array | undefined {
  const data = fieldOf(item, 'cmsg_data');
  if (data?.kind === 'array' && !data.truncated) {
    const bytes = new Uint8Array(data.items.length * 4);
    const view = new DataView(bytes.buffer);
    for (const [i, node] of data.items.entries()) {
      const fd = valueOf(node);
      if (fd === undefined) return undefined;
      view.setInt32(i * 4, Number(fd), true);
    }
    return bytes;
  }
  if (data?.kind !== 'struct') return undefined;
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  for (const [i, name] of ['pid', 'uid', 'gid'].entries()) {
    const value = valueOf(fieldOf(data, name));
    if (value === undefined) return undefined;
    view.setInt32(i * 4, Number(value), true);
  }
  return bytes;
}

/** The control part that is sent. */
function controlBytes(node: ArgNode, length: number, l: Layout): Uint8Array | undefined {
  if (node.kind !== 'array' || node.truncated) return undefined;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const item of node.items) {
    const len = Number(valueOf(fieldOf(item, 'cmsg_len')) ?? 0n);
    const level = valueOf(fieldOf(item, 'cmsg_level'));
    const type = valueOf(fieldOf(item, 'cmsg_type'));
    if (level === undefined || type === undefined || at + l.head > length) return undefined;
    putWord(view, at, len, l.word);
    view.setInt32(at + l.head - 8, Number(level), true);
    view.setInt32(at + l.head - 4, Number(type), true);
    const data = controlData(item);
    if (!data && Number(level) === SOL_SOCKET) return undefined;
    if (data) bytes.set(data.subarray(0, Math.max(0, length - at - l.head)), at + l.head);
    at += (len + l.word - 1) & -l.word;
  }
  return bytes;
}

/** How much room a receiver had for control messages, as far as the outcome tells. */
function controlRoom(node: ArgNode): number {
  const shown = Number(valueOf(fieldOf(node, 'msg_controllen')) ?? 0n);
  const flags = Number(valueOf(fieldOf(node, 'msg_flags')) ?? 0n);
  return flags & MSG_CTRUNC ? shown : Math.max(shown, CONTROL_ROOM);
}

/** struct msghdr with windows for its parts; undefined: the log doesn't show enough. */
export function messageBytes(
  frame: Frame,
  node: ArgNode,
  compat: boolean,
  receives: boolean,
): Uint8Array | undefined {
  const l = compat ? NARROW : WIDE;
  const bytes = new Uint8Array(l.size);
  const view = new DataView(bytes.buffer);
  const name = fieldOf(node, 'msg_name');
  const namelen = Number(valueOf(fieldOf(node, 'msg_namelen')) ?? 0n);
  const named = name !== undefined && name.kind !== 'null' && !receives;
  if (named) {
    const sent = sockaddrBytes(name);
    if (sent) frame.window(addressOf(5), sent, 'r');
    putWord(view, 0, addressOf(5), l.word);
  }
  view.setInt32(l.word, named ? namelen : 0, true);
  const iov = fieldOf(node, 'msg_iov');
  const count = iov?.kind === 'array' ? iov.items.length : receives ? 1 : 0;
  const vector = iov ? vectorBytes(iov, compat, false, frame) : oneByte(compat);
  if (!vector && iov?.kind !== 'null') return undefined;
  if (vector) frame.window(IOV_AT, vector, 'r');
  putWord(view, l.iov, IOV_AT, l.word);
  putWord(view, l.iovlen, count, l.word);
  if (receives) {
    const room = controlRoom(node);
    putWord(view, l.control, room ? CONTROL_AT : 0, l.word);
    putWord(view, l.controllen, room, l.word);
    if (room) frame.window(CONTROL_AT, room, 'w');
    return bytes;
  }
  const length = Number(valueOf(fieldOf(node, 'msg_controllen')) ?? 0n);
  const control = fieldOf(node, 'msg_control');
  if (!control || control.kind === 'null' || !length) return bytes;
  const sent = controlBytes(control, length, l);
  if (!sent) return undefined;
  frame.window(CONTROL_AT, sent, 'r');
  putWord(view, l.control, CONTROL_AT, l.word);
  putWord(view, l.controllen, length, l.word);
  return bytes;
}

function oneByte(compat: boolean): Uint8Array {
  const bytes = new Uint8Array(compat ? 8 : 16);
  const view = new DataView(bytes.buffer);
  putWord(view, 0, addressOf(7), compat ? 4 : 8);
  putWord(view, compat ? 4 : 8, 1, compat ? 4 : 8);
  return bytes;
}

/** One control message as text that can be compared. */
function show(type: number, values: readonly number[]): string {
  if (type === SCM_RIGHTS) return `descriptors ${values.join(' ')}`;
  if (type !== SCM_CREDENTIALS) return `type ${type}`;
  const [pid, uid, gid] = values;
  return `pid ${pid} uid ${uid} gid ${gid}`;
}

function shownControls(node: ArgNode): string[] {
  const control = fieldOf(node, 'msg_control');
  if (control?.kind !== 'array') return [];
  return control.items.map((item) => {
    const type = Number(valueOf(fieldOf(item, 'cmsg_type')) ?? 0n);
    const data = controlData(item);
    if (!data) return show(type, []);
    const view = new DataView(data.buffer);
    return show(
      type,
      Array.from({ length: data.length / 4 }, (_, i) => view.getInt32(i * 4, true)),
    );
  });
}

function writtenControls(frame: Frame, length: number, l: Layout): string[] {
  const bytes = frame.output(CONTROL_AT, length);
  if (!bytes) return [];
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const out: string[] = [];
  for (let at = 0; at + l.head <= length;) {
    const len = getWord(view, at, l.word);
    if (len < l.head) break;
    const type = view.getInt32(at + l.head - 4, true);
    const n = Math.floor((Math.min(len, length - at) - l.head) / 4);
    const values = Array.from({ length: n }, (_, i) => view.getInt32(at + l.head + i * 4, true));
    out.push(show(type, values));
    at += (len + l.word - 1) & -l.word;
  }
  return out;
}

/** What of a received message differs from what the log shows. */
export function compareMessage(
  frame: Frame,
  i: number,
  node: ArgNode | undefined,
  compat: boolean,
): string | undefined {
  if (node?.kind !== 'struct') return undefined;
  const l = compat ? NARROW : WIDE;
  const bytes = frame.output(addressOf(i), l.size);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const length = getWord(view, l.controllen, l.word);
  const have = writtenControls(frame, length, l).join(', ');
  const want = shownControls(node).join(', ');
  if (have !== want) return `control messages [${have}], recorded [${want}]`;
  const flags = valueOf(fieldOf(node, 'msg_flags'));
  const written = BigInt(view.getUint32(l.flags, true));
  if (flags !== undefined && flags !== written) return `msg_flags ${written}, recorded ${flags}`;
  return undefined;
}

/** The descriptors that a message carries. */
export function descriptorsOf(node: ArgNode | undefined): number[] {
  const control = node ? fieldOf(node, 'msg_control') : undefined;
  if (control?.kind !== 'array') return [];
  const fds: number[] = [];
  for (const item of control.items) {
    if (Number(valueOf(fieldOf(item, 'cmsg_type')) ?? 0n) !== SCM_RIGHTS) continue;
    const data = fieldOf(item, 'cmsg_data');
    if (data?.kind !== 'array') continue;
    for (const fd of data.items) fds.push(Number(valueOf(fd) ?? -1n));
  }
  return fds;
}

/** Does a message show control messages? */
export function hasControl(node: ArgNode | undefined): boolean {
  const control = node ? fieldOf(node, 'msg_control') : undefined;
  return control?.kind === 'array' && control.items.length > 0;
}
