// Protects: an audit log is replayed as far as its records determine what happened, and no further:
// calls that stand below their effect, numbers of inner namespaces, ends that have no record.
import { describe, expect, it } from 'vitest';
import { replayTrace } from '../../../host/replay.ts';
import type { TreeProcess } from '../../../host/replay/processes.ts';
import { openSource } from '../../../host/trace/source.ts';
import manifest from '../../traces/manifest.json' with { type: 'json' };
import { calls, NR, proctitle, sourceOf, syscall } from './records.ts';

async function replay(lines: readonly string[]) {
  const replayed = await replayTrace(sourceOf(lines), 'test', { format: 'audit' });
  expect(replayed.kernel.check()).toEqual([]);
  const { result, processes } = replayed;
  const { total, calls: n, signals, exits, other, unparsed } = result.lines;
  expect(n + signals + exits + other + unparsed).toBe(total);
  expect(total).toBe(lines.length);
  const tree = processes.map((p: TreeProcess) => `${p.pid}<${p.ppid} ${p.end}`);
  return { ...replayed, divergences: result.divergences, tree };
}

const SIGCHLD = 17;
const NEWPID = 0x20000000;
const THREAD = 0x10f00;
const first = { pid: 100, nr: NR.execve, exit: 0 };

describe('calls that stand below what they caused', () => {
  it('a fork below the records of its child', async () => {
    const { tree, divergences } = await replay(
      calls(
        first,
        { pid: 101, ppid: 100, nr: NR.execve, exit: 0 },
        { pid: 101, ppid: 100, nr: NR.exit_group, args: [3] },
        { pid: 100, nr: NR.vfork, exit: 101 },
        { pid: 100, nr: NR.wait4, args: [-1], exit: 101 },
      ),
    );
    expect(divergences).toEqual([]);
    expect(tree).toEqual(['100<0 end not shown', '101<100 exit 3']);
  });

  it('a chain of such forks, the first of them last', async () => {
    const { tree, divergences } = await replay(
      calls(
        first,
        { pid: 103, ppid: 102, nr: NR.execve, exit: 0 },
        { pid: 102, ppid: 101, nr: NR.fork, exit: 103 },
        { pid: 101, ppid: 100, nr: NR.fork, exit: 102 },
        { pid: 100, nr: NR.fork, exit: 101 },
      ),
    );
    expect(divergences).toEqual([]);
    expect(tree.map((one) => one.split(' ')[0])).toEqual([
      '100<0',
      '101<100',
      '102<101',
      '103<102',
    ]);
  });

  it('waits in another order than the exits', async () => {
    const { divergences, result } = await replay(
      calls(
        first,
        { pid: 100, nr: NR.fork, exit: 101 },
        { pid: 100, nr: NR.fork, exit: 102 },
        { pid: 101, ppid: 100, nr: NR.exit_group, args: [1] },
        { pid: 102, ppid: 100, nr: NR.exit_group, args: [2] },
        { pid: 100, nr: NR.wait4, args: [-1], exit: 102 },
        { pid: 100, nr: NR.wait4, args: [-1], exit: 101 },
        { pid: 100, nr: NR.wait4, args: [-1], exit: -10 },
      ),
    );
    expect(divergences).toEqual([]);
    expect(result.reordered).toBe(0);
  });
});

describe('pid namespaces', () => {
  it('number their own children; records have the outer numbers', async () => {
    const { tree, divergences } = await replay(
      calls(
        first,
        { pid: 100, nr: NR.clone, args: [NEWPID | SIGCHLD], exit: 101 },
        { pid: 101, ppid: 100, nr: NR.fork, exit: 2 },
        { pid: 102, ppid: 101, nr: NR.execve, exit: 0 },
        { pid: 102, ppid: 101, nr: NR.exit_group, args: [4] },
        { pid: 101, ppid: 100, nr: NR.wait4, args: [-1], exit: 2 },
        { pid: 101, ppid: 100, nr: NR.exit_group, args: [5] },
        { pid: 100, nr: NR.wait4, args: [-1], exit: 101 },
      ),
    );
    expect(divergences).toEqual([]);
    expect(tree).toEqual(['100<0 end not shown', '101<100 exit 5', '102<101 exit 4']);
  });

  it('of which the flags tell nothing, since clone3 has them in memory', async () => {
    const { tree } = await replay(
      calls(
        first,
        { pid: 100, nr: NR.clone3, exit: 101 },
        { pid: 101, ppid: 100, nr: NR.fork, exit: 2 },
        { pid: 102, ppid: 101, nr: NR.execve, exit: 0 },
      ),
    );
    expect(tree.some((one) => one.startsWith('102<101'))).toBe(true);
    expect(tree.some((one) => one.startsWith('2<'))).toBe(false);
  });
});

