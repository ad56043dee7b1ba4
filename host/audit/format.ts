// Events of the kernel's audit log as the lines that audit tools read. Of each event the record of
// the call comes first, the command line last; `record=N` ties an id to the line it is about.
import * as U from '../../assembly/uapi/audit.ts';
import type { RingEvent, RingRecord } from '../audit-ring.ts';
import { encodeUntrusted } from '../trace/audit/fields.ts';
import { NAMESPACES } from './containers.ts';

/** What stands for a type in text; 1336 is another record's number today, so ids go by name. */
const OPS: Readonly<Record<number, string>> = {
  [U.AUDIT_OP_CREATE]: 'create',
  [U.AUDIT_OP_ENTER]: 'enter',
  [U.AUDIT_OP_SET]: 'set',
  [U.AUDIT_OP_SETNS]: 'setns',
  [U.AUDIT_OP_KILL]: 'kill',
  [U.AUDIT_OP_DEAD]: 'dead',
  [U.AUDIT_OP_DROP]: 'drop',
};

/** Names of the namespaces by their CLONE_NEW* flag. */
const NS_NAMES = new Map<number, string>();
for (const [name, flag] of Object.entries(NAMESPACES)) {
  if (!name.includes('_')) NS_NAMES.set(flag >>> 0, name);
}
/** What the kernel logs of a command line (kernel/audit.h, MAX_PROCTITLE_AUDIT_LEN). */
const PROCTITLE_BYTES = 128;
/** What an EXECVE line holds at most of arguments: tools read lines of 8970 bytes. */
const EXECVE_CHARACTERS = 7500;
/** Device of nsfs: 0:4. */
const NSFS = 4;

/** Reads a record's words in order. */
class Words {
  readonly #words: Uint32Array;
  #at = 0;

  constructor(record: RingRecord) {
    this.#words = record.words;
  }

  u32(): number {
    return this.#words[this.#at++] ?? 0;
  }
  i32(): number {
    return this.u32() | 0;
  }
  u64(): bigint {
    const lo = this.u32();
    return (BigInt(this.u32()) << 32n) | BigInt(lo);
  }
  i64(): bigint {
    return BigInt.asIntN(64, this.u64());
  }
  /** `bytes` bytes up to the first NUL, one character each */
  text(bytes: number): string {
    const words = this.#words.subarray(this.#at, this.#at + ((bytes + 3) >> 2));
    this.#at += words.length;
    const all = new Uint8Array(words.slice().buffer).subarray(0, bytes);
    const end = all.indexOf(0);
    return String.fromCharCode(...(end < 0 ? all : all.subarray(0, end)));
  }
  /** the same with its length in front */
  counted(): string {
    return this.text(this.u32());
  }
  /** `4,^2,^1`; '' when there is none */
  list(): string {
    const count = this.u32();
    return Array.from({ length: count }, (_, i) => `${i > 0 ? '^' : ''}${this.u64()}`).join(',');
  }
}

const ns = (inum: number): string => `${NSFS}:${inum}`;

function uuidOf(id: bigint): string {
  const hex = id.toString(16).padStart(16, '0');
  return `00000000-0000-0000-${hex.slice(0, 4)}-${hex.slice(4)}`;
}

function ip(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16),
  );
  return words.join(':');
}

export interface FormatOptions {
  /** text of a rule's key, by its number from 1 */
  keys?: readonly string[];
  /** the arguments of a process; its name when this gives none */
  argvOf?: (pid: number) => readonly string[] | undefined;
}

export class AuditFormatter {
  readonly #keys: readonly string[];
  readonly #argvOf: (pid: number) => readonly string[] | undefined;

  constructor(options: FormatOptions = {}) {
    this.#keys = options.keys ?? [];
    this.#argvOf = options.argvOf ?? (() => undefined);
  }

  /** The lines of one event, those of its twins behind them. */
  lines(event: RingEvent): string[] {
    const out = new EventLines(event.clockNs, event.serial);
    let title: string | undefined;
    for (const record of event.records) {
      if (record.type === U.AUDIT_SYSCALL) title = this.#call(record, out, event);
      else this.#other(record, out);
    }
    if (event.leftOut > 0) out.add('KERNEL_OTHER', `op=truncated left-out=${event.leftOut}`);
    if (title !== undefined)
      out.add('PROCTITLE', `proctitle=${encodeUntrusted(title.slice(0, PROCTITLE_BYTES))}`);
    event.twins.forEach((twin, i) => {
      const own = new EventLines(event.clockNs, event.serial + BigInt(i + 1));
      own.add('VIRT_CONTROL', virtBody(twin));
      out.list.push(...own.list);
    });
    return out.list;
  }

