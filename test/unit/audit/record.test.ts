// Protects: a record is read whatever wrote it, its fields mean what audit means by them, and what
// a program chose cannot pass for what the kernel wrote.
import { describe, expect, it } from 'vitest';
import { EventAssembler } from '../../../host/trace/audit/assemble.ts';
import { callFacts } from '../../../host/trace/audit/facts.ts';
import {
  archOf,
  encodeUntrusted,
  execArgs,
  field,
  idField,
  numberField,
  proctitle,
  untrusted,
  userField,
} from '../../../host/trace/audit/fields.ts';
import { isSeparator, parseRecord } from '../../../host/trace/audit/record.ts';
import { decodeSaddr, showSaddr } from '../../../host/trace/audit/saddr.ts';
import { detectFormat } from '../../../host/trace/detect.ts';

const read = (text: string) => parseRecord(text, 1, 0);
const must = (text: string) => {
  const record = read(text);
  expect(record, text).toBeDefined();
  return record!;
};

describe('headers', () => {
  it('of the daemon, with and without a machine', () => {
    const record = must('type=CWD msg=audit(1795478082.846:228): cwd="/tmp/x"');
    expect(record).toMatchObject({
      type: 'CWD',
      sec: 1795478082,
      msec: 846,
      serial: 228,
      node: '',
    });
    expect(record.form).toBe('raw');
    const there = must('node=web-3.local type=EOE msg=audit(1.5:7): ');
    expect(there).toMatchObject({ node: 'web-3.local', type: 'EOE', sec: 1, msec: 5, serial: 7 });
  });

  it('of the kernel log, whatever syslog puts in front', () => {
    const body = 'audit: type=1300 audit(17.046:9): arch=c000003e syscall=39 pid=4';
    for (const front of [
      '',
      '[   12.345678] ',
      '<6>[1.2] ',
      'Nov 23 04:05:06 box kernel: [ 1.2] ',
    ]) {
      const record = must(front + body);
      expect(record).toMatchObject({
        form: 'kernel',
        type: 'SYSCALL',
        sec: 17,
        msec: 46,
        serial: 9,
      });
      expect(field(record, 'pid')).toBe('4');
    }
    const daemon = 'Nov 23 04:05:06 box audispd: node=a type=CWD msg=audit(1.000:2): cwd="/"';
    expect(must(daemon)).toMatchObject({ node: 'a', type: 'CWD' });
  });

  it('of ausearch, with the dates of several locales', () => {
    const at = Date.UTC(2026, 10, 23, 23, 54, 43) / 1000;
    const dates = [
      '11/23/26 23:54:43.826',
      '11/23/2026 23:54:43.826',
      '23.11.2026 23:54:43.826',
      '23/11/26 23:54:43.826',
      '2026-11-23 23:54:43.826',
      '11/23/2026 11:54:43.826 PM',
    ];
    for (const date of dates) {
      const record = must(`type=CWD msg=audit(${date}:586) : cwd=/tmp/x `);
      expect([record.sec, record.msec, record.serial], date).toEqual([at, 826, 586]);
      expect(record.form).toBe('interpreted');
    }
  });

  it('with numbers for types', () => {
    expect(must('type=UNKNOWN[1300] msg=audit(1.0:1): ').type).toBe('SYSCALL');
    expect(must('type=1317 msg=audit(1.0:1): ').type).toBe('FD_PAIR');
    expect(must('type=UNKNOWN[1999] msg=audit(1.0:1): ').type).toBe('UNKNOWN[1999]');
  });

  it('that are none', () => {
    const lines = [
      'type=SYSCALL msg=audit(99/99/99 99:99:99.0:1) : x',
      'type=SYSCALL msg=audit(:1): x',
      'hello type=SYSCALL msg=audit(1.0:1): pid=1',
      'a=b kernel: type=SYSCALL msg=audit(1.0:1): pid=1',
      'type=SYSCALL',
    ];
    for (const line of lines) expect(read(line), line).toBeUndefined();
    expect(['----', 'time->Mon Nov 23 23:54:43 2026', ''].every(isSeparator)).toBe(true);
    expect(isSeparator('-- x')).toBe(false);
  });
});

