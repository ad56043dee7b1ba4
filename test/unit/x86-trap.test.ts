// Protects: a register frame of either machine becomes the call it means, results and clobbered
// registers come back as the processor leaves them, guest memory is read and written where it is.
import { describe, expect, it } from 'vitest';
import { createKernel, DISP_BLOCKED, DISP_DONE, DISP_EXITED } from '../../host/kernel.ts';
import {
  gateAt,
  type GuestMemory,
  REG,
  regIndex,
  Registers,
  X86Trap,
} from '../../host/x86-trap.ts';

/** One stretch of guest memory, `readonly` at its lower half. */
class Memory implements GuestMemory {
  readonly bytes = new Uint8Array(8192);
  readonly base: bigint;

  constructor(base: bigint, code: string) {
    this.base = base;
    this.bytes.set(Buffer.from(code, 'hex'));
  }

  read(addr: bigint, len: number): Uint8Array | undefined {
    const at = Number(addr - this.base);
    if (at < 0 || at + len > this.bytes.length) return undefined;
    return this.bytes.slice(at, at + len);
  }

  write(addr: bigint, bytes: Uint8Array): boolean {
    if (!this.writable(addr)) return false;
    this.bytes.set(bytes, Number(addr - this.base));
    return true;
  }

  writable(addr: bigint): boolean {
    return addr - this.base >= 4096n;
  }

  text(at: number, text: string): bigint {
    this.bytes.set(Buffer.from(`${text}\0`), at);
    return this.base + BigInt(at);
  }
}

const BASE = 0x7f00_0000_0000n;
const BASE_32 = 0x0804_8000n;

async function machine(code: string, base = BASE) {
  const kernel = await createKernel();
  const trap = new X86Trap(kernel, { abi: 'howells-2017' });
  const memory = new Memory(base, code);
  const call = (regs: Partial<Record<string, bigint>>, tid = 1) => {
    const set = new Registers().setBig(REG.rip, base);
    for (const [name, value] of Object.entries(regs)) set.setBig(regIndex(name)!, value!);
    return { set, disposition: trap.step(tid, set, memory) };
  };
  return { kernel, trap, memory, call };
}

const signed = (regs: Registers): bigint => BigInt.asIntN(64, regs.big(REG.rax));

describe('gateAt', () => {
  it.each([
    ['0f05', 'syscall'],
    ['cd80', 'int80'],
    ['0f34', 'sysenter'],
    ['0f0b', undefined],
    ['cd81', undefined],
    ['0f', undefined],
    ['', undefined],
  ])('%s is %s', (code, gate) => {
    expect(gateAt(Buffer.from(code, 'hex'))).toBe(gate);
  });
});

describe('syscall', () => {
  it('puts the result into rax and clobbers rcx and r11', async () => {
    const { call } = await machine('0f05');
    const { set, disposition } = call({ rax: 39n, rflags: 0x246n, rbx: 0x1234_5678_9abcn });
    expect(disposition).toBe(DISP_DONE);
    expect(set.big(REG.rax)).toBe(1n);
    expect(set.big(REG.rip)).toBe(BASE + 2n);
    expect(set.big(REG.rcx)).toBe(BASE + 2n);
    expect(set.big(REG.r11)).toBe(0x246n);
    expect(set.big(REG.rbx)).toBe(0x1234_5678_9abcn);
  });

  it('reads a name from guest memory', async () => {
    const { kernel, memory, call } = await machine('0f05');
    const { set } = call({ rax: 335n, rdi: memory.text(64, 'foo-test'), rsi: 0x3f9n });
    expect(signed(set)).toBe(3n);
    expect(kernel.containers().map((c) => c.name)).toEqual(['.init', 'foo-test']);
  });

  it('ignores the upper half of a 32-bit argument', async () => {
    const { memory, call } = await machine('0f05');
    const rdi = memory.text(64, 'x');
    expect(signed(call({ rax: 335n, rdi, rsi: 0xffff_ffff_0000_0200n }).set)).toBe(3n);
    // the spare arguments are whole registers
    expect(signed(call({ rax: 335n, rdi, rdx: 1n << 40n }).set)).toBe(-22n);
  });

  it('is EFAULT for memory that is not there, and for a name that runs out of it', async () => {
    const { memory, call } = await machine('0f05');
    expect(signed(call({ rax: 335n, rdi: BASE - 4096n }).set)).toBe(-14n);
    memory.bytes.fill(0x61, 8180);
    expect(signed(call({ rax: 335n, rdi: BASE + 8180n }).set)).toBe(-14n);
  });

  it('writes outputs, but not into memory that is read-only', async () => {
    const { memory, call } = await machine('0f05');
    expect(signed(call({ rax: 22n, rdi: BASE + 4096n }).set)).toBe(0n);
    const view = new DataView(memory.bytes.buffer);
    expect([view.getInt32(4096, true), view.getInt32(4100, true)]).toEqual([3, 4]);
    expect(signed(call({ rax: 22n, rdi: BASE + 1024n }).set)).toBe(-14n);
  });

  it('is ENOSYS for a number that the table does not have', async () => {
    const { call } = await machine('0f05');
    for (const rax of [336n, 511n, 5000n, 0x1_0000_0027n, 0xffff_ffff_ffff_ffffn]) {
      expect(signed(call({ rax }).set)).toBe(-38n);
    }
  });

  it('leaves a sleeper its result until it wakes', async () => {
    const { kernel, trap, memory, call } = await machine('0f05');
    const child = Number(signed(call({ rax: 57n }).set));
    const wait = call({ rax: 61n, rdi: BigInt(child), rsi: BASE + 4096n });
    expect(wait.disposition).toBe(DISP_BLOCKED);
    expect(call({ rax: 231n, rdi: 7n }, child).disposition).toBe(DISP_EXITED);
    expect(kernel.woken()).toEqual([1]);
    expect(kernel.resume(1)).toBe(DISP_DONE);
    trap.finish(1, wait.set, memory);
    expect(signed(wait.set)).toBe(BigInt(child));
    expect(memory.bytes[4097]).toBe(7);
  });
});

