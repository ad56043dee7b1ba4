// Which open files are the same file: by the path that the log shows, as long as nothing makes that
// path mean something else. Files that it cannot tell apart have no identity.
import * as FC from '../../assembly/uapi/fcntl.ts';
import type { ArgNode } from '../trace/args.ts';
import { parseRetDetail } from '../trace/strace/line.ts';
import { type Call, failed } from './call.ts';
import { valueOf } from './value.ts';

/** What a log that shows the opening says of an open file. */
export interface Opened {
  /** O_* as F_GETFL gives them */
  flags: number;
  /** number of the file, 0: not known */
  id: number;
}

/** Which arguments are path and flags. */
const OPENS: Readonly<Record<string, readonly [path: number, flags: number]>> = {
  open: [0, 1],
  openat: [1, 2],
};
const SOCKETS: Readonly<Record<string, number>> = { socket: 1, accept4: 3 };
/** Which arguments of a call are paths that mean something else afterwards. */
const MOVES: Readonly<Record<string, readonly number[]>> = {
  unlink: [0],
  unlinkat: [1],
  rmdir: [0],
  rename: [0, 1],
  renameat: [1, 3],
  renameat2: [1, 3],
};
/** Flags that only matter while a file is being opened. */
const OPENING = FC.O_CREAT | FC.O_EXCL | FC.O_NOCTTY | FC.O_TRUNC | FC.O_CLOEXEC;
const PATH_FLAGS = FC.O_PATH | FC.O_DIRECTORY | FC.O_NOFOLLOW;
const SPECIAL = /^\/(proc|dev|sys)(\/|$)|\/\.{1,2}(\/|$)|\/\//;

/** Does a call of this name move or remove files? */
export function movesFiles(name: string): boolean {
  return MOVES[name] !== undefined;
}

export class SameFiles {
  readonly #ids = new Map<string, number>();
  #last = 0;
  /** paths of different tasks may lead to different files */
  #lost = false;

  #of(path: string): number {
    if (this.#lost || !path.startsWith('/') || SPECIAL.test(path)) return 0;
    let id = this.#ids.get(path);
    if (id === undefined) this.#ids.set(path, (id = ++this.#last));
    return id;
  }

  /** The file that a path argument names. */
  ofPath(node: ArgNode | undefined): number {
    return node?.kind === 'str' && !node.truncated ? this.#of(node.value) : 0;
  }

  /** How the file that a call opens is open, and which one it is. */
  opened(call: Call): Opened | undefined {
    const socket = SOCKETS[call.name];
    if (socket !== undefined) {
      const nonblock = /NONBLOCK\b/.test(call.text);
      return { flags: FC.O_RDWR | (nonblock ? FC.O_NONBLOCK : 0), id: 0 };
    }
    const at = OPENS[call.name];
    if (!at) return undefined;
    const value = valueOf(call.args[at[1]]);
    if (value === undefined) return undefined;
    const flags = Number(BigInt.asUintN(32, value));
    const large = call.table.compat ? 0 : FC.O_LARGEFILE;
    const kept = flags & FC.O_PATH ? flags & PATH_FLAGS : (flags & ~OPENING) | large;
    const shown = call.retText.includes('<')
      ? parseRetDetail(call.retText, call.retKind).path
      : undefined;
    const unnamed = (flags & FC.O_TMPFILE) === FC.O_TMPFILE || (flags & FC.O_PATH) !== 0;
    const id = unnamed
      ? 0
      : shown?.startsWith('/')
        ? this.#of(shown)
        : this.ofPath(call.args[at[0]]);
    return { flags: kept, id };
  }

  /** Paths that a call has moved or removed name nothing that is known. */
  learn(call: Call): void {
    const at = MOVES[call.name];
    if (!at || failed(call)) return;
    for (const i of at) {
      const node = call.args[i];
      if (node?.kind === 'str' && node.value.startsWith('/')) this.#ids.delete(node.value);
      // a relative path may be any of them
      else this.#ids.clear();
    }
  }

  /** What paths mean has changed for some tasks. */
  forgetAll(): void {
    this.#lost = true;
    this.#ids.clear();
  }
}
