// Protects: events of an audit log get the container that the records determine, and no other; the
// log itself stays what it was; what cannot be known is counted with its reason.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { attribute, reportText } from '../../../host/audit/attribute.ts';
import type { ScanOptions } from '../../../host/audit/scan.ts';
import { auditTree } from '../../../host/audit/tree.ts';
import { renderAuditTree } from '../../../host/render/audit.ts';
import { styleFor } from '../../../host/render/style.ts';
import { type CallParts, calls, NR, proctitle, sourceOf, syscall } from './records.ts';

const [NEWNS, NEWPID, NEWUSER, NEWNET, SIGCHLD] = [0x20000, 0x20000000, 0x10000000, 0x40000000, 17];
const HOST: ScanOptions = { assumeHost: true };
const first: CallParts = { pid: 100, nr: NR.execve, exit: 0 };
const clone = (pid: number, ret: number, flags = 0, ppid = 1): CallParts => ({
  pid,
  ppid,
  nr: NR.clone,
  args: [flags | SIGCHLD],
  exit: ret,
});
const act = (pid: number, ppid: number): CallParts => ({ pid, ppid, nr: NR.execve, exit: 0 });

async function run(lines: readonly string[], options: ScanOptions = HOST) {
  let text = '';
  const report = await attribute(sourceOf(lines), options, (more) => {
    text += more;
    return Promise.resolve();
  });
  const out = text.split('\n').slice(0, -1);
  /** serial -> contid of its acting task */
  const ids: Record<string, string> = {};
  for (const line of out) {
    const hit = /^type=CONTAINER_ID msg=audit\([\d.]+:(\d+)\): record=1 contid=(\S+)$/.exec(line);
    if (hit) ids[hit[1]!] = hit[2]!;
  }
  return { report, out, ids };
}

const ids = async (parts: CallParts[], options?: ScanOptions) =>
  (await run(calls(...parts), options)).ids;

describe('a container', () => {
  it('is a new pid namespace, its tasks and their children; nested ones have a list', async () => {
    expect(
      await ids([
        first,
        clone(100, 101, NEWPID),
        act(101, 100),
        clone(101, 2, 0, 100),
        act(102, 101),
        clone(102, 3, NEWPID, 101),
        act(103, 102),
        act(100, 1),
      ]),
    ).toEqual({
      '1': '1',
      '2': '1',
      '3': '2,^1',
      '4': '2,^1',
      '5': '2,^1',
      '6': '2,^1',
      '7': '3,^2,^1',
      '8': '1',
    });
  });

  it('holds the records of a task that stand above the call that made it', async () => {
    expect(
      await ids([first, act(101, 100), act(101, 100), clone(100, 101, NEWPID), act(101, 100)]),
    ).toEqual({ '1': '1', '2': '2,^1', '3': '2,^1', '4': '1', '5': '2,^1' });
  });

  it('begins with the next child when unshare made the pid namespace', async () => {
    const unshare = { pid: 100, nr: NR.unshare, args: [NEWPID], exit: 0 };
    expect(await ids([first, unshare, clone(100, 101), act(101, 100), act(100, 1)])).toEqual({
      '1': '1',
      '2': '1',
      '3': '1',
      '4': '2,^1',
      '5': '1',
    });
  });

  it('is what --container-of says', async () => {
    const unshare = { pid: 100, nr: NR.unshare, args: [NEWNS | NEWUSER], exit: 0 };
    const parts = [first, unshare, clone(100, 101, NEWNET), act(101, 100)];
    const of = async (containerOf: ScanOptions['containerOf']) =>
      Object.values(await ids(parts, { ...HOST, containerOf }));
    expect(await of('pid')).toEqual(['1', '1', '1', '1']);
    expect(await of('mnt')).toEqual(['1', '2,^1', '2,^1', '2,^1']);
    expect(await of('user')).toEqual(['1', '2,^1', '2,^1', '2,^1']);
    expect(await of('any')).toEqual(['1', '2,^1', '2,^1', '3,^2,^1']);
  });

  it('of a failed call is none', async () => {
    const failed = { ...clone(100, -1, NEWPID), exit: -1 };
    expect(Object.values(await ids([first, failed, clone(100, 101), act(101, 100)]))).toEqual(
      Array(4).fill('1'),
    );
  });
});

