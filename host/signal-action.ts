// What the kernel says of a signal that a task takes on its way to user mode.

/** The siginfo of a signal that was taken. */
export interface SigInfo {
  signo: number;
  errno: number;
  code: number;
  pid: number;
  uid: number;
  status: number;
  value: bigint;
}

/** One step of a task's return to user mode. */
export interface SignalAction {
  action: 'none' | 'ignored' | 'handled' | 'stopped' | 'died' | 'continued';
  /** the signal that was taken; signo 0 when none was */
  info: SigInfo;
}

/** By the number that the kernel gives. */
export const ACTIONS = ['none', 'ignored', 'handled', 'stopped', 'died', 'continued'] as const;
