// Semaphores, message queues and shared memory of System V.
import * as OP from '../../../assembly/uapi/op.ts';
import { ALWAYS, type CallDef, own, part } from '../def.ts';

const BY = { classBy: 'byFile' } as const;
const NUMBER = 'in the initial namespace the number of a new object is the world’s';
const WIDE = 'structures of i386 are not there; what was there before a log is the world’s';
const QUEUES =
  'the limits of a namespace are fixed; in a replay those of the machine, and queues from before';
const WHERE = 'where memory lies is the world’s';

export const IPC_CALLS: Readonly<Record<string, CallDef>> = {
  semget: own(OP.OP_SEMGET, 'id', 'int int uint', { ...BY, note: NUMBER }),
  semop: own(OP.OP_SEMOP, 'zero', 'int in:sembuf*2 uint', BY),
  semtimedop: own(OP.OP_SEMTIMEDOP, 'zero', 'int in:sembuf*2 uint in:timespec', BY),
  semctl: part(OP.OP_SEMCTL, 'int', 'int int op ulong', WIDE, BY),
  shmget: own(OP.OP_SHMGET, 'id', 'int ulong uint', { ...BY, note: NUMBER }),
  shmat: own(OP.OP_SHMAT, 'addr', 'int addr uint', { ...BY, note: WHERE }),
  shmdt: own(OP.OP_SHMDT, 'zero', 'addr', BY),
  shmctl: part(OP.OP_SHMCTL, 'int', 'int op addr', WIDE, BY),
  msgget: own(OP.OP_MSGGET, 'id', 'int uint', { ...BY, note: NUMBER }),
  msgsnd: own(OP.OP_MSGSND, 'zero', 'int addr ulong uint', BY),
  msgrcv: own(OP.OP_MSGRCV, 'size', 'int addr ulong long uint', BY),
  msgctl: part(OP.OP_MSGCTL, 'int', 'int op addr', WIDE, BY),
  mq_open: part(OP.OP_MQ_OPEN, 'fd', 'str flags:open mode in:mq_attr', QUEUES, {
    ...BY,
    newFd: ALWAYS,
  }),
  mq_unlink: own(OP.OP_MQ_UNLINK, 'zero', 'str', BY),
  mq_timedsend: own(OP.OP_MQ_TIMEDSEND, 'zero', 'fd addr ulong uint in:timespec', BY),
  mq_timedreceive: own(OP.OP_MQ_TIMEDRECEIVE, 'size', 'fd addr ulong addr in:timespec', BY),
  mq_notify: own(OP.OP_MQ_NOTIFY, 'zero', 'fd addr', BY),
  mq_getsetattr: own(OP.OP_MQ_GETSETATTR, 'zero', 'fd in:mq_attr out:mq_attr', BY),
  ipc: part(OP.OP_IPC, 'int', 'uint int int int addr long', 'as the calls that it stands for', BY),
};