describe('setns', () => {
  const path = (serial: number, name: string): string =>
    `type=PATH msg=audit(1000.000:${serial}): item=0 name="${name}" nametype=NORMAL`;
  const setns = (pid: number, fd: number, type: number): CallParts => ({
    pid,
    nr: NR.setns,
    args: [fd, type],
    exit: 0,
  });
  const open = (serial: number, pid: number, name: string, fd: number): string[] => [
    syscall(serial, { pid, nr: 257, args: [-100], exit: fd }),
    path(serial, name),
    proctitle(serial),
  ];
  const event = (serial: number, parts: CallParts): string[] => [
    syscall(serial, parts),
    proctitle(serial),
  ];
  const container = [...event(1, first), ...event(2, clone(100, 101, NEWPID | NEWNS))];

  it('into a mount namespace moves the caller; into a pid namespace its children', async () => {
    const lines = [
      ...container,
      ...open(3, 50, '/proc/101/ns/mnt', 4),
      ...open(4, 50, '/proc/101/ns/pid', 5),
      ...event(5, setns(50, 5, 0)),
      ...event(6, clone(50, 51)),
      ...event(7, act(51, 50)),
      ...event(8, setns(50, 4, NEWNS)),
    ];
    expect(Object.values((await run(lines)).ids)).toEqual([
      '1',
      '1',
      '1',
      '1',
      '1',
      '1',
      '2,^1',
      '1',
    ]);
    const mnt = await run(lines, { ...HOST, containerOf: 'mnt' });
    expect(Object.values(mnt.ids)).toEqual(['1', '1', '1', '1', '1', '1', '1', '2,^1']);
  });

  it('follows descriptors through dup, fork and close, and pidfds', async () => {
    const lines = [
      ...container,
      ...event(3, { pid: 50, nr: 434, args: [101], exit: 6 }),
      ...event(4, { pid: 50, nr: 33, args: [6, 9], exit: 9 }),
      ...event(5, { pid: 50, nr: NR.close, args: [6], exit: 0 }),
      ...event(6, clone(50, 51)),
      ...event(7, { ...setns(51, 9, NEWPID), ppid: 50 }),
      ...event(8, clone(51, 52, 0, 50)),
      ...event(9, act(52, 51)),
      ...event(10, setns(50, 6, NEWPID)),
      ...event(11, clone(50, 53)),
      ...event(12, act(53, 50)),
    ];
    const { ids: found, report } = await run(lines);
    expect([found['9'], found['12']]).toEqual(['2,^1', undefined]);
    expect(report.reasons).toEqual({ setns: 1 });
  });
});

describe('what cannot be known', () => {
  it('is told with its reason', async () => {
    const lines = [
      ...calls(
        act(50, 1),
        clone(50, 51),
        act(51, 50),
        { pid: 50, nr: NR.clone3, exit: 52 },
        act(52, 50),
      ),
      'type=CONFIG_CHANGE msg=audit(1000.000:6): op=set audit_enabled=1 old=1 auid=0 ses=3 res=1',
      'type=CWD msg=audit(1000.000:7): cwd="/"',
      'not a record',
    ];
    const { report, out } = await run(lines, {});
    expect(report).toMatchObject({ events: 7, attributed: 0, unattributed: 7, unparsed: 1 });
    expect(report.reasons).toEqual({ before: 5, process: 1, syscall: 1 });
    expect(out).toEqual(lines);
    expect(reportText(report)).toMatch(/7 events in 13 lines: 0 attributed, 7 not\n/);
    const host = await run(lines, HOST);
    expect(host.report.reasons).toEqual({ clone3: 1, process: 1, syscall: 1 });
    const both = await run(lines, { ...HOST, assumeClone3: true });
    expect(both.report.reasons).toEqual({ process: 1, syscall: 1 });
  });

  it('of a clone3 is less where numbers tell the pid namespace', async () => {
    const parts = [
      first,
      { pid: 100, nr: NR.clone3, exit: 101 },
      { pid: 100, nr: NR.clone3, exit: 102 },
      { pid: 101, ppid: 100, nr: 39, exit: 1 },
      { pid: 102, ppid: 100, nr: 39, exit: 102 },
    ];
    expect(await ids(parts)).toEqual({ '1': '1', '2': '1', '3': '1', '4': '2,^1', '5': '1' });
  });

  it('is what came before a boot', async () => {
    const boot = "type=SYSTEM_BOOT msg=audit(1000.000:3): pid=1 uid=0 auid=4294967295 msg=' '";
    const { report } = await run(
      [
        ...calls(first, act(100, 1)),
        boot,
        ...calls(act(100, 1)).map((line) => line.replace(':1)', ':9)')),
      ],
      {},
    );
    expect(report.reasons).toEqual({ before: 4 });
  });
});

