// Which recorded namespace is which of the kernel's. A recording names them by inode numbers of its
// own machine: the first sight of a pair is adopted, from then on the two belong together.
import * as OP from '../../assembly/uapi/op.ts';
import { EINVAL } from '../../assembly/uapi/errno.ts';
import * as C from '../../assembly/uapi/sched.ts';
import type { Kernel } from '../kernel.ts';
import type { Call, ReplayTask } from './call.ts';
import { fieldOf } from '../trace/values.ts';
import { FILE_OPENS, isProc, nsLink, utsField } from './namespaces.ts';
import { addressOf } from './memory.ts';
import { valueOf } from './value.ts';
import type { CallClass } from './result.ts';
import type { Outcome } from './run.ts';

const ON_FILES: ReadonlySet<number> = new Set([OP.OP_WRITE, OP.OP_READ, OP.OP_IOCTL]);
const LINKS: ReadonlySet<number> = new Set([OP.OP_READLINK, OP.OP_READLINKAT]);
const NS_PATH = /"(?:\/proc\/[^"/]+(?:\/task\/[^"/]+)?\/ns\/\w+)"/;

const NS_TYPES: Readonly<Record<string, number>> = {
  mnt: C.CLONE_NEWNS,
  uts: C.CLONE_NEWUTS,
  ipc: C.CLONE_NEWIPC,
  net: C.CLONE_NEWNET,
  pid: C.CLONE_NEWPID,
  cgroup: C.CLONE_NEWCGROUP,
  user: C.CLONE_NEWUSER,
  time: C.CLONE_NEWTIME,
};

/** The text that the kernel gave for a link. */
function linkText(call: Call, outcome: Outcome): string | undefined {
  const at = call.row!.op === OP.OP_READLINK ? 1 : 2;
  const bytes = outcome.frame.output(addressOf(at), Number(outcome.rax));
  return bytes && Buffer.from(bytes).toString('latin1');
}

/** The fields of a utsname that one can set. */
const NAMES = ['nodename', 'domainname'] as const;

export class Namespaces {
  readonly #k: Kernel;
  /** a file has been opened whose contents are the kernel's */
  #files = false;
  /** `type:[number]` of the recording to that of the kernel, and back */
  readonly #recorded = new Map<string, string>();
  readonly #own = new Map<string, string>();

  constructor(kernel: Kernel) {
    this.#k = kernel;
  }

  /** Does the kernel decide this call, because of the file that it acts on? */
  classOf(task: ReplayTask, call: Call): CallClass | undefined {
    const { op } = call.row!;
    if (nsLink(call) !== undefined) call.names = this;
    if (LINKS.has(op)) return NS_PATH.test(call.text) ? 'emulated' : undefined;
    if (!this.#files || !ON_FILES.has(op)) return undefined;
    const fd = Number(valueOf(call.args[0]) ?? -1n);
    const kind = this.#k.file(task.pid, fd)?.kind;
    if (kind === 'nsfs' && op === OP.OP_IOCTL) return 'emulated';
    return kind === 'proc' && op !== OP.OP_IOCTL ? 'emulated' : undefined;
  }

  /** A call has been run: from now on the log has files of the kernel's. */
  learn(call: Call, rax: bigint): void {
    if (FILE_OPENS.has(call.row!.op) && rax >= 0n) this.#files ||= isProc(call);
  }

  /**
   * Are the namespaces that the recording and the kernel name the same one? `adopted`: they are
   * said to be from now on, since neither had been seen before.
   */
  compare(recorded: string, own: string): 'same' | 'adopted' | 'different' {
    const before = this.#recorded.get(recorded);
    if (before !== undefined) return before === own ? 'same' : 'different';
    if (this.#own.has(own)) return 'different';
    this.#recorded.set(recorded, own);
    this.#own.set(own, recorded);
    return recorded === own ? 'same' : 'adopted';
  }

  /** Are they known to be the same? */
  sameAs(recorded: string, own: string): boolean {
    const bound = this.#recorded.get(recorded);
    if (bound !== undefined) return bound === own;
    return recorded === own && this.compare(recorded, own) === 'same';
  }

  /** The link of an open file of a namespace. */
  linkOf(pid: number, fd: number): string | undefined {
    const file = this.#k.fds(pid).find((one) => one.fd === fd);
    return file?.kind === 'nsfs' ? file.link : undefined;
  }

  /** A link, a descriptor or an entry of a namespace that had not been seen before. */
  adopt(call: Call, outcome: Outcome): string | undefined {
    if (call.row!.op === OP.OP_SETNS) return this.#adoptForeign(call, outcome);
    if (call.row!.op === OP.OP_UNAME) return this.#adoptNames(call, outcome);
    const recorded = nsLink(call);
    if (recorded === undefined || outcome.rax < 0n) return undefined;
    const own = LINKS.has(call.row!.op)
      ? linkText(call, outcome)
      : this.linkOf(call.pid, Number(outcome.rax));
    if (own === undefined || this.compare(recorded, own) !== 'adopted') return undefined;
    return 'identity of a namespace';
  }

  /** The names of a machine that nobody named in the log. */
  #adoptNames(call: Call, outcome: Outcome): string | undefined {
    let adopted = false;
    for (const name of NAMES) {
      const field = fieldOf(call.args[0], name);
      const unnamed = utsField(outcome.frame, name) === '(none)';
      if (field?.kind !== 'str' || field.truncated || !unnamed) continue;
      if (this.#k.setName(call.pid, field.value, name === 'domainname')) adopted = true;
    }
    return adopted ? 'name of the machine' : undefined;
  }

  /** setns by a file whose opening did not show what it is: a namespace of somebody outside. */
  #adoptForeign(call: Call, outcome: Outcome): string | undefined {
    if (call.ret !== 0 || outcome.rax !== BigInt(-EINVAL)) return undefined;
    const fd = Number(valueOf(call.args[0]) ?? -1n);
    const file = this.#k.fds(call.pid).find((one) => one.fd === fd);
    const said = /^(\w+):\[(\d+)\]$/.exec(call.args[0]?.path ?? '');
    const type = Number(valueOf(call.args[1]) ?? 0n) || (NS_TYPES[said?.[1] ?? ''] ?? 0);
    if (file?.kind !== 'world' || !type) return undefined;
    const own = said ? this.#recorded.get(said[0]) : undefined;
    const inum = Number(/\d+/.exec(own ?? '')?.[0] ?? 0);
    if (!this.#k.setNs(call.pid, fd, type, inum)) return undefined;
    const link = this.linkOf(call.pid, fd);
    if (said && link) this.compare(said[0], link);
    this.#k.frame.begin(call.pid, 0, OP.OP_SETNS).setArg(0, fd).setArg(1, type);
    this.#k.trap();
    return 'namespace from outside the log';
  }
}
