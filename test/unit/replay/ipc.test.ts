// Protects: System V objects in a replay: numbers of the recorded machine, calls that sleep where
// others see it, values that the log hides, what was there before it.
import { expect, it } from 'vitest';
import { replayLog } from './log.ts';

const MSG_PERM = 'msg_perm={uid=0, gid=0, mode=0600, key=0x77, cuid=0, cgid=0}';
const MSG_LAST = 'msg_qbytes=16384, msg_lspid=100, msg_lrpid=100';
const SHM_PERM = 'shm_perm={uid=0, gid=0, mode=0600, key=0, cuid=0, cgid=0}';
const SHM_SIZE = 'shm_segsz=10000, shm_cpid=100, shm_lpid=100';

it('sleepers are seen by others, and go on when it is their turn', async () => {
  const { wrong, result } = await replayLog(`
    semget(IPC_PRIVATE, 1, 0600) = 98304
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    101 semop(98304, [{sem_num=0, sem_op=-1, sem_flg=SEM_UNDO}], 1 <unfinished ...>
    semctl(98304, 0, GETNCNT, NULL) = 1
    semop(98304, [{sem_num=0, sem_op=1, sem_flg=0}], 1) = 0
    semctl(98304, 0, GETVAL, NULL) = 0
    101 <... semop resumed>) = 0
    101 exit_group(0) = ?
    101 +++ exited with 0 +++
    --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=101, si_uid=0, si_status=0} ---
    semctl(98304, 0, GETVAL, NULL) = 1
    semctl(98304, 0, GETPID, NULL) = 101
    semctl(98304, 0, IPC_RMID, NULL) = 0
    semctl(98304, 0, IPC_RMID, NULL) = -1 EINVAL (Invalid argument)
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.semctl).toMatchObject({ emulated: 6, matched: 6 });
});

it('a wrong value is noticed', async () => {
  const { wrong } = await replayLog(`
    semget(IPC_PRIVATE, 1, 0600) = 5
    semctl(5, 0, SETVAL, 0x3) = 0
    semctl(5, 0, GETVAL, NULL) = 4
  `);
  expect(wrong).toEqual(['4: 4 | 3']);
});

it('a namespace of the log’s own has the kernel’s numbers', async () => {
  const { wrong } = await replayLog(`
    unshare(CLONE_NEWIPC) = 0
    msgget(IPC_PRIVATE, 0600) = 0
    msgget(IPC_PRIVATE, 0600) = 2
  `);
  expect(wrong).toEqual(['4: 2 | 1']);
});

it('messages and attachments are counted; what the log hides is not', async () => {
  const { wrong, result } = await replayLog(`
    msgget(0x77, IPC_CREAT|0600) = 7
    msgsnd(7, {mtype=2, mtext="ab"}, 2, 0) = 0
    msgsnd(7, {mtype=1, mtext="c"}, 1, 0) = 0
    msgrcv(7, {mtype=1, mtext="c"}, 8, -2, 0) = 1
    msgctl(7, IPC_STAT, {${MSG_PERM}, msg_qnum=1, ${MSG_LAST}}) = 0
    msgrcv(7, 0x7ffd0000, 8, 5, IPC_NOWAIT) = -1 ENOMSG (No message of desired type)
    shmget(IPC_PRIVATE, 10000, 0600) = 3
    shmat(3, NULL, 0) = 0x7f0c04474000
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    shmctl(3, IPC_STAT, {${SHM_PERM}, ${SHM_SIZE}, shm_nattch=2}) = 0
    shmdt(0x7f0c04474000) = 0
    semop(12345, [{sem_num=0, sem_op=-1, sem_flg=0}], 1) = 0
    semget(IPC_PRIVATE, 1, 0600) = 9
    semctl(9, 0, SETALL, 0x7ffd0000) = 0
    semctl(9, 0, GETVAL, NULL) = 8
    shmctl(3, IPC_STAT, {${SHM_PERM}, shm_nattch=2}) = 0
  `);
  expect(wrong).toEqual(['17: 0 | shm_nattch 1, recorded 2']);
  expect(result.byCall.semop).toMatchObject({ unmodelled: 1 });
});

it('what is attached of a segment from before the log is not the kernel’s to let go', async () => {
  const { wrong, result } = await replayLog(`
    shmget(IPC_PRIVATE, 10000, 0600) = 3
    shmat(3, NULL, 0) = 0x7f0c04474000
    shmdt(0x7f0c04474000) = 0
    shmat(77, NULL, 0) = 0x7f0c04474000
    shmdt(0x7f0c04474000) = 0
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.shmdt).toMatchObject({ emulated: 1, unmodelled: 1 });
});

