// Calls that come again with the same arguments: what was put into the frame for the first one is
// put there again, and where the kernel answers and writes the same, the comparison with what the
// log shows ends the same. Shared trees of arguments (parseArgs) are how sameness is seen.
import type { ArgNode } from '../trace/args.ts';
import type { Frame, FrameImage } from '../frame.ts';
import type { SyscallRow } from '../syscall-abi.ts';
import { Lately } from '../trace/lately.ts';
import type { Call } from './call.ts';

/** EFAULT and EPERM tell what memory was there that is not shown. */
function refusalOf(call: Call): string {
  return call.errno === 'EFAULT' || call.errno === 'EPERM' ? call.errno : '';
}

export class Stencil {
  readonly row: SyscallRow;
  readonly tableIndex: number;
  /** an errno that changes what is put into the frame */
  readonly fault: string;
  readonly image: FrameImage;
  /** what the kernel wrote when that was found to be what the log shows, and its answer */
  #agreed: Uint32Array | undefined = undefined;
  #answer = 0n;

  constructor(call: Call, tableIndex: number, image: FrameImage) {
    this.row = call.row!;
    this.tableIndex = tableIndex;
    this.fault = refusalOf(call);
    this.image = image;
  }

  /** Has this outcome been compared before, and did it agree? */
  agrees(frame: Frame, answer: bigint): boolean {
    return this.#agreed !== undefined && answer === this.#answer && frame.holds(this.#agreed);
  }

  agreed(frame: Frame, answer: bigint): void {
    this.#agreed = frame.contents();
    this.#answer = answer;
  }
}

/** As many as there are trees. */
const LIMIT = 4096;

/** Calls without arguments share one tree. */
function keyOf(call: Call): readonly ArgNode[] | SyscallRow {
  return call.args.length ? call.args : call.row!;
}

/** An address in front: its tree is shared with no other call. */
function isFleeting(call: Call): boolean {
  const first = call.args[0];
  return first?.kind === 'int' && first.base === 16;
}

export class Stencils {
  readonly #known = new Lately<readonly ArgNode[] | SyscallRow, Stencil>(LIMIT);

  readonly #once = new Lately<readonly ArgNode[] | SyscallRow, true>(LIMIT);

  find(call: Call, tableIndex: number): Stencil | undefined {
    const found = isFleeting(call) ? undefined : this.#known.get(keyOf(call));
    if (!found || found.row !== call.row || found.tableIndex !== tableIndex) return undefined;
    return found.fault === refusalOf(call) ? found : undefined;
  }

  /** Keeps what has been put into `frame` for this call, if it is not the first of its sort. */
  keep(call: Call, tableIndex: number, frame: Frame): Stencil | undefined {
    // most arguments never come again, and copies of them would only be garbage
    if (isFleeting(call)) return undefined;
    if (!this.#once.get(keyOf(call))) {
      this.#once.set(keyOf(call), true);
      return undefined;
    }
    const image = frame.capture();
    if (!image) return undefined;
    const made = new Stencil(call, tableIndex, image);
    this.#known.set(keyOf(call), made);
    return made;
  }
}
