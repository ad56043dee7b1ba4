// Protects: the whole format of trap scripts is read, and everything that is wrong with one is said
// with its line, before anything runs.
import { describe, expect, it } from 'vitest';
import fc from 'fast-check';
import { type CallEvent, readScript, ScriptError } from '../../../host/trace/script.ts';
import { constant, errnoNumber, evaluate, signalName } from '../../../host/abi/constants.ts';

const HEAD = '{"bulkhead": 1}';

function call(text: string): CallEvent {
  const [event] = readScript(`${HEAD}\n{"task": 1, ${text}}`).events;
  if (event?.type !== 'call') throw new Error('no call');
  return event;
}

const errorOf = (text: string): string => {
  try {
    readScript(text);
  } catch (error) {
    if (error instanceof ScriptError) return error.message;
    throw error;
  }
  return 'no error';
};

describe('the header', () => {
  it('names the table, the kernel and what it is about', () => {
    const script = readScript(
      '# a remark\n\n{"bulkhead": 1, "abi": "linux-i386", "target": "debug", "about": "x"}\n',
    );
    expect(script).toMatchObject({ abi: 'linux-i386', target: 'debug', about: 'x', events: [] });
    expect(script.lines).toEqual({ total: 3, other: 3 });
    expect(readScript(HEAD)).toMatchObject({ abi: 'howells-2017', target: undefined });
  });

  it.each([
    ['', 'line 1: an empty script'],
    ['{}', 'line 1: the first line of a trap script is {"bulkhead": 1, ...}'],
    ['{"bulkhead": 2}', 'line 1: version 2 of the format; this reader knows 1'],
    ['{"bulkhead": "1"}', 'line 1: "bulkhead" is the version of the format, 1'],
    ['{"bulkhead": 1, "arch": 1}', 'line 1: unknown key "arch" in this line'],
    ['\n{"bulkhead": 1, "abi": "x"}', 'line 2: no table is called "x"'],
    ['{"bulkhead": 1, "target": "fast"}', 'line 1: no kernel is called "fast"'],
    ['[]', 'line 1: this line is no object'],
    ['{"bulkhead": 1', 'line 1: no JSON'],
  ])('%s: %s', (text, message) => {
    expect(errorOf(text)).toContain(message);
  });
});

describe('a call', () => {
  it('is named, numbered, or a set of registers', () => {
    expect(call('"call": "getpid"').trap).toMatchObject({ by: 'number', nr: 39 });
    expect(call('"nr": 5000').trap).toMatchObject({ by: 'number', nr: 5000 });
    expect(call('"regs": {"rax": "0x14f"}').trap).toMatchObject({ by: 'regs', gate: 'syscall' });
    const i386 = call('"regs": {"eax": 20}, "abi": "linux-i386", "code": "0f34"');
    expect(i386.trap).toMatchObject({ by: 'regs', gate: 'sysenter' });
    const own = call('"call": "container_kill", "abi": "linux-x86_64"');
    expect(own).toMatchObject({ privateCall: true, abi: 'linux-x86_64' });
  });

  it('takes every form of value', () => {
    const { trap } = call(
      '"call": "getpid", "args": [-1, "0xffffffffffffffff", "SIGCHLD|CLONE_VM",' +
        ' {"list": [{"str": "é"}, 0]}, {"inout": "0a0B", "as": "p"}, {"edge": "ab"}]',
    );
    if (trap.by !== 'number') throw new Error('no number');
    const number = (value: bigint): object => ({ kind: 'number', value });
    const memory = (bytes: number[], writable = false, edge = false, label?: string): object => ({
      kind: 'memory',
      bytes: Uint8Array.from(bytes),
      writable,
      edge,
      label,
    });
    expect(trap.args).toEqual([
      number(-1n),
      number((1n << 64n) - 1n),
      number(0x111n),
      { kind: 'list', items: [memory([0xc3, 0xa9, 0]), number(0n)] },
      memory([10, 11], true, false, 'p'),
      memory([0x61, 0x62], false, true),
    ]);
  });

  it("has an errno's name for a negative result, and anything for ?", () => {
    expect(call('"call": "getpid", "ret": "EINVAL"').ret).toBe(-22n);
    expect(call('"call": "getpid", "ret": "-5"').ret).toBe(-5n);
    expect(call('"call": "getpid", "ret": "?"')).toMatchObject({ ret: undefined, anyRet: true });
  });

  it.each([
    ['"call": "no_such_call"', 'neither howells-2017 nor the private block has "no_such_call"'],
    ['"call": "clone3"', 'neither howells-2017 nor the private block has "clone3"'],
    ['"call": "getpid", "nr": 39', '"call" and "nr": one of them names the call'],
    ['"call": "getpid", "code": "0f05"', '"code" goes with "regs"'],
    ['"call": "getpid", "after": {}', '"after" goes with "regs"'],
    ['"regs": {"rax": 1}, "args": []', '"args" goes with "call" or "nr"'],
    ['"regs": {"rax": 1}, "code": "cd80"', 'does not go with a table of x86-64'],
    ['"regs": {"eax": 1}, "code": "0f05", "abi": "linux-i386"', 'a table of i386'],
    ['"regs": {"eax": 1}', 'has no register "eax"'],
    ['"regs": {"rax": 1}, "code": "90"', 'none of 0f05, cd80, 0f34'],
    ['"call": "getpid", "retr": 1', 'unknown key "retr"'],
    ['"call": "getpid", "args": [1, 2, 3, 4, 5, 6, 7]', '7 arguments'],
    ['"call": "getpid", "args": 1', '"args" is no array'],
    ['"call": "getpid", "args": [{"str": 1}]', '"str" is no text'],
    ['"call": "getpid", "args": [{"hex": "abc"}]', 'no hexadecimal bytes'],
    ['"call": "getpid", "args": [{"text": "a"}]', 'unknown key "text"'],
    ['"call": "getpid", "args": [{}]', 'one of str, hex'],
    ['"call": "getpid", "args": [true]', '"args[0]" is no number'],
    ['"call": "getpid", "args": [1.5]', '1.5 is no integer'],
    ['"call": "getpid", "args": [9007199254740993]', 'beyond 2^53'],
    ['"call": "getpid", "args": ["0x10000000000000000"]', 'does not fit into 64 bits'],
    ['"call": "getpid", "args": ["SIGNOPE"]', 'no number and no known name'],
    ['"call": "getpid", "args": ["$never"]', 'no earlier line saves "$never"'],
    ['"call": "getpid", "ret": "$never"', 'no earlier line saves "$never"'],
    ['"call": "pause", "blocks": true, "ret": 0', 'a call that sleeps has no "ret"'],
    ['"call": "getpid", "leaves": "all"', '"leaves" is "nothing"'],
    ['"call": "getpid", "fail_alloc": 0', '"fail_alloc" is a number from 1 up'],
    ['"call": "getpid", "out": {"w": {"i32": 0}}', 'no buffer of this call is called "w"'],
    ['"call": "pipe", "args": [{"out": 8, "as": "p"}], "out": {"p": {"f": 0}}', 'unknown key "f"'],
    ['"call": "getpid", "save": 3', '"save" is no text'],
  ])('%s: %s', (text, message) => {
    const error = errorOf(`${HEAD}\n\n{"task": 1, ${text}}`);
    expect(error).toContain('line 3: ');
    expect(error).toContain(message);
  });

  it('needs a task', () => {
    expect(errorOf(`${HEAD}\n{"call": "getpid"}`)).toBe('line 2: "task" is missing');
  });
});

