// Calls on POSIX message queues by name, on the driver of the file systems.
import { expect } from 'vitest';
import * as O from '../../../assembly/uapi/fcntl.ts';
import * as OP from '../../../assembly/uapi/op.ts';
import { type Fs, SLEEPS } from '../vfs/driver.ts';

/** Where the driver puts the buffer of a call. */
export const BUFFER = 0x30000;
export const RW = O.O_CREAT | O.O_RDWR;

/** mq_attr of so many messages of a size. */
export const attr = (maxmsg: number, msgsize: number, flags = 0): Uint8Array =>
  new Uint8Array(new BigInt64Array([flags, maxmsg, msgsize, 0, 0, 0, 0, 0].map(BigInt)).buffer);
export const open = (
  by: Fs,
  name: string,
  flags = RW,
  mode = 0o600,
  a: Uint8Array | 0 = 0,
): number => by.call(OP.OP_MQ_OPEN, name, flags, mode, a);
export const small = (by: Fs, name: string, flags = RW): number =>
  open(by, name, flags, 0o600, attr(2, 8));
export const unlink = (by: Fs, name: string): number => by.call(OP.OP_MQ_UNLINK, name);
/** Sends a text; `at`: when to give up, in ns. */
export const send = (
  by: Fs,
  fd: number,
  text: string,
  prio = 0,
  at?: bigint,
): number | typeof SLEEPS => {
  const bytes = new Uint8Array(64);
  bytes.set(Buffer.from(text));
  if (at !== undefined) {
    bytes.set(new Uint8Array(new BigInt64Array([at / 10n ** 9n, at % 10n ** 9n]).buffer), 48);
  }
  return by.run(
    OP.OP_MQ_TIMEDSEND,
    fd,
    bytes,
    text.length,
    prio,
    at === undefined ? 0 : BUFFER + 48,
  );
};
/** Receives: the text and its priority, or an errno. */
export const receive = (
  by: Fs,
  fd: number,
  at?: bigint,
): [string, number] | number | typeof SLEEPS => {
  const bytes = new Uint8Array(64);
  if (at !== undefined) {
    bytes.set(new Uint8Array(new BigInt64Array([at / 10n ** 9n, at % 10n ** 9n]).buffer), 48);
  }
  const timeout = at === undefined ? 0 : BUFFER + 48;
  const r = by.run(OP.OP_MQ_TIMEDRECEIVE, fd, bytes, 8, BUFFER + 40, timeout);
  return typeof r === 'number' && r >= 0 ? taken(by.out, r) : r;
};
export const taken = (out: Uint8Array, n: number): [string, number] => [
  Buffer.from(out.subarray(0, n)).toString(),
  Buffer.from(out).readUInt32LE(40),
];
/** What a sleeper has received. */
export const woken = (by: Fs): [string, number] | number => {
  expect(by.k.resume(by.tid)).toBe(0);
  const frame = by.k.frameOf(by.tid)!;
  const r = frame.result;
  return r < 0 ? r : taken(frame.output(BUFFER, 64)!, r);
};
export const getattr = (by: Fs, fd: number): number[] => {
  expect(by.call(OP.OP_MQ_GETSETATTR, fd, 0, new Uint8Array(64))).toBe(0);
  return [...new BigInt64Array(by.out.slice().buffer)].slice(0, 4).map(Number);
};
