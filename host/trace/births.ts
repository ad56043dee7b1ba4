// In which order tasks came about, as far as their numbers and the results of forks tell.
import type { ForkEntry, TaskSpan } from './index.ts';

/**
 * Numbers grow from fork to fork, which tells more than first lines do, unless they wrapped.
 * Return: whether they grow.
 */
export function sortByBirth(spans: TaskSpan[]): boolean {
  let low = Infinity;
  let high = 0;
  for (const span of spans) {
    low = Math.min(low, span.pid);
    high = Math.max(high, span.pid);
  }
  const wrapped = high - low > 16000;
  spans.sort((a, b) => (wrapped ? a.first - b.first : a.pid - b.pid));
  return !wrapped;
}

/** Forks that were under way at once, with neighbouring results, came about in that order. */
export function orderOverlapping(forks: ForkEntry[]): void {
  for (let i = 1; i < forks.length; i++) {
    const a = forks[i - 1] as ForkEntry;
    const b = forks[i] as ForkEntry;
    if (a.end > b.start && a.ret === b.ret + 1) {
      forks[i - 1] = b;
      forks[i] = a;
    }
  }
}
