// Ids of processes and their users.
import * as OP from '../../../assembly/uapi/op.ts';
import { type CallDef, own } from '../def.ts';

/** Calls on ids. */
export const ID_CALLS: Readonly<Record<string, CallDef>> = {
  getpid: own(OP.OP_GETPID, 'pid'),
  getppid: own(OP.OP_GETPPID, 'pid'),
  gettid: own(OP.OP_GETTID, 'pid'),
  getpgid: own(OP.OP_GETPGID, 'pid', 'pid'),
  getpgrp: own(OP.OP_GETPGRP, 'pid'),
  setpgid: own(OP.OP_SETPGID, 'zero', 'pid pid'),
  setsid: own(OP.OP_SETSID, 'pid'),
  getsid: own(OP.OP_GETSID, 'pid', 'pid'),
  getuid: own(OP.OP_GETUID, 'id'),
  geteuid: own(OP.OP_GETEUID, 'id'),
  getgid: own(OP.OP_GETGID, 'id'),
  getegid: own(OP.OP_GETEGID, 'id'),
  setuid: own(OP.OP_SETUID, 'zero', 'id'),
  setgid: own(OP.OP_SETGID, 'zero', 'id'),
  setreuid: own(OP.OP_SETREUID, 'zero', 'id id'),
  setregid: own(OP.OP_SETREGID, 'zero', 'id id'),
  setresuid: own(OP.OP_SETRESUID, 'zero', 'id id id'),
  getresuid: own(OP.OP_GETRESUID, 'zero', 'out:i32 out:i32 out:i32'),
  setresgid: own(OP.OP_SETRESGID, 'zero', 'id id id'),
  getresgid: own(OP.OP_GETRESGID, 'zero', 'out:i32 out:i32 out:i32'),
  setfsuid: own(OP.OP_SETFSUID, 'id', 'id'),
  setfsgid: own(OP.OP_SETFSGID, 'id', 'id'),
  getgroups: own(OP.OP_GETGROUPS, 'int', 'int out:i32*0'),
  setgroups: own(OP.OP_SETGROUPS, 'zero', 'int in:i32*0'),
};