describe('records of a kernel with containers', () => {
  const T = 'msg=audit(1000.000:';
  const lines = [
    syscall(1, { pid: 1, ppid: 0, nr: 335, exit: 3 }),
    `type=CONTAINER_ID ${T}1): record=1 contid=1`,
    `type=CONTAINER_OP ${T}1): op=create contid=2 parent-contid=1 cname="foo-test" cflags=8 res=1`,
    proctitle(1),
    syscall(2, { pid: 1, ppid: 0, nr: 1001, exit: 40 }),
    `type=CONTAINER_ID ${T}2): record=1 contid=1`,
    `type=CONTAINER_OP ${T}2): op=enter opid=40 contid=2 old-contid=1 init=1 res=1`,
    proctitle(2),
    syscall(3, { pid: 40, nr: NR.clone, args: [SIGCHLD], exit: 41 }),
    proctitle(3),
    syscall(4, { pid: 40, nr: NR.exit_group, args: [7] }),
    `type=CONTAINER_OP ${T}4): op=dead opid=40 contid=2 exit=1792 killed=1 res=1`,
    proctitle(4),
  ];

  it('say what no flag has to', async () => {
    const tree = await auditTree(sourceOf(lines));
    expect(tree.containers.map((c) => [c.id, c.name, c.parent, c.end])).toEqual([
      ['1', '.init', '0', ''],
      ['2', 'foo-test', '1', 'exit 7'],
    ]);
    expect(tree.containers.map((c) => c.tasks.map((t) => t.pid))).toEqual([[1], [40, 41]]);
    const { ids: found, out, report } = await run(lines, {});
    expect(found).toEqual({ '1': '1', '2': '1', '3': '2,^1', '4': '2,^1' });
    expect(report).toMatchObject({ attributed: 4, told: 2, unattributed: 0 });
    expect(out.filter((line) => !line.includes('contid=2,^1'))).toEqual(lines);
    expect(renderAuditTree(tree, styleFor({}, false))).toBe(
      [
        'container 1 .init',
        '├─ 1 x no end shown',
        '└─ container 2 foo-test, made by 1 in event 1, exit 7',
        '   └─ 40 x exit 7',
        '      └─ 41 ? no end shown',
      ]
        .join('\n')
        .replace('41 ?', '41 x'),
    );
  });

  it('of the later audit patches are understood: set and drop, lists with ancestors', async () => {
    const set = [
      syscall(1, { pid: 9, nr: 1, exit: 4 }),
      `type=CONTAINER_OP ${T}1): op=set opid=50 contid=123 old-contid=-1`,
      proctitle(1),
      syscall(2, act(50, 9)),
      `type=CONTAINER_ID ${T}2): record=1 contid=77,^123`,
      proctitle(2),
      syscall(3, { pid: 50, ppid: 9, nr: NR.exit_group, args: [0] }),
      `type=CONTAINER_OP ${T}3): op=drop opid=50 contid=-1 old-contid=77,^123`,
      proctitle(3),
    ];
    const tree = await auditTree(sourceOf(set));
    expect(tree.containers.map((c) => [c.id, c.parent, c.end])).toEqual([
      ['123', '', ''],
      ['77', '123', 'ended'],
    ]);
    expect(Object.values((await run(set, {})).ids)).toEqual(['77,^123', '77,^123']);
  });
});

