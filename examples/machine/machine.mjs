// A machine of many processes: programs run on a processor, every instruction that traps is a call
// of Bulkhead, and who runs next is what the kernel says of who sleeps, stops and dies.
import { createKernel, DISP_BLOCKED, DISP_DONE, DISP_EXITED, REG, X86Trap } from 'bulkhead';

const ENOENT = 2;
const CLONE_VM = 0x100;
/** Enough steps for any return to user mode: there are 64 signals. */
const STEPS = 130;

/** A C string in a task's memory. */
function textAt(memory, addr) {
  const bytes = [];
  for (let at = addr; ; ++at) {
    const byte = memory.read(at, 1)?.[0];
    if (byte === undefined) return undefined;
    if (byte === 0) return Buffer.from(bytes).toString('latin1');
    bytes.push(byte);
  }
}

/** The strings of a vector of pointers that ends with 0. */
function textsAt(memory, addr) {
  const texts = [];
  for (let at = addr; at !== 0n; at += 8n) {
    const word = memory.read(at, 8);
    const pointer = word && Buffer.from(word).readBigUInt64LE(0);
    if (!pointer) break;
    texts.push(textAt(memory, pointer) ?? '');
  }
  return texts;
}

/** Looks at memory; what a processor has to fetch first it fetches, and is asked again. */
async function withMemory(look) {
  for (;;) {
    try {
      return look();
    } catch (cause) {
      if (!cause.fetch) throw cause;
      await cause.fetch();
    }
  }
}

export class Machine {
  /** @type {Map<number, { tid, state, mode: 'runs' | 'sleeps' | 'stopped', ... }>} */
  #tasks = new Map();
  #status = 0;
  /** what lies in each pipe, by its link of /proc/PID/fd */
  #pipes = new Map();

  /**
   * `processor` runs programs (interpreter.mjs); `programs`: path -> ELF file; `output` gets what
   * is written to the terminal; `abi`: whose numbers the programs use.
   */
  constructor(kernel, { processor, programs, output, abi }) {
    this.kernel = kernel;
    this.processor = processor;
    this.programs = programs;
    this.output = output;
    this.trap = new X86Trap(kernel, { abi, world: (call, frame) => this.#world(call, frame) });
    // what the first process has open when it begins is the terminal
    this.terminal = kernel.file(1, 1)?.address;
  }

  static async boot(options) {
    return new Machine(await createKernel({ boot: options.boot }), options);
  }

  /** Runs `path` as the first process until nobody is left. Return: its wait status. */
  async run(path, argv = [path], env = []) {
    const file = this.programs.get(path);
    if (!file) throw new Error(`there is no program ${path}`);
    const state = await this.processor.start({ path, file, argv, env });
    this.#tasks.set(1, { tid: 1, state, mode: 'runs' });
    while (this.#tasks.size > 0) {
      const turn = [...this.#tasks.values()].filter((task) => task.mode === 'runs');
      if (turn.length === 0) throw new Error(`everybody waits: ${this.#waiting()}`);
      for (const task of turn) if (this.#isRunning(task)) await this.#turn(task);
    }
    return this.#status;
  }

  #waiting() {
    return [...this.#tasks.values()].map(({ tid, call }) => `${tid} in ${call?.name}`).join(', ');
  }

  #isRunning(task) {
    return this.#tasks.get(task.tid) === task && task.mode === 'runs';
  }

  async #turn(task) {
    const { stop, signo } = await this.processor.run(task.state);
    if (stop === 'signal') this.kernel.fault(task.tid, signo);
    if (stop === 'call') await this.#call(task);
    await this.#settle();
    // a return to user mode is when signals act
    if (this.#isRunning(task)) await this.#toUser(task, stop === 'call');
  }

  /** The task stands before an instruction that traps. */
  async #call(task) {
    const { regs, memory } = task.state;
    const before = regs.words.slice();
    const disposition = await withMemory(() => {
      regs.words.set(before);
      task.call = this.trap.callAt(task.tid, regs, memory);
      task.exec = undefined;
      return this.trap.step(task.tid, regs, memory);
    });
    if (disposition === DISP_DONE) await this.#done(task);
    else if (disposition === DISP_BLOCKED) this.#sleep(task);
    else if (disposition !== DISP_EXITED) throw new Error(`no answer (${disposition})`);
  }

  #sleep(task) {
    // its first bytes are in the pipe already, and a reader might come for them
    if (task.call.name === 'write') throw new Error('a write of more than a pipe holds');
    task.mode = 'sleeps';
  }

  /** What is not the kernel's to know: which programs there are. */
  #world(call, frame) {
    if (call.name !== 'execve') return;
    const task = this.#tasks.get(call.tid);
    const [path, argv, env] = call.args;
    const { memory } = task.state;
    const name = textAt(memory, path) ?? '';
    const file = this.programs.get(name);
    if (!file) frame.assistErrno(ENOENT);
    else task.exec = { path: name, file, argv: textsAt(memory, argv), env: textsAt(memory, env) };
  }

