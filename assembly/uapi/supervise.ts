// Portable: compiled unchanged by asc and by tsc. Only `export const NAME = <integer>`.
// Upcalls: what the kernel asks the host or a supervisor, and what may be answered.
// Kinds.
export const UPCALL_CONTAINER_ALLOC = 1;
export const UPCALL_REFUSED = 2;
// Answers: the refusal stands (a hook: no objection), a value or an errno instead, or the call is
// made once more with the supervisor's capabilities.
export const ANSWER_CONTINUE = 0;
export const ANSWER_VALUE = 1;
export const ANSWER_ERROR = 2;
export const ANSWER_GRANT = 3;
// What the host wants to be asked and told, see hooks_set().
export const HOOK_CONTAINER_ALLOC = 1;
export const HOOK_CONTAINER_FREE = 2;
export const HOOK_SUPERVISE = 4;
// What read(2) gives from a supervisor's descriptor: u64 id; i32 pid; u32 nr; u64 args[6];
// u64 container; u32 flags; i32 uid.
export const SUPERVISOR_REQUEST_BYTES = 80;
// flags: the call came by an i386 table.
export const SUPERVISOR_COMPAT = 1;
// What write(2) takes: u64 id; i64 value; i32 error; u32 answer.
export const SUPERVISOR_REPLY_BYTES = 24;
