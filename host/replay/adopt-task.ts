// A task that the log knows of first.
import type { Kernel } from '../kernel.ts';

/**
 * Makes it known to the kernel. Return: false where that is not possible, because its number is
 * taken: a log may be put together of several, or mangled, and no log is an internal fault.
 */
export function adoptTask(kernel: Kernel, task: Parameters<Kernel['adopt']>[0]): boolean {
  try {
    kernel.adopt(task);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