  /** The call is over, its result in the registers. */
  async #done(task) {
    const { call, state, exec } = task;
    const result = BigInt.asIntN(64, state.regs.big(REG.rax));
    if (exec && result === 0n) {
      task.state = await this.processor.start(exec, state);
    } else if (result > 0n && (call.name === 'write' || call.name === 'read')) {
      await this.#carry(task, Number(result));
    }
  }

  /** Contents are not the kernel's: it knows how many bytes lie in a pipe, not which. */
  async #carry({ tid, call, state }, length) {
    const [fd, addr] = call.args;
    const file = this.kernel.file(tid, Number(fd));
    const link = this.kernel.fds(tid).find((one) => one.fd === Number(fd))?.link;
    const piped = this.#pipes.get(link) ?? Buffer.alloc(0);
    if (call.name === 'read') {
      if (file?.kind !== 'pipe') return;
      state.memory.write(addr, piped.subarray(0, length));
      this.#pipes.set(link, piped.subarray(length));
      return;
    }
    const bytes = Buffer.from(await withMemory(() => state.memory.read(addr, length)));
    if (file?.address === this.terminal) this.output(bytes);
    if (file?.kind === 'pipe') this.#pipes.set(link, Buffer.concat([piped, bytes]));
  }

  /** Deaths, births and sleeps that are over, until nothing moves any more. */
  async #settle() {
    for (let moved = true; moved;) {
      moved = this.kernel.runPending() > 0;
      for (const event of this.kernel.events()) await this.#event(event);
      for (const task of this.#tasks.values()) {
        if (task.mode !== 'stopped' || this.kernel.task(task.tid)?.state === 'T') continue;
        task.mode = 'runs';
        await this.#toUser(task, task.fromCall);
      }
      for (const tid of this.kernel.woken()) {
        const task = this.#tasks.get(tid);
        moved = true;
        if (this.kernel.resume(tid) !== DISP_DONE) continue;
        this.trap.finish(tid, task.state.regs, task.state.memory);
        task.mode = 'runs';
        await this.#done(task);
        await this.#toUser(task, true);
      }
    }
  }

  async #event(event) {
    const task = this.#tasks.get(event.tid);
    if (event.type === 'fork') await this.#born(task, event);
    if (event.type === 'stop' && task) task.mode = 'stopped';
    if (event.type === 'store') {
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(event.value);
      task?.state.memory.write(event.addr, bytes);
    }
    if (event.type !== 'exit') return;
    if (event.tid === 1) this.#status = event.code;
    await this.processor.end?.(task.state);
    this.#tasks.delete(event.tid);
  }

  /** A child begins where its parent's call is, with 0 for a result. */
  async #born(parent, { pid, flags }) {
    const state = await this.processor.fork(parent.state, (flags & CLONE_VM) !== 0);
    state.regs.setBig(REG.rax, 0n);
    const { name, args } = parent.call;
    if (name === 'clone' && args[1] !== 0n) state.regs.setBig(REG.rsp, args[1]);
    this.#tasks.set(pid, { tid: pid, state, mode: 'runs' });
  }

  /** Signals act; `fromCall`: a call that one interrupted may have to begin again. */
  async #toUser(task, fromCall) {
    task.fromCall = fromCall;
    for (let i = 0; i < STEPS && this.#isRunning(task); ++i) {
      const { action, info } = fromCall
        ? this.trap.exitToUser(task.tid, task.state.regs)
        : this.kernel.exitToUser(task.tid);
      if (action === 'none') return;
      if (action === 'handled') throw new Error(`no handlers here (signal ${info.signo})`);
      for (const event of this.kernel.events()) await this.#event(event);
      if (action === 'died') await this.#settle();
    }
  }
}