describe('ends without a record', () => {
  const fork = { pid: 100, nr: NR.fork, exit: 101 };
  const endOf = async (...more: Parameters<typeof calls>): Promise<string | undefined> => {
    const { tree, divergences } = await replay(calls(first, fork, ...more));
    expect(divergences).toEqual([]);
    return tree
      .find((one) => one.startsWith('101<'))
      ?.split(' ')
      .slice(1)
      .join(' ');
  };

  it('are known when the task was waited for, and by what killed it', async () => {
    const wait = { pid: 100, nr: NR.wait4, args: [-1], exit: 101 };
    expect(await endOf(wait)).toBe('ended');
    expect(await endOf({ pid: 100, nr: NR.kill, args: [101, 15], exit: 0 }, wait)).toBe('SIGTERM');
    expect(await endOf({ pid: 100, nr: NR.waitid, args: [1, 101, 0, 4], exit: 0 })).toBe('ended');
  });

  it('are not when it was stopped, or may have been', async () => {
    const wait = { pid: 100, nr: NR.wait4, args: [-1, 0, 2], exit: 101 };
    const later = { pid: 101, ppid: 100, nr: NR.execve, exit: 0 };
    expect(await endOf(wait, later)).toBe('end not shown');
    expect(await endOf({ pid: 100, nr: NR.waitid, args: [1, 101, 0, 5], exit: 0 })).toBe(
      'end not shown',
    );
    expect(await endOf()).toBe('end not shown');
  });

  it('are known when a signal did not find the task, or its parent has no child', async () => {
    expect(await endOf({ pid: 100, nr: NR.kill, args: [101, 0], exit: -3 })).toBe('ended');
    expect(await endOf({ pid: 100, nr: NR.wait4, args: [-1], exit: -10 })).toBe('ended');
  });

  it('are known when its child has another parent', async () => {
    const end = await endOf(
      { pid: 101, ppid: 100, nr: NR.fork, exit: 102 },
      { pid: 102, ppid: 101, nr: NR.execve, exit: 0 },
      { pid: 102, ppid: 1, nr: NR.close, args: [77], exit: -9 },
    );
    expect(end).toBe('ended');
  });

  it('are told by records of their own', async () => {
    const abend = 'type=ANOM_ABEND msg=audit(1000.000:9): auid=1 uid=0 gid=0 ses=3 pid=101 sig=11';
    const { tree } = await replay([...calls(first, fork), abend]);
    expect(tree[1]).toBe('101<100 SIGSEGV');
    const boot = 'type=SYSTEM_BOOT msg=audit(1000.000:9): pid=1 msg=\' comm="systemd"\'';
    expect((await replay([...calls(first, fork), boot])).tree).toEqual([
      '100<0 ended',
      '101<100 ended',
    ]);
  });

  it('do not follow from a signal that the task survived', async () => {
    const end = await endOf(
      { pid: 100, nr: NR.kill, args: [101, 15], exit: 0 },
      { pid: 101, ppid: 100, nr: NR.execve, exit: 0 },
      { pid: 101, ppid: 100, nr: NR.execve, exit: 0 },
      { pid: 101, ppid: 100, nr: NR.exit_group, args: [7] },
    );
    expect(end).toBe('exit 7');
  });
});

describe('threads', () => {
  it("have their process's number in every record", async () => {
    const { tree, divergences } = await replay(
      calls(
        first,
        { pid: 100, nr: NR.clone, args: [THREAD], exit: 101 },
        { pid: 100, nr: NR.clone, args: [THREAD], exit: 102 },
        { pid: 100, nr: NR.fork, exit: 103 },
        { pid: 100, nr: NR.exit, args: [0] },
        { pid: 100, nr: NR.exit_group, args: [6] },
      ),
    );
    expect(divergences).toEqual([]);
    expect(tree).toEqual([
      '100<0 exit 6',
      '101<100 exit 0',
      '102<100 exit 6',
      '103<100 end not shown',
    ]);
  });
});

describe('what disagrees', () => {
  it('is a divergence', async () => {
    const { divergences } = await replay(
      calls(
        first,
        { pid: 100, nr: NR.fork, exit: 101 },
        { pid: 101, ppid: 100, nr: NR.fork, exit: 102 },
        { pid: 102, ppid: 100, nr: NR.execve, exit: 0 },
        { pid: 101, ppid: 100, nr: NR.wait4, args: [102], exit: -10 },
        { pid: 101, ppid: 100, nr: NR.close, args: [3], exit: 0 },
      ),
    );
    expect(divergences.map((d) => [d.line, d.expected, d.actual])).toEqual([[7, '100', '101']]);
  });

  it('between machines is not mixed', async () => {
    const lines = [
      syscall(1, { ...first, node: 'a' }),
      syscall(1, { pid: 100, nr: NR.fork, exit: 101, node: 'b' }),
      syscall(2, { pid: 100, nr: NR.fork, exit: 102, node: 'a' }),
      proctitle(9),
    ];
    const { tree, result } = await replay(lines);
    expect(tree).toEqual(['100<0 end not shown', '102<100 end not shown']);
    expect(result.lines.calls).toBe(2);
  });
});

describe.each(['audit_pipes.audit.gz', 'audit_pipes_i.ausearch.gz'])('the recorded %s', (name) => {
  const entry = manifest.traces.find((one) => one.file === name)!;
  const truth = entry.truth.processes as [number, number, number, string, string][];

  it('agrees with the kernel that was recorded, and its tree with the truth', async () => {
    const source = await openSource([`test/traces/${name}`]);
    const format = name.includes('ausearch') ? 'ausearch' : 'audit';
    const { result, processes, kernel } = await replayTrace(source, name, { format });
    source.close();
    expect(result.divergences).toEqual([]);
    expect(result.blind).toBe(0);
    expect(kernel.check()).toEqual([]);
    expect(result.lines).toMatchObject({ total: entry.lines, unparsed: 0 });
    expect(result.calls).toBe(entry.counts.records);
    expect(processes.map((p) => p.pid).sort()).toEqual(truth.map(([pid]) => pid).sort());
    for (const [pid, parent, , status, comm] of truth) {
      const have = processes.find((p) => p.pid === pid)!;
      if (pid !== truth[0]![0]) expect(have.ppid, String(pid)).toBe(parent);
      // what the log does not determine is not claimed
      const known = !['ended', 'end not shown'].includes(have.end);
      if (known) expect(have.end).toBe(status.replace('sig 15', 'SIGTERM'));
      if (have.comm !== '') expect(have.comm).toBe(comm);
      expect(known || format === 'ausearch' || status === 'sig 13').toBe(true);
    }
  });
});
