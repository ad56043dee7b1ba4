// Which recorder wrote a text, from its first lines.

export type TraceFormat =
  | 'strace'
  | 'script'
  | 'audit'
  | 'ausearch'
  | 'ftrace'
  | 'perf-script'
  | 'perf-trace'
  | 'ltrace'
  | 'jsonl'
  | 'unknown';

/** How many lines are looked at, and how much of each. */
const MAX_LINES = 400;
const MAX_WIDTH = 2000;

const STRACE_BODY = new RegExp(
  '^(?:\\[pid +\\d+(?:<.*?>)?\\] |\\d{1,7}(?:<.*?>)? +)?' +
    '(?: *(?:\\d+:\\d\\d:\\d\\d(?:\\.\\d+)?|\\d+(?:\\.\\d+)?) +(?:\\(\\+ *[\\d.]+\\) +)?)?' +
    '(?:\\[ *(?:0x)?[0-9a-f?]+\\] +)*' +
    '(?:[a-z_]\\w*\\(|<\\.\\.\\. \\S+ resumed|--- SIG|--- stopped' +
    '|\\+\\+\\+ (?:exited|killed|super))',
);

/** One test for each format that a single line can give away; first match wins. */
const LINE_TESTS: readonly (readonly [TraceFormat, RegExp])[] = [
  ['audit', /^(?:node=\S+ )?type=\S+ msg=audit\(\d+\.\d+:\d+\):/],
  ['audit', /\baudit: type=\d+ audit\(\d+\.\d+:\d+\):/],
  ['ausearch', /^(?:node=\S+ )?type=\S+ msg=audit\(\d\d[./-]\d\d[./-]\d+ .*?:\d+\) ?:/],
  ['ausearch', /^time->\w/],
  ['ftrace', /^# tracer: |^# entries-in-buffer/],
  ['ftrace', /^cpus=\d+$/],
  ['perf-script', / \d+(?:\/\d+)? +\[\d+\] +\d+\.\d+: +raw_syscalls:sys_(?:enter|exit): NR /],
  ['ftrace', /^ *\S.*-\d+ +(?:\(.*?\) +)?\[\d+\] +(?:\S{4,6} +)?\d+\.\d+: +\w+[(:]/],
  ['perf-trace', /^ *(?:\d+\.\d+|\?) +\( *(?:\d+\.\d+ ms)? *\): /],
  ['ltrace', /^(?:\[pid )?\d* ?.*?\b\w+@SYS\(/],
  ['ltrace', /^(?:\[pid \d+\] |\d+ +)?(?:SYS_\w+\(|\S+->\w+\(|<\.\.\. SYS_\w+ resumed)/],
];

function jsonKind(line: string): TraceFormat | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== 'object' || value === null) return undefined;
    return 'bulkhead' in value ? 'script' : 'jsonl';
  } catch {
    return undefined;
  }
}

function lineFormat(line: string): TraceFormat | undefined {
  for (const [format, test] of LINE_TESTS) if (test.test(line)) return format;
  return STRACE_BODY.test(line) ? 'strace' : jsonKind(line);
}

/**
 * Tells the format from the beginning of a text (a few kilobytes are enough). Lines vote, so that a
 * mangled first line doesn't decide; a line of a more particular format outvotes strace's.
 */
export function detectFormat(head: string): TraceFormat {
  const votes = new Map<TraceFormat, number>();
  const lines = head.slice(0, 262144).split('\n', MAX_LINES);
  for (const full of lines) {
    const line = full.length > MAX_WIDTH ? full.slice(0, MAX_WIDTH) : full.replace(/\r$/, '');
    if (line === '' || line.startsWith('//')) continue;
    const format = line.startsWith('#') && !line.startsWith('# ') ? undefined : lineFormat(line);
    if (format !== undefined) votes.set(format, (votes.get(format) ?? 0) + 1);
  }
  // ltrace's library calls look like strace's calls: one system call marked as such is proof.
  if ((votes.get('ltrace') ?? 0) > 0) return 'ltrace';
  if ((votes.get('script') ?? 0) > 0 && (votes.get('strace') ?? 0) === 0) return 'script';
  let best: TraceFormat = 'unknown';
  let most = 0;
  for (const [format, count] of votes) {
    if (count > most) {
      best = format;
      most = count;
    }
  }
  return best;
}