describe('fields', () => {
  const enriched = must(
    'type=SYSCALL msg=audit(1.0:1): pid=7 auid=4294967295 comm="a=b" exe=2F62206322 key=(null)' +
      '\x1dARCH=x86_64 AUID="unset"',
  );

  it('end at the separator of what the daemon added', () => {
    expect(field(enriched, 'ARCH')).toBeUndefined();
    expect(enriched.tail).toContain('ARCH=x86_64');
    expect(numberField(enriched, 'pid')).toBe(7);
    expect(idField(enriched, 'auid')).toBe(0xffffffff);
  });

  it('hold strings as audit writes them', () => {
    expect(untrusted(enriched, 'comm')).toBe('a=b');
    expect(untrusted(enriched, 'exe')).toBe('/b c"');
    expect(untrusted(enriched, 'key')).toBeUndefined();
    expect(untrusted(enriched, 'cwd')).toBeUndefined();
    for (const text of ['plain', 'two words', 'a"b', 'new\nline', '\xc3\xa4', '']) {
      const record = must(`type=CWD msg=audit(1.0:1): cwd=${encodeUntrusted(text)} x=1`);
      expect(untrusted(record, 'cwd')).toBe(text);
      expect(numberField(record, 'x')).toBe(1);
    }
    expect(encodeUntrusted('two words')).toBe('74776F20776F726473');
  });

  it("of a user message cannot pass for the kernel's", () => {
    const record = must(
      'type=USER_CMD msg=audit(1.0:1): uid=0 ses=2 msg=\'cwd="/" pid=66 cmd=6C73 res=success\'',
    );
    expect(numberField(record, 'pid')).toBeUndefined();
    expect(userField(record, 'pid')).toBe('66');
    expect(userField(record, 'res')).toBe('success');
  });

  it('of an interpreted record may hold spaces', () => {
    const record = must(
      'type=SYSCALL msg=audit(11/23/26 23:54:43.826:1) : arch=x86_64 syscall=execve success=no ' +
        'exit=ENOENT(No such file or directory) a0=0x7f a1=SIGTERM a2=0x0 a3=0x0 items=1 ppid=2 ' +
        'pid=3 auid=unset uid=root gid=unknown(4243) comm=my prog exe=/bin/x y key=proc ',
    );
    const facts = callFacts(record)!;
    expect(facts).toMatchObject({ pid: 3, ppid: 2, name: 'execve', errno: 'ENOENT', nr: 59 });
    expect(facts.args).toEqual([0x7fn, 15n, 0n, 0n]);
    expect([facts.auid, facts.uid, idField(record, 'gid')]).toEqual([0xffffffff, 0, 4243]);
    expect([facts.comm, untrusted(record, 'exe')]).toEqual(['my prog', '/bin/x y']);
  });
});

describe('values', () => {
  const facts = (body: string) => callFacts(must(`type=SYSCALL msg=audit(1.0:1): ${body} pid=1`))!;

  it('name the call by the table of its machine', () => {
    expect(facts('arch=c000003e syscall=59 exit=0').name).toBe('execve');
    expect(facts('arch=40000003 syscall=11 exit=0').name).toBe('execve');
    expect(facts('arch=c00000b7 syscall=221 exit=0').name).toBe('221@other');
    expect(facts('arch=c000003e syscall=1073741825 exit=0').name).toBe('x32_1');
    expect(facts('arch=c000003e syscall=9999 exit=-38 success=no').name).toBe('syscall_9999');
    expect([archOf('i386'), archOf('aarch64')]).toEqual(['i386', undefined]);
  });

  it('tell errors, restarts, large results and none at all apart', () => {
    const result = (body: string) => {
      const { retKind, ret, errno } = facts(`arch=c000003e syscall=9 ${body}`);
      return [retKind, ret, errno];
    };
    expect(result('success=no exit=-2')).toEqual(['error', -1, 'ENOENT']);
    expect(result('success=no exit=-512')).toEqual(['restart', undefined, 'ERESTARTSYS']);
    expect(result('success=yes exit=-2')).toEqual(['value', -2, undefined]);
    expect(result('success=yes exit=140737351880704')).toEqual([
      'value',
      140737351880704,
      undefined,
    ]);
    expect(result('success=yes exit=-9223372036854775808')[1]).toBe(-(2n ** 63n));
    expect(result('a0=0')).toEqual(['unknown', undefined, undefined]);
  });

  it('of command lines', () => {
    const title = (text: string) => proctitle(must(`type=PROCTITLE msg=audit(1.0:1): ${text}`));
    expect(title('proctitle=6C73002D6C0061206200')).toEqual(['ls', '-l', 'a b']);
    expect(title('proctitle="bash"')).toEqual(['bash']);
    const exec = (text: string) => must(`type=EXECVE msg=audit(1.0:1): ${text}`);
    const long = [
      exec('argc=3 a0="x" a1_len=6 a1[0]=6162 a1[1]="cd"'),
      exec('a1[2]=6566 a2="z=1"'),
    ];
    expect(execArgs(long)).toEqual(['x', 'abcdef', 'z=1']);
  });

  it('of socket addresses', () => {
    const show = (hex: string) => {
      const address = decodeSaddr(hex);
      return address && showSaddr(address);
    };
    expect(show('01002F72756E2F73000000')).toBe('{sa_family=AF_UNIX, sun_path="/run/s"}');
    expect(decodeSaddr('0100006162')).toEqual({ family: 1, path: '@ab' });
    expect(show('020001BB7F0000010000000000000000')).toBe(
      '{sa_family=AF_INET, addr="127.0.0.1", port=443}',
    );
    const six = (host: string) => decodeSaddr(`0A000050${'00000000'}${host}00000000`)?.host;
    expect(six('20010DB8000000000000000000000001')).toBe('2001:db8::1');
    expect(six('00000000000000000000000000000000')).toBe('::');
    expect(six('FE800000000000000000000000000000')).toBe('fe80::');
    expect(six('00010002000300040005000600070008')).toBe('1:2:3:4:5:6:7:8');
    expect(show('1000')).toBe('{sa_family=AF_NETLINK}');
    expect([show('zz'), show('01'), decodeSaddr(undefined)]).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(decodeSaddr('0200')).toEqual({ family: 2 });
  });
});

