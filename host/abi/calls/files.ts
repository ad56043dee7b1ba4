// Descriptors and open files.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, later, own, part } from '../def.ts';

/** Calls on descriptors that are open. */
export const FILE_CALLS: Readonly<Record<string, CallDef>> = {
  close: own(OP.OP_CLOSE, 'zero', 'fd'),
  close_range: own(OP.OP_CLOSE_RANGE, 'zero', 'uint uint flags:close_range'),
  dup: own(OP.OP_DUP, 'fd', 'fd'),
  dup2: own(OP.OP_DUP2, 'fd', 'fd fd'),
  dup3: own(OP.OP_DUP3, 'fd', 'fd fd flags:open'),
  fcntl: part(OP.OP_FCNTL, 'int', 'fd op ulong', "locks, leases and seals are the world's", {
    classBy: 'byCommand',
  }),
  pipe: own(OP.OP_PIPE, 'zero', 'out:fdpair'),
  pipe2: own(OP.OP_PIPE2, 'zero', 'out:fdpair flags:open'),
  poll: part(OP.OP_POLL, 'int', 'io:pollfd*1 uint int', 'contents of pipes are not modelled', {
    class: 'assisted',
    classBy: 'byFile',
  }),
  ppoll: later(OP.OP_PPOLL, 'int', 'io:pollfd*1 uint in:timespec in:sigset@4 ulong'),
  read: part(OP.OP_READ, 'size', 'fd out:byte*2 ulong', "the bytes are the world's", {
    class: 'assisted',
    classBy: 'byFile',
  }),
  write: part(OP.OP_WRITE, 'size', 'fd in:byte*2 ulong', "the bytes are the world's", {
    class: 'assisted',
    classBy: 'byFile',
  }),
};