describe('int 0x80 and sysenter', () => {
  it('take the i386 registers and their lower halves', async () => {
    const { memory, call } = await machine('cd80', BASE_32);
    const name = memory.text(64, 'gate');
    const { set } = call({ eax: 387n, ebx: (0xdeadn << 32n) | name, ecx: 0x200n });
    expect(signed(set)).toBe(3n);
    expect(set.big(REG.rcx)).toBe(0x200n);
    expect(set.big(REG.rip)).toBe(BASE_32 + 2n);
  });

  it('are found after each other in one machine', async () => {
    const { memory, call } = await machine('0f05');
    expect(signed(call({ rax: 39n }).set)).toBe(1n);
    memory.bytes.set([0xcd, 0x80]);
    expect(signed(call({ eax: 20n }).set)).toBe(1n);
  });

  it('sysenter needs its sixth argument on the stack', async () => {
    const { call } = await machine('0f34', BASE_32);
    expect(signed(call({ eax: 20n, ebp: BASE_32 + 4096n }).set)).toBe(1n);
    expect(BigInt.asIntN(32, call({ eax: 20n, ebp: 16n }).set.big(REG.rax))).toBe(-14n);
  });
});

describe('no trap', () => {
  it('changes nothing', async () => {
    const { call } = await machine('9090');
    const { set, disposition } = call({ rax: 39n });
    expect(disposition).toBe(-1);
    expect(set.big(REG.rip)).toBe(BASE);
  });

  it('is a rip that nothing is mapped at', async () => {
    const { trap, memory } = await machine('0f05');
    expect(trap.step(1, new Registers(), memory)).toBe(-1);
  });
});

describe('a simulator', () => {
  const PIPE = 22n;
  const READ = 0n;
  const FORK = 57n;
  const EXECVE = 59n;
  const SIGCONT = 18;
  const SIGSTOP = 19;

  it('is told which call a task stands before', async () => {
    const { trap, memory } = await machine('0f0590');
    const set = new Registers().setBig(REG.rip, BASE).setBig(REG.rax, 335n).setBig(REG.r10, 7n);
    const call = trap.callAt(1, set, memory);
    expect(call).toEqual({
      ...{ tid: 1, nr: 335, name: 'container_create' },
      args: [0n, 0n, 0n, 7n, 0n, 0n],
    });
    expect(trap.callAt(1, set.setBig(REG.rax, 9999n), memory)?.name).toBeUndefined();
    expect(trap.callAt(1, set.setBig(REG.rip, BASE + 2n), memory)).toBeUndefined();
  });

  it('says what the world decides, before the call runs', async () => {
    const kernel = await createKernel();
    const seen: string[] = [];
    const trap = new X86Trap(kernel, {
      abi: 'linux-x86_64',
      world: (call, frame) => {
        seen.push(`${call.tid} ${call.name} ${call.args[0]}`);
        if (call.name === 'execve') frame.assistErrno(2);
      },
    });
    const memory = new Memory(BASE, '0f05');
    const set = new Registers().setBig(REG.rip, BASE).setBig(REG.rax, EXECVE);
    expect(trap.step(1, set.setBig(REG.rdi, memory.text(64, '/x')), memory)).toBe(DISP_DONE);
    expect(signed(set)).toBe(-2n);
    expect(seen).toEqual([`1 execve ${BASE + 64n}`]);
  });

  it('sets an interrupted call up to begin again', async () => {
    const { kernel, trap, memory, call } = await machine('0f05');
    expect(signed(call({ rax: PIPE, rdi: BASE + 4096n }).set)).toBe(0n);
    expect(signed(call({ rax: FORK }).set)).toBe(2n);
    const { set, disposition } = call({ rax: READ, rdi: 3n, rsi: BASE + 4200n, rdx: 1n }, 2);
    expect(disposition).toBe(DISP_BLOCKED);
    kernel.raise(2, true, { signo: SIGSTOP });
    expect(kernel.resume(2)).toBe(DISP_DONE);
    trap.finish(2, set, memory);
    // -ERESTARTSYS: not to be seen by a program
    expect([set.big(REG.rip), signed(set)]).toEqual([BASE + 2n, -512n]);
    expect(trap.exitToUser(2, set).action).toBe('stopped');
    kernel.raise(2, true, { signo: SIGCONT });
    const actions: string[] = [];
    for (let at = ''; at !== 'none'; actions.push(at)) at = trap.exitToUser(2, set).action;
    expect(actions).toEqual(['continued', 'none']);
    expect([set.big(REG.rip), signed(set)]).toEqual([BASE, READ]);
  });
});
