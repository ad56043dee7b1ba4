// struct seq_file - where a file of /proc writes its text. A text is written twice: once to learn
// how long it is, then into memory of that length.
import { zero } from "./zero.ts";

/** struct seq_file. */
@unmanaged
export class seq_file {
  buf: u32; // where the text goes; 0: it is measured
  room: u32; // bytes there
  count: u32; // how long it is so far
}

export function seq_open(s: seq_file, buf: usize, size: u32): seq_file {
  zero(changetype<usize>(s), 16);
  s.buf = <u32>buf;
  s.room = size;
  return s;
}

export function seq_putc(s: seq_file, byte: u32): seq_file {
  if (s.count < s.room) store<u8>(s.buf + s.count, <u8>byte);
  s.count += 1;
  return s;
}

/** The first `n` bytes of a number, lowest first: what a text literal becomes. */
export function seq_put8(s: seq_file, bytes: u64, n: i32): seq_file {
  for (let i = 0; i < n; ++i) {
    seq_putc(s, (<u32>bytes) & 0xff);
    bytes >>= 8;
  }
  return s;
}

/** A number in decimal, at least `width` columns wide, filled up with spaces on the left. */
export function seq_put_decimal(s: seq_file, value: u64, width: i32): seq_file {
  let digits = 1;
  let unit: u64 = 1;
  while (value / unit >= 10) {
    unit *= 10;
    digits += 1;
  }
  for (let i = digits; i < width; ++i) seq_putc(s, 32);
  for (; unit; unit /= 10) seq_putc(s, 48 + <u32>((value / unit) % 10));
  return s;
}

/** The same of a signed one. */
export function seq_put_signed(s: seq_file, value: i32): seq_file {
  if (value >= 0) return seq_put_decimal(s, value, 0);
  return seq_put_decimal(seq_putc(s, 45), <u64>-(<i64>value), 0);
}

/** A number to base 2^`bits`, exactly `digits` digits. */
export function seq_put_digits(s: seq_file, value: u64, bits: u64, digits: i32): seq_file {
  for (let i = digits - 1; i >= 0; --i) {
    const digit = (<u32>(value >> (<u64>i * bits))) & ((1 << (<u32>bits)) - 1);
    seq_putc(s, digit < 10 ? 48 + digit : 87 + digit);
  }
  return s;
}

/** A byte as `\ooo`. */
export function seq_put_octal(s: seq_file, byte: u32): seq_file {
  return seq_put_digits(seq_putc(s, 92), byte, 3, 3);
}
