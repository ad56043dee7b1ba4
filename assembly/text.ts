// Text without strings: numbers as digits, into a buffer. Each function returns where it stopped.

/** A number in decimal. */
export function put_decimal(at: usize, value: u64): usize {
  let digits = 1;
  for (let rest = value / 10; rest; rest /= 10) ++digits;
  for (let i = digits - 1; i >= 0; --i) {
    store<u8>(at + i, 48 + <u8>(value % 10));
    value /= 10;
  }
  return at + digits;
}

/** Up to eight bytes that stand in a number, the first in its lowest byte, as far as the NUL. */
export function put_chars(at: usize, chars: u64): usize {
  for (; chars; chars >>= 8) {
    store<u8>(at, <u8>chars);
    at += 1;
  }
  return at;
}

/** A number in hexadecimal, at least `digits` wide, filled up with zeros. */
export function put_hex(at: usize, value: u64, digits: i32): usize {
  let wide = digits;
  while (wide < 16 && value >> ((<u64>wide) << 2)) ++wide;
  for (let i = wide - 1; i >= 0; --i) {
    const digit = <u8>(value & 15);
    store<u8>(at + i, digit < 10 ? 48 + digit : 87 + digit);
    value >>= 4;
  }
  return at + wide;
}