describe('events', () => {
  const record = (type: string, serial: number, sec = 10, node = '') =>
    must(`${node && `node=${node} `}type=${type} msg=audit(${sec}.000:${serial}): x=1`);
  const feed = (...lines: [type: string, serial: number, sec?: number, node?: string][]) => {
    const assembler = new EventAssembler();
    const out = lines.flatMap((line) => assembler.add(record(...line)) ?? []);
    const events = [...out, ...assembler.finish()].flatMap((item) => item.event ?? []);
    const shown = events.map((one) => `${one.node}${one.serial}:${one.records.length}`);
    return { early: out.length, shown };
  };

  it('are put together from interleaved records', () => {
    const { shown, early } = feed(
      ['SYSCALL', 1],
      ['SYSCALL', 2],
      ['CWD', 1],
      ['PROCTITLE', 2],
      ['PROCTITLE', 1],
      ['USER_LOGIN', 3],
    );
    expect(shown).toEqual(['1:3', '2:2', '3:1']);
    expect(early).toBe(3);
  });

  it('of two machines are two, though their serials are one', () => {
    expect(feed(['SYSCALL', 1, 10, 'a'], ['SYSCALL', 1, 10, 'b']).shown).toEqual(['a1:1', 'b1:1']);
  });

  it('without a last record end when the log goes on', () => {
    const { early } = feed(['SYSCALL', 1, 10], ['CWD', 1, 10], ['SYSCALL', 2, 13]);
    expect(early).toBe(1);
    // a mangled time makes nothing old but itself
    expect(feed(['SYSCALL', 1], ['SYSCALL', 9, 99999], ['CWD', 1], ['PROCTITLE', 1]).shown).toEqual(
      ['1:1', '9:1'],
    );
  });

  it('are whole in the order of ausearch, which is backwards', () => {
    const { early, shown } = feed(['PROCTITLE', 1], ['CWD', 1], ['SYSCALL', 1], ['PROCTITLE', 2]);
    expect([early, shown[0]]).toEqual([1, '1:3']);
  });

  it('stay bounded, and late records are told', () => {
    const assembler = new EventAssembler();
    let most = 0;
    for (let serial = 1; serial <= 2000; ++serial) {
      most = Math.max(most, assembler.add(record('SYSCALL', serial))!.length);
    }
    expect(most).toBe(1);
    expect(assembler.add(record('CWD', 1500))).toBeUndefined();
    assembler.finish();
    let events = 0;
    let late = 0;
    for (let i = 0; i < 2000; ++i) {
      const done = assembler.add(record('PATH', 3000));
      if (done === undefined) late += 1;
      else events += done.reduce((sum, one) => sum + one.event!.records.length, 0);
    }
    expect(events + late).toBe(2000);
    expect(events).toBeLessThan(600);
  });
});

describe('formats', () => {
  it('are told apart by their first lines', () => {
    expect(detectFormat('type=SYSCALL msg=audit(1.000:1): arch=c000003e')).toBe('audit');
    expect(detectFormat('[ 1.2] audit: type=1300 audit(1.000:1): arch')).toBe('audit');
    expect(detectFormat('----\ntype=CWD msg=audit(11/23/26 23:54:43.826:586) : cwd=/')).toBe(
      'ausearch',
    );
  });
});