describe('the lines between calls', () => {
  it.each([
    ['{}', 'none of the keys expect,'],
    ['{"expect": "weather"}', 'nothing to expect is called "weather"'],
    ['{"expect": "task"}', '"task" is missing'],
    ['{"expect": "task", "task": 1, "state": "X"}', 'no state is called "X"'],
    ['{"expect": "task", "task": 1, "usage": 1}', 'unknown key "usage"'],
    ['{"expect": "container"}', '"name" is missing'],
    ['{"expect": "file", "task": 1, "path": "/x"}', 'one of "text", "match"'],
    ['{"expect": "audit", "match": "("}', '"match": '],
    ['{"expect": "fd", "task": 1}', '"fd" is missing'],
    ['{"expect": "counts", "dogs": 1}', 'unknown key "dogs"'],
    ['{"task": 1, "completes": "nope"}', 'no table has a call "nope"'],
    ['{"task": 1, "sleeps": false}', '"sleeps" is true or not there'],
    ['{"task": 1, "signal": "SIGNOPE"}', '"signal" names no signal'],
    ['{"task": 1, "signal": 65}', '"signal" names no signal'],
    ['{"task": 1, "signal": 1, "info": {"si_pid": 1}}', 'unknown key "si_pid"'],
    ['{"task": 1, "dies": {}}', 'one of signal, code'],
    ['{"task": 1, "dies": {"signal": 9, "code": 1}}', 'one of signal, code'],
    ['{"run": 1}', '"run" is neither true nor false'],
    ['{"clock": -1}', '"clock" are ns since 1970'],
  ])('%s: %s', (text, message) => {
    const error = errorOf(`${HEAD}\n${text}`);
    expect(error).toContain('line 2: ');
    expect(error).toContain(message);
  });

  it('are read', () => {
    const { events, lines } = readScript(
      `${HEAD}\n{"clock": "1500000000123000000"}\n{"run": true}\n` +
        '{"task": 1, "dies": {"code": 7}}\n{"task": 1, "signal": "SIGCHLD", "info": {"pid": 5}}\n' +
        '{"expect": "sound"}\n{"task": 1, "sleeps": true}\n',
    );
    expect(events.map((event) => event.type)).toEqual([
      'clock',
      'run',
      'dies',
      'signal',
      'expect',
      'sleeps',
    ]);
    expect(events[0]).toMatchObject({ ns: 1500000000123000000n });
    expect(events[3]).toMatchObject({ signo: 17 });
    expect(lines).toEqual({ total: 7, other: 5 });
  });
});

it('fails on garbage with the number of its line, and in no other way', () => {
  const key = fc.constantFrom('task', 'call', 'regs', 'args', 'expect', 'ret', 'out', 'dies', 'nr');
  const line = fc.oneof(
    fc.string(),
    fc.dictionary(key, fc.jsonValue()).map((object) => JSON.stringify(object)),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
      expect(errorOf([HEAD, ...lines].join('\n'))).toMatch(/^(?:no error|line \d+: )/);
    }),
    { numRuns: 500 },
  );
});

describe('constants', () => {
  it('are known by name', () => {
    expect(evaluate('CONTAINER_NEW_PID_NS|CONTAINER_NEW_FS_NS|0x100')).toBe(0x141n);
    expect(evaluate('CLONE_IO')).toBe(0x80000000n);
    expect(evaluate('AT_FDCWD')).toBe(-100n);
    expect(evaluate('SIGCHLD|NOPE')).toBeUndefined();
    expect(constant('SIGKILL')).toBe(9n);
    expect(errnoNumber('EAGAIN')).toBe(11);
    expect(errnoNumber('EWOULDBLOCK')).toBe(11);
    expect([signalName(17), signalName(34), signalName(99)]).toEqual(['SIGCHLD', 'SIGRT_2', '99']);
  });
});
