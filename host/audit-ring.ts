// The kernel's audit log as the host sees it: switching it on, rules, and events out of the ring.
import * as U from '../assembly/uapi/audit.ts';
import { layout } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';

/** One record: its type and the words behind it. */
export interface RingRecord {
  readonly type: number;
  readonly words: Uint32Array;
}

/** An event as it came out of the ring. */
export interface RingEvent {
  readonly serial: bigint;
  readonly clockNs: bigint;
  readonly records: readonly RingRecord[];
  /** records that the event had no room for */
  readonly leftOut: number;
  /** events of their own, with the serials that follow */
  readonly twins: readonly RingRecord[];
}

export interface AuditConfig {
  /** log2 of the ring's words; 0: a default */
  ringShift?: number;
  /** events that may wait to be drained, 0: as many as fit */
  backlogLimit?: number;
  /** events a second of the machine's clock, 0: no limit */
  rateLimit?: number;
  /** VIRT_CONTROL twins of the start and end of containers */
  virt?: boolean;
}

/** A rule; all that is given must match. The first rule that matches a call decides. */
export interface AuditRule {
  action?: 'always' | 'never';
  /** numbers in the ABI of the call; all of them when left out */
  syscalls?: readonly number[];
  arch?: 'x86_64' | 'i386';
  /** the task is in this container, or in what is nested in it */
  contid?: bigint | number;
  uid?: number;
  loginuid?: number;
  success?: boolean;
  /** process */
  pid?: number;
  exit?: number;
  /** fields that must not be equal */
  not?: readonly AuditField[];
  /** number that stands for the key in records, from 1 */
  key?: number;
}
export type AuditField = 'contid' | 'uid' | 'loginuid' | 'success' | 'pid' | 'exit';

const FIELDS: Readonly<Record<AuditField, number>> = {
  contid: U.AUDIT_FIELD_CONTID,
  uid: U.AUDIT_FIELD_UID,
  loginuid: U.AUDIT_FIELD_LOGINUID,
  success: U.AUDIT_FIELD_SUCCESS,
  pid: U.AUDIT_FIELD_PID,
  exit: U.AUDIT_FIELD_EXIT,
};

function control(kernel: Kernel, what: number, value: number): void {
  const error = kernel.exports.audit_control(what, value);
  kernel.refresh();
  if (error < 0) throw new RangeError(`audit: order ${what} failed (errno ${-error})`);
}

/** Switches the log on. Throws RangeError when there is no memory for it. */
export function enableAudit(kernel: Kernel, config: AuditConfig = {}): void {
  control(kernel, U.AUDIT_CTL_ENABLE, config.ringShift ?? 0);
  control(kernel, U.AUDIT_CTL_BACKLOG_LIMIT, config.backlogLimit ?? 0);
  control(kernel, U.AUDIT_CTL_RATE_LIMIT, config.rateLimit ?? 0);
  control(kernel, U.AUDIT_CTL_VIRT, config.virt === true ? 1 : 0);
}

export function disableAudit(kernel: Kernel): void {
  control(kernel, U.AUDIT_CTL_DISABLE, 0);
}

/** New namespaces of these kinds (CLONE_NEW*) make containers from now on. */
export function containersOfNamespaces(kernel: Kernel, flags: number): void {
  control(kernel, U.AUDIT_CTL_CONTAINER_OF, flags);
}

/** Runs `use` with a block of the kernel's memory that holds what `fill` wrote. */
function withBlock(
  kernel: Kernel,
  bytes: number,
  fill: (view: DataView) => void,
  use: (at: number) => void,
): void {
  const at = kernel.exports.host_alloc(bytes) >>> 0;
  if (!at) throw new RangeError('the kernel has no memory left');
  kernel.refresh();
  fill(new DataView(kernel.memory.buffer, at, bytes));
  try {
    use(at);
  } finally {
    kernel.exports.host_free(at, bytes);
  }
}

