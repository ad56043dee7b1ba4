// Programs on the real processor: gdbserver stops them at each system call, and what the call gives
// comes from outside. A call that is answered never reaches the kernel of the machine; fork and
// execve do, since only they can make a process and a program.
import { spawn } from 'node:child_process';
import { REG, Registers } from 'bulkhead';
import { Rsp } from './rsp.mjs';

const ENOSYS_AT_ENTRY = BigInt.asUintN(64, -38n);
const NO_CALL = BigInt.asUintN(64, -1n);
const NR_FORK = 57n;
/** gdb's numbers of the signals that a program brings upon itself, and Linux's. */
const FAULTS = { 0x04: 4, 0x08: 8, 0x0a: 7, 0x0b: 11 };
const FEATURES =
  'multiprocess+;fork-events+;vfork-events+;exec-events+;vContSupported+;xmlRegisters=i386';
/** gdb's names that are not ours. */
const NAMES = { eflags: 'rflags' };

/** Memory that has to be fetched first: `fetch` does, then the same is tried again. */
class Missing extends Error {
  constructor(fetch) {
    super('memory that is not here yet');
    this.fetch = fetch;
  }
}

/** What has been seen of a stopped process's memory, and what is to be written to it. */
class RemoteMemory {
  #server;
  #seen = new Map();
  #writes = [];

  constructor(server) {
    this.#server = server;
  }

  read(addr, len) {
    const key = `${addr} ${len}`;
    if (!this.#seen.has(key)) {
      throw new Missing(async () => this.#seen.set(key, await this.#server.peek(addr, len)));
    }
    return this.#seen.get(key);
  }

  write(addr, bytes) {
    this.#writes.push([addr, bytes]);
    return true;
  }

  async flush() {
    for (const [addr, bytes] of this.#writes.splice(0)) await this.#server.poke(addr, bytes);
    this.#seen.clear();
  }
}

/** Where each register lies in a `g` packet: name -> offset and bytes. */
export function parseRegisters(xml) {
  const places = new Map();
  let at = 0;
  for (const [, attributes] of xml.matchAll(/<reg ([^>]*)>/g)) {
    const name = /name="([^"]*)"/.exec(attributes)?.[1];
    const size = Number(/bitsize="(\d+)"/.exec(attributes)?.[1]) / 8;
    places.set(NAMES[name] ?? name, { at, size });
    at += size;
  }
  return places;
}

/** One process on the other side. */
class Remote {
  constructor(thread, memory) {
    this.thread = thread;
    this.pid = thread.slice(1).split('.')[0];
    this.memory = memory;
    this.regs = new Registers();
    /** registers as gdbserver has them, while the process stands still */
    this.image = undefined;
  }
}

export class Native {
  #rsp;
  #places;
  #process;

  /** Starts `path` for the first process, or lets `state` execute it. */
  async start({ path, argv }, state) {
    if (state) return this.#exec(state);
    this.#process = spawn(
      'gdbserver',
      ['--once', '--no-startup-with-shell', '127.0.0.1:0', path, ...argv.slice(1)],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    this.#rsp = await Rsp.connect(await listeningPort(this.#process));
    await this.#rsp.request(`qSupported:${FEATURES}`);
    const thread = threadOf(await this.#rsp.request('?'));
    this.#places = parseRegisters(await this.#description('target.xml'));
    // without a step, the end of the first execve makes every entry look like a return
    await this.#rsp.request(`vCont;s:${thread}`);
    await this.#rsp.expect('QCatchSyscalls:1', 'OK');
    return this.#load(new Remote(thread, new RemoteMemory(this)));
  }

  /** A file of the target's description with what it includes. */
  async #description(name) {
    let text = '';
    for (let more = true; more;) {
      const offset = text.length.toString(16);
      const part = await this.#rsp.request(`qXfer:features:read:${name}:${offset},ffb`);
      text += part.slice(1);
      more = part[0] === 'm';
    }
    for (const [whole, href] of text.matchAll(/<xi:include href="([^"]*)"\s*\/>/g)) {
      text = text.replace(whole, await this.#description(href));
    }
    return text;
  }

