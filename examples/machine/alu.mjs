// Arithmetic of x86-64: results and flags of numbers of 1, 2, 4 and 8 bytes.
import { mask } from './decode.mjs';

/** Bits of rflags. AF is not kept: nothing in 64-bit mode reads it but pushf and lahf. */
export const FLAG = { C: 1n, P: 4n, Z: 0x40n, S: 0x80n, D: 0x400n, O: 0x800n };
const RESULT = FLAG.C | FLAG.P | FLAG.Z | FLAG.S | FLAG.O;

const bit = (value, at) => (value >> BigInt(at)) & 1n;
export const signed = (value, size) => BigInt.asIntN(size * 8, value);

/** PF: an even number of ones in the lowest byte. */
function parity(value) {
  let ones = Number(value & 0xffn);
  ones ^= ones >> 4;
  ones ^= ones >> 2;
  return ((ones ^ (ones >> 1)) & 1) === 0;
}

/** rflags after an operation with this result. */
function flagsOf(old, result, size, carry, overflow) {
  let flags = old & ~RESULT;
  if (carry) flags |= FLAG.C;
  if (parity(result)) flags |= FLAG.P;
  if (result === 0n) flags |= FLAG.Z;
  if (bit(result, size * 8 - 1)) flags |= FLAG.S;
  if (overflow) flags |= FLAG.O;
  return flags;
}

/** Each gives [result, flags]; `carry` is what comes in. */
export function add(flags, size, a, b, carry = 0n) {
  const all = a + b + carry;
  const result = all & mask(size);
  const overflow = bit((a ^ result) & (b ^ result), size * 8 - 1);
  return [result, flagsOf(flags, result, size, all > mask(size), overflow)];
}

export function sub(flags, size, a, b, borrow = 0n) {
  const all = a - b - borrow;
  const result = all & mask(size);
  const overflow = bit((a ^ b) & (a ^ result), size * 8 - 1);
  return [result, flagsOf(flags, result, size, all < 0n, overflow)];
}

/** and, or, xor, test: neither carry nor overflow. */
export function logic(flags, size, result) {
  return [result, flagsOf(flags, result, size, false, false)];
}

/** inc and dec leave the carry alone. */
export function step(flags, size, a, by) {
  const [result, changed] = by > 0 ? add(flags, size, a, 1n) : sub(flags, size, a, 1n);
  return [result, (changed & ~FLAG.C) | (flags & FLAG.C)];
}

const shiftCount = (size, count) => count & (size === 8 ? 63n : 31n);

export function shl(flags, size, a, by) {
  const count = shiftCount(size, by);
  if (count === 0n) return [a, flags];
  const bits = BigInt(size * 8);
  const result = (a << count) & mask(size);
  const carry = bit(a << count, bits);
  return [result, flagsOf(flags, result, size, carry, bit(result, bits - 1n) ^ carry)];
}

export function shr(flags, size, a, by) {
  const count = shiftCount(size, by);
  if (count === 0n) return [a, flags];
  const result = a >> count;
  const top = bit(a, size * 8 - 1);
  return [result, flagsOf(flags, result, size, bit(a, count - 1n), count === 1n && top)];
}

export function sar(flags, size, a, by) {
  const count = shiftCount(size, by);
  if (count === 0n) return [a, flags];
  const wide = signed(a, size);
  const result = (wide >> count) & mask(size);
  return [result, flagsOf(flags, result, size, (wide >> (count - 1n)) & 1n, false)];
}

/** rol for positive `direction`, ror otherwise: carry and overflow alone. */
export function rotate(flags, size, a, by, direction) {
  const bits = BigInt(size * 8);
  const masked = shiftCount(size, by);
  if (masked === 0n) return [a, flags];
  const left = direction > 0 ? masked % bits : (bits - (masked % bits)) % bits;
  const result = ((a << left) | (a >> (bits - left))) & mask(size);
  const top = bit(result, bits - 1n);
  const carry = direction > 0 ? result & 1n : top;
  const overflow = direction > 0 ? top ^ carry : top ^ bit(result, bits - 2n);
  let after = flags & ~(FLAG.C | FLAG.O);
  if (carry) after |= FLAG.C;
  if (overflow) after |= FLAG.O;
  return [result, after];
}

/** A product that does not fit sets carry and overflow; the other flags are undefined. */
export function product(flags, size, a, b) {
  const all = a * b;
  const result = all & mask(size);
  const over = all !== signed(result, size);
  return [result, flagsOf(flags, result, size, over, over)];
}

/** Is the condition of that number (o no b ae e ne be a s ns p np l ge le g) fulfilled? */
export function holds(condition, flags) {
  const is = (flag) => (flags & flag) !== 0n;
  const tests = [
    () => is(FLAG.O),
    () => is(FLAG.C),
    () => is(FLAG.Z),
    () => is(FLAG.C) || is(FLAG.Z),
    () => is(FLAG.S),
    () => is(FLAG.P),
    () => is(FLAG.S) !== is(FLAG.O),
    () => is(FLAG.Z) || is(FLAG.S) !== is(FLAG.O),
  ];
  return tests[condition >> 1]() === ((condition & 1) === 0);
}