/** Adds a rule behind the others. */
export function addAuditRule(kernel: Kernel, rule: AuditRule): void {
  const L = layout.audit_rule;
  const mapBytes = U.AUDIT_SYSCALLS / 8;
  const fill = (view: DataView): void => {
    let fields = rule.arch === undefined ? 0 : U.AUDIT_FIELD_ARCH;
    for (const [name, bit] of Object.entries(FIELDS)) {
      if (rule[name as AuditField] !== undefined) fields |= bit;
    }
    const negated = (rule.not ?? []).reduce((bits, name) => bits | FIELDS[name], 0);
    view.setUint32(L.action, rule.action === 'never' ? U.AUDIT_NEVER : U.AUDIT_ALWAYS, true);
    view.setUint32(L.fields, fields, true);
    view.setUint32(L.negated, negated, true);
    view.setUint32(L.key, rule.key ?? 0, true);
    view.setInt32(L.uid, rule.uid ?? 0, true);
    view.setInt32(L.loginuid, rule.loginuid ?? 0, true);
    const success = rule.success === false ? U.AUDITSC_FAILURE : U.AUDITSC_SUCCESS;
    view.setUint32(L.success, success, true);
    view.setInt32(L.pid, rule.pid ?? 0, true);
    view.setInt32(L.exit, rule.exit ?? 0, true);
    view.setUint32(L.compat, rule.arch === 'i386' ? 1 : 0, true);
    view.setUint32(L.all, rule.syscalls === undefined ? 1 : 0, true);
    view.setBigUint64(L.contid, BigInt.asUintN(64, BigInt(rule.contid ?? 0)), true);
    for (const nr of rule.syscalls ?? []) {
      if (!Number.isInteger(nr) || nr < 0 || nr >= U.AUDIT_SYSCALLS) {
        throw new RangeError(`audit: a rule cannot name syscall ${nr}`);
      }
      const at = L.map0 + (nr >> 5) * 4;
      view.setUint32(at, (view.getUint32(at, true) | (1 << (nr & 31))) >>> 0, true);
    }
  };
  withBlock(kernel, L.map0 + mapBytes, fill, (at) => control(kernel, U.AUDIT_CTL_ADD_RULE, at));
}

export function clearAuditRules(kernel: Kernel): void {
  control(kernel, U.AUDIT_CTL_CLEAR_RULES, 0);
}

/** Traffic of a network namespace, which no task is behind. */
export interface AuditPacket {
  /** inode number of the namespace */
  netns: number;
  mark?: number;
  proto: number;
  /** four bytes, or sixteen; network byte order */
  source: Uint8Array;
  destination: Uint8Array;
}

/** Logs a packet: an event of every container in its network namespace. */
export function logPacket(kernel: Kernel, packet: AuditPacket): void {
  const L = layout.audit_packet;
  const fill = (view: DataView): void => {
    view.setUint32(L.inum, packet.netns, true);
    view.setUint32(L.mark, packet.mark ?? 0, true);
    view.setUint32(L.proto, packet.proto, true);
    view.setUint32(L.family, packet.source.length === 4 ? 2 : 10, true);
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    bytes.set(packet.source.subarray(0, 16), L.saddr0);
    bytes.set(packet.destination.subarray(0, 16), L.daddr0);
  };
  withBlock(kernel, 48, fill, (at) => control(kernel, U.AUDIT_CTL_PACKET, at));
}

/** Address of the audit state, in words; 0: nothing of audit was ever asked for. */
function stateAt(kernel: Kernel): number {
  kernel.refresh();
  return kernel.u32[(kernel.exports.root_ptr() + layout.kernel_root.audit) >>> 2]! >>> 2;
}

/** How many events there were, how many of them were lost, how many wait. */
export function auditStatus(kernel: Kernel): { put: number; lost: number; backlog: number } {
  const at = stateAt(kernel);
  if (at === 0) return { put: 0, lost: 0, backlog: 0 };
  const S = layout.audit_state;
  const word = (offset: number): number => kernel.u32[at + (offset >>> 2)]!;
  const put = word(S.nr_put);
  return { put, lost: word(S.lost), backlog: (put - word(S.nr_taken)) >>> 0 };
}

const HEADER_WORDS = 7;

function readRecords(words: Uint32Array, from: number, count: number): [RingRecord[], number] {
  const records: RingRecord[] = [];
  let at = from;
  for (let i = 0; i < count; ++i) {
    const head = words[at]!;
    const length = head >>> 16;
    records.push({ type: head & 0xffff, words: words.subarray(at + 1, at + length) });
    at += length;
  }
  return [records, at];
}

const wide = (lo: number, hi: number): bigint => (BigInt(hi) << 32n) | BigInt(lo);

/** Takes all events out of the ring. */
export function drainAudit(kernel: Kernel): RingEvent[] {
  const state = stateAt(kernel);
  if (state === 0) return [];
  const S = layout.audit_state;
  const { u32 } = kernel;
  const word = (offset: number): number => u32[state + (offset >>> 2)]!;
  const ring = word(S.ring) >>> 2;
  const mask = word(S.ring_words) - 1;
  const tail = word(S.tail);
  let head = word(S.head);
  const out: RingEvent[] = [];
  while (head !== tail) {
    const length = u32[ring + (head & mask)]!;
    const words = new Uint32Array(length);
    for (let i = 0; i < length; ++i) words[i] = u32[ring + ((head + i) & mask)]!;
    const counts = words[5]!;
    const [records, next] = readRecords(words, HEADER_WORDS, counts & 0xffff);
    const [twins] = readRecords(words, next, counts >>> 16);
    out.push({
      serial: wide(words[1]!, words[2]!),
      clockNs: wide(words[3]!, words[4]!),
      leftOut: words[6]!,
      records,
      twins,
    });
    head = (head + length) >>> 0;
  }
  u32[state + (S.head >>> 2)] = tail;
  u32[state + (S.nr_taken >>> 2)] = word(S.nr_put);
  return out;
}