  /** The SYSCALL line and the id of its task. Return: the command line. */
  #call(record: RingRecord, out: EventLines, event: RingEvent): string {
    const w = new Words(record);
    const arch = w.u32() ? '40000003' : 'c000003e';
    const nr = w.i32();
    const success = w.u32();
    const exit = w.i64();
    const args = [0, 1, 2, 3].map((i) => `a${i}=${w.u64().toString(16)}`).join(' ');
    const [ppid, pid] = [w.u32(), w.u32()];
    const auid = w.u32();
    const ids = ['uid', 'gid', 'euid', 'suid', 'fsuid', 'egid', 'sgid', 'fsgid']
      .map((name) => `${name}=${w.u32()}`)
      .join(' ');
    const ses = w.u32();
    const key = this.#keys[w.u32() - 1];
    const comm = w.text(16);
    const exe = w.counted();
    const list = w.list();
    const result =
      success === U.AUDITSC_INVALID
        ? ''
        : ` success=${success === U.AUDITSC_SUCCESS ? 'yes' : 'no'} exit=${exit}`;
    const items = event.records.filter((one) => one.type === U.AUDIT_PATH).length;
    out.add(
      'SYSCALL',
      `arch=${arch} syscall=${nr}${result} ${args} items=${items} ppid=${ppid} pid=${pid} ` +
        `auid=${auid} ${ids} tty=(none) ses=${ses} comm=${encodeUntrusted(comm)} ` +
        `exe=${encodeUntrusted(exe === '' ? '?' : exe)} ` +
        `key=${key === undefined ? '(null)' : encodeUntrusted(key)}`,
      list,
    );
    const argv = this.#argvOf(pid);
    if (items > 0 && argv) execve(argv, out);
    return argv ? argv.join('\0') : comm;
  }

  #other(record: RingRecord, out: EventLines): void {
    const w = new Words(record);
    switch (record.type) {
      case U.AUDIT_PATH:
        out.add('PATH', `item=${out.items++} name=${encodeUntrusted(w.counted())} nametype=NORMAL`);
        break;
      case U.AUDIT_OBJ_PID: {
        const body = `opid=${w.i32()} oauid=${w.i32()} ouid=${w.u32()} oses=${w.i32()}`;
        const comm = w.text(16);
        out.add('OBJ_PID', `${body} ocomm=${encodeUntrusted(comm)}`, w.list());
        break;
      }
      case U.AUDIT_LOGIN:
        out.add('LOGIN', loginBody(w));
        break;
      case U.AUDIT_SET_CAPCONTID:
        out.add(
          'SET_CAPCONTID',
          `opid=${w.i32()} capcontid=${w.u32()} old-capcontid=${w.u32()} res=${w.u32()}`,
        );
        break;
      case U.AUDIT_NETFILTER_PKT:
        packet(w, out);
        break;
      case U.AUDIT_CONTAINER_OP:
        out.add('CONTAINER_OP', opBody(w));
        break;
      default:
    }
  }
}

/** Lines of one event, and the numbers of those that an id is tied to. */
class EventLines {
  readonly list: string[] = [];
  items = 0;
  readonly #stamp: string;
  #records = 0;

  constructor(clockNs: bigint, serial: bigint) {
    const ms = (clockNs / 1_000_000n) % 1000n;
    const sec = clockNs / 1_000_000_000n;
    this.#stamp = `msg=audit(${sec}.${String(ms).padStart(3, '0')}:${serial}):`;
  }

  /** A line; with a list of ids the line that holds them follows. */
  add(type: string, body: string, list = ''): void {
    if (list === '') {
      this.list.push(`type=${type} ${this.#stamp} ${body}`);
      return;
    }
    const nr = ++this.#records;
    this.list.push(`type=${type} ${this.#stamp} ${body} record=${nr}`);
    this.list.push(`type=CONTAINER_ID ${this.#stamp} record=${nr} contid=${list}`);
  }
}

/**
 * The arguments of a new program, in as many records as they need: `argc=` in the first, and what
 * is too long for one line in pieces, behind its length.
 */
function execve(argv: readonly string[], out: EventLines): void {
  let body = `argc=${argv.length}`;
  const add = (part: string): void => {
    if (body.length + part.length > EXECVE_CHARACTERS) {
      out.add('EXECVE', body.trimStart());
      body = '';
    }
    body += ` ${part}`;
  };
  argv.forEach((arg, i) => {
    const text = encodeUntrusted(arg);
    if (text.length <= EXECVE_CHARACTERS) return add(`a${i}=${text}`);
    // in hexadecimal each piece has whole bytes; otherwise each has its own quotes
    const quoted = text.startsWith('"');
    add(`a${i}_len=${quoted ? arg.length : text.length}`);
    const whole = quoted ? arg : text;
    for (let at = 0, piece = 0; at < whole.length; at += EXECVE_CHARACTERS, ++piece) {
      const part = whole.slice(at, at + EXECVE_CHARACTERS);
      add(`a${i}[${piece}]=${quoted ? `"${part}"` : part}`);
    }
  });
  out.add('EXECVE', body.trimStart());
}

