// Replay throughput: a log that a shell's loop over short programs leaves, written by us so that
// it is the same everywhere and as long as one likes; read, replayed and compared end to end.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayTrace } from '../replay.ts';
import { openSource } from '../trace/source.ts';
import type { Outcome } from './benches.ts';

/** Lines that the log of one program has. */
const PROGRAM_LINES = 32;

/** What `sh` does for one `/bin/true`, as strace -f tells it. */
function program(shell: number, child: number): string {
  const lines = [
    `${shell} rt_sigprocmask(SIG_BLOCK, ~[], [], 8) = 0`,
    `${shell} clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|CLONE_CHILD_CLEARTID|SIGCHLD, ` +
      `child_tidptr=0x7f0c9b5b6a10) = ${child}`,
    `${child} rt_sigprocmask(SIG_SETMASK, [],  <unfinished ...>`,
    `${shell} rt_sigprocmask(SIG_SETMASK, [],  <unfinished ...>`,
    `${child} <... rt_sigprocmask resumed>NULL, 8) = 0`,
    `${shell} <... rt_sigprocmask resumed>NULL, 8) = 0`,
    `${shell} wait4(-1,  <unfinished ...>`,
    `${child} execve("/bin/true", ["/bin/true"], 0x5581f6b0 /* 20 vars */) = 0`,
    `${child} brk(NULL) = 0x5595c41d0000`,
    `${child} mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f01`,
    `${child} access("/etc/ld.so.preload", R_OK) = -1 ENOENT (No such file or directory)`,
    `${child} openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY|O_CLOEXEC) = 3`,
    `${child} newfstatat(3, "", {st_mode=S_IFREG|0644, st_size=19931, ...}, AT_EMPTY_PATH) = 0`,
    `${child} mmap(NULL, 19931, PROT_READ, MAP_PRIVATE, 3, 0) = 0x7f02`,
    `${child} close(3) = 0`,
    `${child} openat(AT_FDCWD, "/lib/x86_64-linux-gnu/libc.so.6", O_RDONLY|O_CLOEXEC) = 3`,
    `${child} read(3, "\\177ELF\\2\\1\\1\\3\\0\\0\\0\\0\\0\\0\\0\\0\\3\\0>"..., 832) = 832`,
    `${child} pread64(3, "\\6\\0\\0\\0\\4\\0\\0\\0@\\0\\0\\0\\0\\0\\0\\0"..., 784, 64) = 784`,
    `${child} newfstatat(3, "", {st_mode=S_IFREG|0755, st_size=1922136, ...}, AT_EMPTY_PATH) = 0`,
    `${child} mmap(NULL, 1970000, PROT_READ, MAP_PRIVATE|MAP_DENYWRITE, 3, 0) = 0x7f03`,
    `${child} mprotect(0x7f04, 1720320, PROT_NONE) = 0`,
    `${child} close(3) = 0`,
    `${child} arch_prctl(ARCH_SET_FS, 0x7f05) = 0`,
    `${child} set_tid_address(0x7f06) = ${child}`,
    `${child} set_robust_list(0x7f07, 24) = 0`,
    `${child} mprotect(0x7f08, 16384, PROT_READ) = 0`,
    `${child} prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0`,
    `${child} munmap(0x7f02, 19931) = 0`,
    `${child} exit_group(0) = ?`,
    `${child} +++ exited with 0 +++`,
    `${shell} <... wait4 resumed>[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL) = ${child}`,
    `${shell} --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=${child}, si_uid=0, ` +
      `si_status=0, si_utime=0, si_stime=0} ---`,
  ];
  return `${lines.join('\n')}\n`;
}

/** Writes a log of about `lines` lines. Return: how many it has. */
export function writeLog(path: string, lines: number): number {
  const file = openSync(path, 'w');
  const programs = Math.max(1, Math.ceil(lines / PROGRAM_LINES));
  let text = '';
  for (let i = 0; i < programs; ++i) {
    text += program(1000, 1001 + (i % 4_000_000));
    if (text.length < 1 << 20 && i < programs - 1) continue;
    writeSync(file, text);
    text = '';
  }
  closeSync(file);
  return programs * PROGRAM_LINES;
}

/** Nanoseconds for a line of `command`, which reads the log too; undefined when it is not there. */
function other(command: string, args: string[], lines: number): number | undefined {
  const started = performance.now();
  const { error } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'ignore'] });
  return error ? undefined : ((performance.now() - started) * 1e6) / lines;
}

export async function replayBench(lines: number, samples: number): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-bench-'));
  const rows: Record<string, number[]> = { '': [] };
  try {
    const path = join(folder, 'log.strace');
    const n = writeLog(path, lines);
    for (let pass = 0; pass <= samples; ++pass) {
      const source = await openSource([path]);
      const started = performance.now();
      const { result } = await replayTrace(source, 'bench', { format: 'strace' });
      const ns = ((performance.now() - started) * 1e6) / n;
      source.close();
      if (result.divergences.length) {
        const { line, expected, actual } = result.divergences[0]!;
        throw new Error(`the log does not match: line ${line}: ${expected}, kernel ${actual}`);
      }
      if (pass) rows['']!.push(ns);
    }
    const counts: [string, string, string[]][] = [
      ['wc -l', 'wc', ['-l', path]],
      ['grep -c', 'grep', ['-c', 'clone', path]],
    ];
    for (const [name, command, args] of counts) {
      other(command, args, n);
      const took = Array.from({ length: samples }, () => other(command, args, n));
      if (took[0] !== undefined) rows[name] = took as number[];
    }
    return { checksum: '', rows, rss: process.memoryUsage.rss() };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