it('of several that one call wakes the first to sleep goes on first', async () => {
  const { wrong } = await replayLog(`
    msgget(IPC_PRIVATE, IPC_CREAT|0600) = 3
    msgctl(3, IPC_SET, {msg_perm={uid=0, gid=0, mode=0600}, msg_qbytes=8}) = 0
    msgsnd(3, {mtype=1, mtext="12345678"}, 8, 0) = 0
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    clone(child_stack=NULL, flags=SIGCHLD) = 102
    101 msgsnd(3, {mtype=2, mtext="12"}, 2, 0 <unfinished ...>
    102 msgsnd(3, {mtype=3, mtext="12"}, 2, 0 <unfinished ...>
    msgrcv(3, {mtype=1, mtext="12345678"}, 8, 0, 0) = 8
    102 <... msgsnd resumed>) = 0
    101 <... msgsnd resumed>) = 0
    msgrcv(3, {mtype=2, mtext="12"}, 8, 0, 0) = 2
    msgrcv(3, {mtype=3, mtext="12"}, 8, 0, 0) = 2
  `);
  expect(wrong).toEqual([]);
});

it('of messages that are being sent the one that is received comes first', async () => {
  const { wrong } = await replayLog(`
    msgget(IPC_PRIVATE, IPC_CREAT|0600) = 3
    clone(child_stack=NULL, flags=SIGCHLD) = 101
    clone(child_stack=NULL, flags=SIGCHLD) = 102
    101 msgsnd(3, {mtype=2, mtext="12"}, 2, 0 <unfinished ...>
    102 msgsnd(3, {mtype=3, mtext="12"}, 2, 0 <unfinished ...>
    msgrcv(3, {mtype=3, mtext="12"}, 8, 0, 0) = 2
    msgrcv(3, {mtype=2, mtext="12"}, 8, 0, 0) = 2
    101 <... msgsnd resumed>) = 0
    102 <... msgsnd resumed>) = 0
  `);
  expect(wrong).toEqual([]);
});

it('a segment is attached as often as memory calls have cut it', async () => {
  const stat = (n: number): string =>
    `shmctl(7, IPC_STAT, {${SHM_PERM}, ${SHM_SIZE}, shm_nattch=${n}, shm_atime=1}) = 0`;
  const { wrong, result } = await replayLog(`
    shmget(IPC_PRIVATE, 10000, 0600) = 7
    shmat(7, NULL, 0) = 0x7f0000000000
    mlock(0x7f0000000000, 4096) = 0
    ${stat(2)}
    mlock(0x7f0000000000, 12288) = 0
    munlock(0x7f0000000000, 12288) = 0
    ${stat(2)}
    mprotect(0x7f0000002000, 4096, PROT_READ) = 0
    ${stat(3)}
    munmap(0x7f0000001000, 4096) = 0
    ${stat(2)}
    mmap(0x7f0000000000, 4096, PROT_READ, MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS, -1, 0) = 0
    ${stat(1)}
    mremap(0x7f0000002000, 4096, 4096, MREMAP_MAYMOVE) = 0x7f0000100000
    munmap(0x7f0000002000, 4096) = 0
    ${stat(1)}
    shmdt(0x7f00000fe000) = 0
    ${stat(0)}
  `);
  expect(wrong).toEqual([]);
  expect(result.byCall.shmctl).toMatchObject({ matched: 7 });
});
