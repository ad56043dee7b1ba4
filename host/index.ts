// The public API of Bulkhead: a kernel in WebAssembly for simulators, teaching systems and tests.
export {
  addAuditRule,
  type AuditConfig,
  type AuditRule,
  auditStatus,
  clearAuditRules,
  containersOfNamespaces,
  disableAudit,
  drainAudit,
  enableAudit,
  logPacket,
  type RingEvent,
} from './audit-ring.ts';
export { AuditFormatter } from './audit/format.ts';
export {
  createKernel,
  DISP_BLOCKED,
  DISP_BUSY,
  DISP_DONE,
  DISP_DRAIN,
  DISP_EXITED,
  DISP_NEED,
  DISP_NOT_RUN,
  DISP_UPCALL,
  Kernel,
} from './kernel.ts';
export type { BootConfig, CreateOptions, KernelTarget, SigInfo, SignalAction } from './kernel.ts';
export { Errno, errnoName, KernelPanic } from './errno.ts';
export type { KernelEvent } from './events.ts';
export { Frame } from './frame.ts';
export { createKernelPool, KernelPool, type PoolOptions, WorkloadError } from './pool.ts';
export type { WindowMode } from './frame.ts';
export type { Counts } from './counts.ts';
export type { ContainerView, FdView, TaskView } from './views.ts';
export type { Answer, Hooks, Upcall } from './upcalls.ts';
export { ABI_NAMES, opTable, syscallTable } from './syscall-abi.ts';
export type { AbiName, SyscallRow, SyscallTable } from './syscall-abi.ts';
export { gateAt, REG, Registers, X86Trap } from './x86-trap.ts';
export type { Gate, GuestMemory, RegName, TrapCall, TrapOptions } from './x86-trap.ts';
export { layout } from './generated/layout.ts';