describe('the written log', () => {
  it('has the targets of a signal, and a field where a line stands alone', async () => {
    const kill = [
      syscall(3, { pid: 100, nr: NR.kill, args: [101, 15], exit: 0 }),
      'type=OBJ_PID msg=audit(1000.000:3): opid=101 oauid=0 ouid=0 oses=3 ocomm="x"',
      proctitle(3),
    ];
    const user =
      'type=USER_CMD msg=audit(1000.000:4): pid=101 uid=0 auid=0 ses=3 msg=\'cmd="x" res=success\'';
    const lines = [...calls(first, clone(100, 101, NEWPID)), ...kill, `${user}\x1dUID="root"`];
    const { out } = await run(lines);
    expect(out.slice(6)).toEqual([
      kill[0],
      'type=CONTAINER_ID msg=audit(1000.000:3): record=1 contid=1',
      kill[1],
      'type=CONTAINER_ID msg=audit(1000.000:3): record=2 contid=2,^1',
      kill[2],
      `${user} contid=2,^1\x1dUID="root"`,
    ]);
  });

  it('keeps the form of its input', async () => {
    const i =
      'type=SYSCALL msg=audit(11/23/26 23:54:43.826:5) : arch=x86_64 syscall=fork ' +
      'success=yes exit=9 a0=0x0 a1=0x0 a2=0x0 a3=0x0 items=0 ppid=1 ' +
      'pid=8 comm=a exe=/a key=(null) ';
    const kernel =
      '[ 1.5] audit: type=1300 audit(7.001:6): arch=c000003e ' +
      'syscall=57 success=yes exit=7 a0=0 pid=8';
    const { out } = await run(['----', i, kernel]);
    expect(out).toEqual([
      '----',
      i,
      'type=CONTAINER_ID msg=audit(11/23/26 23:54:43.826:5) : record=1 contid=1 ',
      kernel,
      '[ 1.5] audit: type=CONTAINER_ID audit(7.001:6): record=1 contid=1',
    ]);
  });

  it('has every line of its input, whatever that is', async () => {
    const base = calls(first, clone(100, 101, NEWPID), act(101, 100), {
      pid: 101,
      ppid: 100,
      nr: NR.exit_group,
      args: [1],
    });
    const junk = fc.uint8Array({ maxLength: 60 }).map((b) =>
      Buffer.from(b)
        .toString('latin1')
        .replace(/[\n\r]/g, '.'),
    );
    const line = fc.oneof(fc.constantFrom(...base), junk);
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 40 }), async (lines) => {
        const { out, report } = await run(lines);
        const old = out.filter((one) => !/^type=CONTAINER_ID .*contid=/.test(one));
        const plain = old.map((one) => one.replace(/ contid=[\d,^]+$/, ''));
        expect(plain.sort()).toEqual([...lines].sort());
        expect(report.attributed + report.unattributed).toBe(report.events);
        const reasons = Object.values(report.reasons).reduce((sum, n) => sum + n, 0);
        expect(reasons).toBe(report.unattributed);
        await auditTree(sourceOf(lines));
      }),
      { seed: 7, numRuns: 150 },
    );
  });

  const ausearch = spawnSync('ausearch', ['--version']).status === 0;
  it.skipIf(!ausearch)('is read whole by ausearch and aureport', async () => {
    const lines = calls(first, clone(100, 101, NEWPID), act(101, 100), {
      pid: 100,
      nr: NR.kill,
      args: [101, 9],
      exit: 0,
    });
    lines.splice(
      7,
      0,
      'type=OBJ_PID msg=audit(1000.000:4): opid=101 oauid=0 ouid=0 oses=3 ocomm="x"',
    );
    const { out } = await run(lines);
    const dir = mkdtempSync(join(tmpdir(), 'audit-'));
    try {
      const file = join(dir, 'audit.log');
      writeFileSync(file, `${out.join('\n')}\n`, 'latin1');
      const tool = (name: string, ...args: string[]) =>
        spawnSync(name, ['-if', file, ...args], { encoding: 'latin1' });
      const raw = tool('ausearch', '--raw');
      expect(raw.stdout.trim().split('\n').sort()).toEqual([...out].sort());
      expect(raw.stderr).toBe('');
      const events = tool('ausearch', '-i').stdout.split('----').length - 1;
      expect(events).toBe(4);
      expect(tool('ausearch', '-m', 'OBJ_PID', '--raw').stdout).toContain('record=2 contid=2,^1');
      expect(tool('aureport', '--summary').stdout).toMatch(/Number of events: 4\n/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
