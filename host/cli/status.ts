// Exit statuses, and the error that says how a command was called wrongly.
export const EXIT_OK = 0;
export const EXIT_DIVERGED = 1;
export const EXIT_USAGE = 2;
export const EXIT_UNREADABLE = 3;
export const EXIT_FAULT = 4;
export const EXIT_INTERRUPTED = 130;

export class UsageError extends Error {}
