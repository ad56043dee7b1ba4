// The C twin as clang's WebAssembly, behind the same frames as the kernel: its exports go by the
// kernel's names, its structures are the kernel's.
import { NR_OPS } from '../../assembly/uapi/op.ts';
import type { KernelExports } from '../exports.ts';
import { Kernel } from '../kernel.ts';
import { KernelMachine } from './kernel-machine.ts';
import type { Machine } from './machine.ts';

interface TwinExports {
  memory: WebAssembly.Memory;
  twin_boot: (ops: number, len: number) => void;
  twin_alloc: (size: number) => number;
  twin_trap: (frame: number) => number;
  twin_batch: (ring: number, n: number) => number;
  twin_run_pending: (max: number) => number;
  twin_exit_to_user: (tid: number, frame: number) => number;
  twin_high_water: () => number;
  twin_task: (tid: number) => number;
  twin_cold: (task: number) => number;
  twin_root: () => number;
  twin_next_pid: (tid: number) => number;
  /** room for the table of operations */
  twin_ops: () => number;
}

function exportsOf(twin: TwinExports): KernelExports {
  const names: Partial<KernelExports> = {
    host_alloc: twin.twin_alloc,
    do_syscall_64: twin.twin_trap,
    do_syscall_batch: twin.twin_batch,
    run_pending: twin.twin_run_pending,
    exit_to_user: twin.twin_exit_to_user,
    high_water: twin.twin_high_water,
    task_ptr: twin.twin_task,
    cold_ptr: twin.twin_cold,
    root_ptr: twin.twin_root,
    next_pid: twin.twin_next_pid,
    boot: () => 0,
    register_table: () => 0,
  };
  return names as KernelExports;
}

export async function twinKernel(bytes: BufferSource): Promise<Machine> {
  const { instance } = await WebAssembly.instantiate(bytes, {});
  const twin = instance.exports as unknown as TwinExports;
  const { memory } = twin;
  const ops = twin.twin_ops();
  const table = new Uint16Array(memory.buffer, ops, NR_OPS);
  for (let i = 0; i < NR_OPS; ++i) table[i] = i;
  twin.twin_boot(ops, NR_OPS);
  const kernel = new Kernel({ exports: exportsOf(twin) as never }, memory, 'release');
  kernel.boot();
  return new KernelMachine(kernel);
}
