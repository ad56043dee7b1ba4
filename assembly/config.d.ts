/** 1 in the debug target: assertions, lockdep, poison, allocation failures, seeded faults. */
declare const CONFIG_DEBUG: i32;
/** Appends a text, a literal of ASCII; see host/tools/text-transform.mjs. Returns `s`. */
declare function seq_puts<T>(s: T, text: unknown): T;
/** 1 in the smp target: shared memory and real atomics. */
declare const CONFIG_SMP: i32;
/** 0: the kernel has no container calls and no view of containers. */
declare const CONFIG_CONTAINERS: i32;
