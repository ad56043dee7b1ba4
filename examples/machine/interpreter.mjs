// A small x86-64 processor: the instructions that programs without a C library are made of. It
// stops at every instruction that traps; what it does not know it refuses.
import { gateAt, REG, Registers } from 'bulkhead';
import * as alu from './alu.mjs';
import { decode, mask, UnknownInstruction } from './decode.mjs';
import { loadProgram } from './elf.mjs';
import { Fault, PAGE_SIZE } from './memory.mjs';

const SIGSEGV = 11;
const SIGFPE = 8;
const FLAGS_AT_START = 0x202n;
/** Instructions that a task runs before it is another's turn. */
const TURN = 10_000;

class DivideError extends Error {}

/** Two operands, the first of which gets the result. */
const binary =
  (run) =>
  (cpu, { ops: [to, from] }) => {
    const [result, flags] = run(cpu.flags, to.size, to.get(cpu), from.get(cpu));
    to.set(cpu, result);
    cpu.flags = flags;
  };
/** One operand. */
const unary =
  (run) =>
  (cpu, { ops: [to] }) => {
    const [result, flags] = run(cpu.flags, to.size, to.get(cpu));
    to.set(cpu, result);
    cpu.flags = flags;
  };
/** Two operands, and only the flags change. */
const compare =
  (run) =>
  (cpu, { ops: [a, b] }) => {
    cpu.flags = run(cpu.flags, a.size, a.get(cpu), b.get(cpu))[1];
  };
const and = (flags, size, a, b) => alu.logic(flags, size, a & b);
const carryOf = (flags) => flags & alu.FLAG.C;

function extend(signed) {
  return (cpu, { ops: [to, from] }) => {
    const value = from.get(cpu);
    to.set(cpu, signed ? alu.signed(value, from.size) : value);
  };
}

/** The sign of the accumulator into a wider one. */
const widen = (from, to) => (cpu) => {
  cpu.setReg(REG.rax, to, alu.signed(cpu.reg(REG.rax, from), from));
};
/** The sign of the accumulator into all of rdx. */
const spread = (size) => (cpu) => {
  cpu.setReg(REG.rdx, size, alu.signed(cpu.reg(REG.rax, size), size) < 0n ? -1n : 0n);
};

/** rdx:rax, or ax for bytes. */
function accumulator(cpu, size) {
  if (size === 1) return cpu.reg(REG.rax, 2);
  return (cpu.reg(REG.rdx, size) << BigInt(size * 8)) | cpu.reg(REG.rax, size);
}

function setHalves(cpu, size, low, high) {
  if (size === 1) {
    cpu.setReg(REG.rax, 2, ((high & 0xffn) << 8n) | (low & 0xffn));
    return;
  }
  cpu.setReg(REG.rax, size, low);
  cpu.setReg(REG.rdx, size, high);
}

const multiply =
  (isSigned) =>
  (cpu, { ops }) => {
    if (ops.length > 1) {
      const [to, a, b] = ops.length === 3 ? ops : [ops[0], ops[0], ops[1]];
      const factors = [a, b].map((op) => alu.signed(op.get(cpu), to.size));
      const [result, flags] = alu.product(cpu.flags, to.size, ...factors);
      to.set(cpu, result);
      cpu.flags = flags;
      return;
    }
    const { size } = ops[0];
    const value = (raw) => (isSigned ? alu.signed(raw, size) : raw);
    const all = value(cpu.reg(REG.rax, size)) * value(ops[0].get(cpu));
    const low = all & mask(size);
    setHalves(cpu, size, low, all >> BigInt(size * 8));
    const over = all !== value(low) ? alu.FLAG.C | alu.FLAG.O : 0n;
    cpu.flags = (cpu.flags & ~(alu.FLAG.C | alu.FLAG.O)) | over;
  };

const divide =
  (isSigned) =>
  (cpu, { ops: [by] }) => {
    const { size } = by;
    const value = (raw, bytes) => (isSigned ? alu.signed(raw, bytes) : raw);
    const divisor = value(by.get(cpu), size);
    if (divisor === 0n) throw new DivideError();
    const dividend = value(accumulator(cpu, size), size * 2);
    const quotient = dividend / divisor;
    if (value(quotient & mask(size), size) !== quotient) throw new DivideError();
    setHalves(cpu, size, quotient, dividend % divisor);
  };

function exchange(cpu, { ops: [a, b] }) {
  const [x, y] = [a.get(cpu), b.get(cpu)];
  a.set(cpu, y);
  b.set(cpu, x);
}

function bitTest(cpu, { ops: [value, at] }) {
  const set = (value.get(cpu) >> (at.get(cpu) % BigInt(value.size * 8))) & 1n;
  cpu.flags = (cpu.flags & ~alu.FLAG.C) | (set ? alu.FLAG.C : 0n);
}

