// The readable end of a replay: what was compared, what agreed, where not.
import type { Divergence, NameCounts, ReplayResult } from '../replay/result.ts';
import { count, printable, type Style } from './style.ts';

const ROWS = 18;

function headline(r: ReplayResult, s: Style): string[] {
  const compared = r.matched + r.diverged;
  const share = compared ? ((100 * r.matched) / compared).toFixed(r.diverged ? 2 : 0) : '0';
  const verdict = r.divergences.length
    ? s.bad(`${count(r.divergences.length)} divergences`)
    : s.good('every compared call, signal and exit agrees');
  return [
    s.bold(`${printable(r.file)}`) + s.dim(`  ${r.format}, ${r.abi}`),
    `${count(r.lines.total)} lines, ${count(r.tasks)} tasks, ${count(r.calls)} calls ` +
      `in ${r.seconds.toFixed(2)} s`,
    `${share} % of ${count(compared)} compared calls match: ${verdict}`,
  ];
}

function classes(r: ReplayResult, s: Style): string[] {
  const row = (name: string, n: number, what: string): string =>
    `  ${name.padEnd(11)} ${count(n).padStart(9)}  ${s.dim(what)}`;
  return [
    '',
    s.bold('calls by class'),
    row('emulated', r.emulated, 'the kernel alone decided'),
    row('assisted', r.assisted, 'the world decided one thing, the kernel the rest'),
    row('unmodelled', r.unmodelled, 'no state of the kernel is touched'),
    row('injected', r.injected, 'forged by the recorder'),
    row(
      'blind',
      r.blind,
      `depended on what the log does not show; ${count(r.adopted)} facts adopted`,
    ),
    row('reordered', r.reordered, 'effects taken inside their open interval'),
  ];
}

function table(r: ReplayResult, s: Style): string[] {
  const rows = Object.entries(r.byCall)
    .filter(([, n]) => n.matched + n.diverged + n.blind > 0)
    .sort(([, a], [, b]) => b.diverged - a.diverged || b.calls - a.calls);
  const line = ([name, n]: [string, NameCounts]): string => {
    const wrong = n.diverged ? s.bad(String(n.diverged).padStart(9)) : s.dim('-'.padStart(9));
    const blind = n.blind ? s.warn(String(n.blind).padStart(6)) : s.dim('-'.padStart(6));
    const numbers = `${String(n.calls).padStart(8)} ${String(n.matched).padStart(9)}`;
    return `  ${name.padEnd(20)} ${numbers} ${wrong} ${blind}  ${s.dim(n.class)}`;
  };
  const out = ['', s.bold(`  ${'call'.padEnd(20)}    calls   matched  diverged  blind  class`)];
  out.push(...rows.slice(0, ROWS).map(line));
  if (rows.length > ROWS)
    out.push(s.dim(`  ... and ${rows.length - ROWS} more names (--json has all)`));
  const unmodelled = Object.entries(r.byCall)
    .filter(([, n]) => n.unmodelled > 0)
    .sort(([, a], [, b]) => b.unmodelled - a.unmodelled);
  if (unmodelled.length) {
    const names = unmodelled
      .slice(0, 8)
      .map(([name, n]) => `${name} ${n.unmodelled}`)
      .join(', ');
    out.push(s.dim(`  not modelled: ${names}${unmodelled.length > 8 ? ', ...' : ''}`));
  }
  return out;
}

function divergence(d: Divergence, s: Style): string[] {
  return [
    `${s.bad('divergence')} at line ${d.line}, task ${d.pid}`,
    `  ${printable(d.call)}`,
    `  recorded ${s.bold(printable(d.expected))}, the kernel says ${s.bold(printable(d.actual))}`,
    ...d.tasks.map((t) => s.dim(`  task ${printable(t)}`)),
    ...d.history.map((h) => s.dim(`    before: ${printable(h)}`)),
  ];
}

/** The divergences, at most `max` of them. */
export function renderDivergences(r: ReplayResult, s: Style, max = 10): string {
  const out = r.divergences.slice(0, max).flatMap((d) => divergence(d, s));
  const more = r.divergences.length - max;
  if (more > 0) out.push(s.dim(`... and ${count(more)} more divergences (--json has all)`));
  return out.join('\n');
}

export function renderSummary(r: ReplayResult, s: Style): string {
  const out = [...headline(r, s), ...classes(r, s), ...table(r, s)];
  if (r.skipped) {
    out.push(
      '',
      s.warn(
        `${count(r.skipped)} lines could not be parsed: ${r.unparsedLines.slice(0, 10).join(', ')}`,
      ),
    );
  }
  return out.join('\n');
}
