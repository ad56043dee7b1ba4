// Workloads of the pool's tests: plain JavaScript, as workers load it.

/** The default: forks `n` children of init. */
export default function forks(kernel, n) {
  for (let i = 0; i < n; ++i) {
    kernel.frame.begin(1, 0, 3);
    kernel.trap();
  }
  const { tasks } = kernel.counts();
  return { tasks, last: kernel.frame.result, list: [n, 1] };
}

export async function later(_, ms) {
  await new Promise((resolve) => setTimeout(resolve, ms));
  return ms;
}

export function fail() {
  throw new RangeError('on purpose');
}

export function end() {
  process.exit(3);
}

export function uncopied() {
  return () => 1;
}

export const notAFunction = 1;