function swapBytes(value, size) {
  let swapped = 0n;
  for (let i = 0; i < size; ++i) swapped = (swapped << 8n) | ((value >> BigInt(8 * i)) & 0xffn);
  return swapped;
}

function push(cpu, value) {
  const rsp = cpu.regs.big(REG.rsp) - 8n;
  cpu.memory.set(rsp, 8, value);
  cpu.regs.setBig(REG.rsp, rsp);
}

function pop(cpu) {
  const rsp = cpu.regs.big(REG.rsp);
  const value = cpu.memory.get(rsp, 8);
  cpu.regs.setBig(REG.rsp, rsp + 8n);
  return value;
}

/** movs, stos, lods: one element, or rcx of them. `step`: what to do at rsi and rdi. */
const string =
  (step, usesSource, usesTarget) =>
  (cpu, { ops, repeats }) => {
    const { size } = ops[0];
    const by = BigInt(cpu.flags & alu.FLAG.D ? -size : size);
    for (let left = repeats ? cpu.regs.big(REG.rcx) : 1n; left > 0n; --left) {
      step(cpu, size, cpu.regs.big(REG.rsi), cpu.regs.big(REG.rdi));
      if (usesSource) cpu.regs.setBig(REG.rsi, cpu.regs.big(REG.rsi) + by);
      if (usesTarget) cpu.regs.setBig(REG.rdi, cpu.regs.big(REG.rdi) + by);
      if (repeats) cpu.regs.setBig(REG.rcx, left - 1n);
    }
  };
const moveString = string(
  (cpu, size, from, to) => cpu.memory.set(to, size, cpu.memory.get(from, size)),
  true,
  true,
);
const storeString = string(
  (cpu, size, from, to) => cpu.memory.set(to, size, cpu.reg(REG.rax, size)),
  false,
  true,
);
const loadString = string(
  (cpu, size, from) => cpu.setReg(REG.rax, size, cpu.memory.get(from, size)),
  true,
  false,
);

const OPERATIONS = {
  Mov: (cpu, { ops: [to, from] }) => to.set(cpu, from.get(cpu)),
  Movzx: extend(false),
  Movsx: extend(true),
  Movsxd: extend(true),
  Lea: (cpu, { ops: [to, from] }) => to.set(cpu, from.address(cpu)),
  Add: binary(alu.add),
  Adc: binary((flags, size, a, b) => alu.add(flags, size, a, b, carryOf(flags))),
  Sub: binary(alu.sub),
  Sbb: binary((flags, size, a, b) => alu.sub(flags, size, a, b, carryOf(flags))),
  Cmp: compare(alu.sub),
  Test: compare(and),
  And: binary(and),
  Or: binary((flags, size, a, b) => alu.logic(flags, size, a | b)),
  Xor: binary((flags, size, a, b) => alu.logic(flags, size, a ^ b)),
  Not: unary((flags, size, a) => [~a & mask(size), flags]),
  Neg: unary((flags, size, a) => alu.sub(flags, size, 0n, a)),
  Inc: unary((flags, size, a) => alu.step(flags, size, a, 1)),
  Dec: unary((flags, size, a) => alu.step(flags, size, a, -1)),
  Shl: binary(alu.shl),
  Sal: binary(alu.shl),
  Shr: binary(alu.shr),
  Sar: binary(alu.sar),
  Rol: binary((flags, size, a, b) => alu.rotate(flags, size, a, b, 1)),
  Ror: binary((flags, size, a, b) => alu.rotate(flags, size, a, b, -1)),
  Imul: multiply(true),
  Mul: multiply(false),
  Idiv: divide(true),
  Div: divide(false),
  Bt: bitTest,
  Xchg: exchange,
  Cbw: widen(1, 2),
  Cwde: widen(2, 4),
  Cdqe: widen(4, 8),
  Cwd: spread(2),
  Cdq: spread(4),
  Cqo: spread(8),
  Push: (cpu, { ops: [from] }) => push(cpu, alu.signed(from.get(cpu), from.size) & mask(8)),
  Pop: (cpu, { ops: [to] }) => to.set(cpu, pop(cpu)),
  Leave(cpu) {
    cpu.regs.setBig(REG.rsp, cpu.regs.big(REG.rbp));
    cpu.regs.setBig(REG.rbp, pop(cpu));
  },
  Call(cpu, { ops: [to], next }) {
    const target = to.get(cpu);
    push(cpu, next);
    cpu.next = target;
  },
  Ret(cpu, { ops: [more] }) {
    cpu.next = pop(cpu);
    if (more) cpu.regs.setBig(REG.rsp, cpu.regs.big(REG.rsp) + more.get(cpu));
  },
  Jmp: (cpu, { ops: [to] }) => void (cpu.next = to.get(cpu)),
  Nop: () => {},
  Endbr64: () => {},
  Bswap: (cpu, { ops: [to] }) => to.set(cpu, swapBytes(to.get(cpu), to.size)),
  Clc: (cpu) => void (cpu.flags &= ~alu.FLAG.C),
  Stc: (cpu) => void (cpu.flags |= alu.FLAG.C),
  Cmc: (cpu) => void (cpu.flags ^= alu.FLAG.C),
  Cld: (cpu) => void (cpu.flags &= ~alu.FLAG.D),
  Std: (cpu) => void (cpu.flags |= alu.FLAG.D),
};
for (const size of ['b', 'w', 'd', 'q']) {
  OPERATIONS[`Movs${size}`] = moveString;
  OPERATIONS[`Stos${size}`] = storeString;
  OPERATIONS[`Lods${size}`] = loadString;
}