  /** The state of a child: the process forks in earnest. */
  async fork(state) {
    const parent = state.image;
    this.#put(parent, 'orig_rax', NR_FORK);
    await this.#select(state);
    await this.#rsp.expect(`G${parent.toString('hex')}`, 'OK');
    const stop = await this.#continue(state);
    const thread = /fork:(p[^;]*)/.exec(stop)?.[1];
    if (!thread) throw new Error(`the program did not fork: ${stop}`);
    // the parent stands where its fork returns
    await this.#continue(state);
    const regs = state.regs.words.slice();
    await this.#load(state);
    state.regs.words.set(regs);
    const child = await this.#load(new Remote(thread, new RemoteMemory(this)));
    child.regs.words.set(regs);
    // which calls to stop at is known of each process by itself
    await this.#rsp.expect('QCatchSyscalls:1', 'OK');
    return child;
  }

  async #exec(state) {
    await this.#select(state);
    const stop = await this.#continue(state);
    if (!stop.includes('exec:')) throw new Error(`the program did not execute: ${stop}`);
    return this.#load(new Remote(threadOf(stop), new RemoteMemory(this)));
  }

  /** Runs until the next call or fault. */
  async run(state) {
    await this.#store(state);
    for (;;) {
      const stop = await this.#continue(state);
      if (!stop.startsWith('T')) throw new Error(`the program has ended by itself: ${stop}`);
      const fault = FAULTS[parseInt(stop.slice(1, 3), 16)];
      await this.#load(state);
      if (fault) return { stop: 'signal', signo: fault };
      const { image } = state;
      const nr = this.#get(image, 'orig_rax');
      if (this.#get(image, 'rax') !== ENOSYS_AT_ENTRY || nr === NO_CALL) continue;
      // as the registers were before the instruction
      state.regs.setBig(REG.rax, nr).setBig(REG.rip, this.#get(image, 'rip') - 2n);
      return { stop: 'call' };
    }
  }

  /** The task is dead. */
  async end(state) {
    await this.#rsp.request(`vKill;${state.pid}`);
  }

  close() {
    this.#rsp?.close();
    this.#process?.kill();
  }

  async peek(addr, len) {
    const hex = await this.#rsp.request(`m${addr.toString(16)},${len.toString(16)}`);
    const bytes = hex.startsWith('E') ? undefined : Buffer.from(hex, 'hex');
    return bytes?.length === len ? bytes : undefined;
  }

  poke(addr, bytes) {
    const hex = Buffer.from(bytes).toString('hex');
    return this.#rsp.expect(`M${addr.toString(16)},${bytes.length.toString(16)}:${hex}`, 'OK');
  }

  #select({ thread }) {
    return this.#rsp.expect(`Hg${thread}`, 'OK');
  }

  #continue({ thread }) {
    return this.#rsp.request(`vCont;c:${thread}`);
  }

  async #load(state) {
    await this.#select(state);
    state.image = Buffer.from(await this.#rsp.request('g'), 'hex');
    for (const [name, index] of Object.entries(REG)) {
      if (this.#places.has(name)) state.regs.setBig(index, this.#get(state.image, name));
    }
    return state;
  }

  /** Registers and memory go back; whatever call the process stands in is skipped. */
  async #store(state) {
    await this.#select(state);
    await state.memory.flush();
    for (const [name, index] of Object.entries(REG)) {
      if (this.#places.has(name)) this.#put(state.image, name, state.regs.big(index));
    }
    this.#put(state.image, 'orig_rax', NO_CALL);
    await this.#rsp.expect(`G${state.image.toString('hex')}`, 'OK');
  }

  #get(image, name) {
    const { at, size } = this.#places.get(name);
    return size === 8 ? image.readBigUInt64LE(at) : BigInt(image.readUInt32LE(at));
  }

  #put(image, name, value) {
    const { at, size } = this.#places.get(name);
    if (size === 8) image.writeBigUInt64LE(BigInt.asUintN(64, value), at);
    else image.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
  }
}

function threadOf(stop) {
  const thread = /thread:([^;]*)/.exec(stop)?.[1];
  if (!thread) throw new Error(`gdbserver names no thread: ${stop}`);
  return thread;
}

/** The port that gdbserver says it listens on. */
function listeningPort(process) {
  return new Promise((resolve, reject) => {
    let said = '';
    process.once('error', reject);
    process.once('exit', () => reject(new Error(`gdbserver has ended: ${said}`)));
    process.stderr.setEncoding('utf8').on('data', (text) => {
      said += text;
      const port = /Listening on port (\d+)/.exec(said)?.[1];
      if (port) resolve(Number(port));
    });
  });
}