function loginBody(w: Words): string {
  const [pid, uid, oldAuid, auid] = [w.u32(), w.u32(), w.u32(), w.u32()];
  const [oldSes, ses, res] = [w.u32(), w.u32(), w.u32()];
  return (
    `pid=${pid} uid=${uid} old-auid=${oldAuid} auid=${auid} tty=(none) ` +
    `old-ses=${oldSes} ses=${ses} res=${res}`
  );
}

function packet(w: Words, out: EventLines): void {
  const inum = w.u32();
  const mark = w.u32();
  const proto = w.u32();
  const length = w.u32() === 2 ? 4 : 16;
  const address = (): string => {
    const bytes = new Uint8Array(BigUint64Array.of(w.u64(), w.u64()).buffer);
    return ip(bytes.subarray(0, length));
  };
  const body = `mark=0x${mark.toString(16)} saddr=${address()} daddr=${address()} proto=${proto}`;
  const count = w.u32();
  const ids = Array.from({ length: count }, () => [w.u64(), w.u32()] as const);
  const list = ids.map(([id, depth]) => `${depth > 0 ? '^' : ''}${id}`).join(',');
  out.add('NETFILTER_PKT', `${body} net=${ns(inum)}`, list);
}

/** The body of a CONTAINER_OP, fields in a stable order. */
function opBody(w: Words): string {
  const op = w.u32();
  const opid = w.i32();
  const head = `op=${OPS[op] ?? op}`;
  const id = (): string => String(w.u64());
  switch (op) {
    case U.AUDIT_OP_CREATE: {
      const ids = `contid=${id()} parent-contid=${id()}`;
      const name = encodeUntrusted(w.text(24));
      const flags = w.u32().toString(16);
      const count = w.u32();
      const list = Array.from({ length: count }, () => `${nsName(w.u32())}=${ns(w.u32())}`);
      return `${head} opid=${opid} ${ids} cname=${name} cflags=${flags} ${list.join(' ')} res=1`;
    }
    case U.AUDIT_OP_ENTER:
      return `${head} opid=${opid} contid=${id()} old-contid=${id()} init=${w.u32()} res=1`;
    case U.AUDIT_OP_SET: {
      const contid = id();
      const res = w.u32();
      return `${head} opid=${opid} contid=${contid} old-contid=${w.list() || '-1'} res=${res}`;
    }
    case U.AUDIT_OP_SETNS: {
      const ids = `contid=${id()} old-contid=${id()}`;
      const types = w.u32().toString(16);
      const count = w.u32();
      const changes = Array.from({ length: count }, () => {
        const name = nsName(w.u32());
        return `old-${name}=${ns(w.u32())} ${name}=${ns(w.u32())}`;
      });
      return `${head} opid=${opid} ${ids} nstype=${types} ${changes.join(' ')} res=1`;
    }
    case U.AUDIT_OP_KILL: {
      const body = `contid=${id()} sig=${w.i32()} initonly=${w.u32()} killed=${w.u32()}`;
      return `${head} opid=${opid} ${body} res=${w.u32()}`;
    }
    case U.AUDIT_OP_DEAD:
      return `${head} opid=${opid} contid=${id()} exit=${w.i32()} killed=${w.u32()} res=1`;
    default:
      return `${head} opid=${opid} contid=-1 old-contid=${w.list() || '-1'} res=1`;
  }
}

function nsName(flag: number): string {
  return NS_NAMES.get(flag >>> 0) ?? `ns${flag.toString(16)}`;
}

/** The message that virtualization tools write, which stock tools know. */
function virtBody(record: RingRecord): string {
  const w = new Words(record);
  const start = w.u32() === 1;
  const id = w.u64();
  const pid = w.i32();
  const name = w.text(24);
  return (
    `pid=1 uid=0 auid=4294967295 ses=4294967295 msg='virt=container ` +
    `op=${start ? 'start reason=booted' : 'stop reason=shutdown'} ` +
    `vm=${encodeUntrusted(name)} uuid=${uuidOf(id)} vm-pid=${pid} ` +
    `exe="/sbin/init" hostname=? addr=? terminal=? res=success'`
  );
}