/** What to do for an instruction: one function of the processor. */
function compile(addr, bytes) {
  const instruction = decode(addr, bytes);
  const { name, ops, condition } = instruction;
  const known = OPERATIONS[name];
  // forms that move the stack or the address in another way
  const odd = /^(Push|Pop)$/.test(name) ? ops[0].size !== 8 : name === 'Bt' && ops[0].address;
  if (known && !odd) return { run: known, instruction };
  const met = (cpu) => alu.holds(condition, cpu.flags);
  if (condition < 0) throw new UnknownInstruction(addr, instruction.bytes, name);
  if (name.startsWith('J')) {
    return { run: (cpu) => void (met(cpu) && (cpu.next = ops[0].get(cpu))), instruction };
  }
  if (name.startsWith('Set')) {
    return { run: (cpu) => ops[0].set(cpu, met(cpu) ? 1n : 0n), instruction };
  }
  if (!name.startsWith('Cmov')) throw new UnknownInstruction(addr, instruction.bytes, name);
  // a 32-bit target loses its upper half in either case
  return { run: (cpu) => ops[0].set(cpu, ops[met(cpu) ? 1 : 0].get(cpu)), instruction };
}

/** Registers and memory of one task. */
class State {
  constructor(regs, memory) {
    this.regs = regs;
    this.memory = memory;
    this.next = 0n;
  }

  get flags() {
    return this.regs.big(REG.rflags);
  }

  set flags(value) {
    this.regs.setBig(REG.rflags, value);
  }

  reg(index, size) {
    return this.regs.big(index) & mask(size);
  }

  setReg(index, size, value) {
    const keep = size >= 4 ? 0n : this.regs.big(index) & ~mask(size);
    this.regs.setBig(index, keep | (value & mask(size)));
  }
}

/** The processor that a Machine runs its tasks on. */
export class Interpreter {
  /** The state in which a program begins. */
  start({ file, argv, env }) {
    const { memory, rip, rsp } = loadProgram(file, argv, env);
    const regs = new Registers().setBig(REG.rip, rip).setBig(REG.rsp, rsp);
    return new State(regs.setBig(REG.rflags, FLAGS_AT_START), memory);
  }

  /** The state of a child: the same registers, its own memory or the parent's. */
  fork(state, shares) {
    const regs = new Registers();
    regs.words.set(state.regs.words);
    return new State(regs, shares ? state.memory : state.memory.copy());
  }

  /**
   * Runs until an instruction traps, a signal is due or the turn is over. Throws
   * UnknownInstruction.
   */
  run(state) {
    for (let i = 0; i < TURN; ++i) {
      try {
        if (!this.#step(state)) return { stop: 'call' };
      } catch (cause) {
        if (cause instanceof Fault) return { stop: 'signal', signo: SIGSEGV };
        if (cause instanceof DivideError) return { stop: 'signal', signo: SIGFPE };
        throw cause;
      }
    }
    return { stop: 'turn' };
  }

  /** One instruction; false before one that traps. */
  #step(state) {
    const rip = state.regs.big(REG.rip);
    const page = state.memory.pageToRun(rip);
    let code = page.code.get(rip);
    if (!code) {
      const bytes = codeAt(state.memory, rip);
      code = gateAt(bytes) ? { gate: true } : compile(rip, bytes);
      // an instruction that crosses into another page may lie differently there
      const stays = Number(rip % BigInt(PAGE_SIZE)) + 15 <= PAGE_SIZE;
      if (!page.write && stays) page.code.set(rip, code);
    }
    if (code.gate) return false;
    state.next = code.instruction.next;
    code.run(state, code.instruction);
    state.regs.setBig(REG.rip, state.next);
    return true;
  }
}

/** The bytes from `rip` on, as many as an instruction may have and as there are. */
function codeAt(memory, rip) {
  for (let length = 15; length > 0; --length) {
    const bytes = memory.read(rip, length);
    if (bytes) return bytes;
  }
  throw new Fault(rip, 'a jump');
}
