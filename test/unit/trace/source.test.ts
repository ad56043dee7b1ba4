import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import * as zlib from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { indexForks } from '../../../host/trace/index.ts';
import { LineSplitter } from '../../../host/trace/lines.ts';
import { openSource, SourceError, sourceHead } from '../../../host/trace/source.ts';
import { Spill } from '../../../host/trace/source/spill.ts';
import { StraceLog } from '../../../host/trace/strace.ts';
import type { TraceSource } from '../../../host/trace/source.ts';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'bulkhead-test-'));
afterAll(() => fs.rmSync(dir, { recursive: true, force: true }));

const LOG =
  '5 fork() = 6\n6 exit_group(1) = ?\n6 +++ exited with 1 +++\n' +
  '5 wait4(-1, NULL, 0, NULL) = 6\n';

function put(name: string, content: string | Uint8Array): string {
  const file = path.join(dir, name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content);
  return file;
}

async function texts(source: TraceSource): Promise<string[]> {
  const out: string[] = [];
  for await (const line of new StraceLog(source)) out.push(line.text);
  return out;
}

async function* pieces(content: Uint8Array, size: number): AsyncIterable<Uint8Array> {
  for (let i = 0; i < content.length; i += size) yield content.subarray(i, i + size);
}

describe('sources', () => {
  it('reads standard input twice, after a look at its head, plain and packed', async () => {
    for (const content of [Buffer.from(LOG), zlib.gzipSync(LOG)]) {
      const source = await openSource(['-'], { stdin: pieces(content, 7) });
      expect(Buffer.from(await sourceHead(source, 10)).toString()).toBe(LOG.slice(0, 10));
      const index = await indexForks(new StraceLog(source));
      expect(index.forks.get(1)).toMatchObject({ pid: 5, child: 6 });
      expect((await texts(source)).join('\n') + '\n').toBe(LOG);
      expect((await texts(source)).length).toBe(4);
      source.close();
    }
  });

  it('reads what is there of a packed file that was cut off, with a warning', async () => {
    const text = LOG.repeat(2000).replace(/6/g, () => String(Math.floor(Math.random() * 9)));
    const packed = zlib.gzipSync(text);
    const file = put('cut.gz', packed.subarray(0, packed.length >> 1));
    const source = await openSource([file]);
    const lines = await texts(source);
    expect(lines.length).toBeGreaterThan(100);
    expect(source.warnings.length).toBe(1);
  });

  it('merges a set by time, and says when it cannot', async () => {
    const timed = path.join(dir, 'timed');
    put('timed/t.5', '10:00:00 fork() = 6\n10:00:03 wait4(-1, NULL, 0, NULL) = 6\n');
    put(
      'timed/t.6',
      '10:00:01 getpid() = 6\n10:00:02 exit_group(0) = ?\n' + '10:00:02 +++ exited with 0 +++\n',
    );
    for (const name of [timed, path.join(timed, 't')]) {
      const log = new StraceLog(await openSource([name]));
      const got: [number, number, number][] = [];
      for await (const line of log) got.push([line.pid, line.line, line.seq]);
      expect(got).toEqual([
        [5, 1, 1],
        [6, 1, 2],
        [6, 2, 3],
        [6, 3, 4],
        [5, 2, 5],
      ]);
      expect(log.ordered).toBe(true);
    }
    put('untimed/t.6', 'fork() = 5\n');
    put('untimed/t.5', 'getpid() = 5\n');
    const log = new StraceLog(await openSource([path.join(dir, 'untimed')]));
    const index = await indexForks(log);
    expect(log.ordered).toBe(false);
    expect(index.forks.get(2)).toMatchObject({ pid: 6, child: 5 });
    expect(index.firstPid).toBe(6);
  });

  it('tells by when the calls of a merged set were over', async () => {
    put('until/t.5', '10:00:00.5 a() = 6 <1.6>\n10:00:03 b() = 6\n10:00:04 c() = 6\n');
    put('until/t.6', '10:00:01 d() = 6\n');
    const got: [number, number][] = [];
    for await (const line of new StraceLog(await openSource([path.join(dir, 'until')]))) {
      got.push([line.untilSec - 36000, Math.round(line.untilNsec / 1e6)]);
    }
    expect(got[0]).toEqual([2, 100]);
    expect(got[2]).toEqual([4, 0]);
  });

  it('refuses what is no trace with a clear error', async () => {
    await expect(openSource([])).rejects.toThrow(SourceError);
    await expect(openSource([path.join(dir, 'nothing')])).rejects.toThrow(/no such file/);
    await expect(openSource([put('a.xz', Buffer.from('fd377a585a0000', 'hex'))])).rejects.toThrow(
      /not supported/,
    );
    fs.mkdirSync(path.join(dir, 'empty'));
    await expect(openSource([path.join(dir, 'empty')])).rejects.toThrow(/no logs/);
    const source = await openSource([put('empty.strace', '')]);
    expect(await texts(source)).toEqual([]);
  });

  it('keeps bytes as they are', async () => {
    const bytes = Buffer.from('1 write(1, "\xff\xfe\0", 3) = 3\r\n', 'latin1');
    const [line] = await texts(await openSource([put('bytes', bytes)]));
    expect(line).toBe('1 write(1, "\xff\xfe\0", 3) = 3');
  });
});

describe('parts', () => {
  it('splits lines over any chunks', () => {
    for (const size of [1, 2, 3, 5, 64, 1000]) {
      const splitter = new LineSplitter();
      const out: string[] = [];
      const content = Buffer.from(`${LOG}tail`);
      for (let i = 0; i < content.length; i += size) {
        out.push(...splitter.push(content.subarray(i, i + size)));
      }
      out.push(splitter.end() ?? '');
      expect(out.join('\n')).toBe(`${LOG}tail`);
    }
  });

  it('spills to a file and reads ranges back', () => {
    const spill = new Spill(10, 4);
    for (const text of ['abc', 'defgh', 'ijklmnop', 'q']) spill.append(Buffer.from(text));
    const range = (from: number, to: number): string =>
      Buffer.concat([...spill.read(from, to, 4)]).toString();
    expect(range(0, spill.size)).toBe('abcdefghijklmnopq');
    expect(range(2, 9)).toBe('cdefghi');
    spill.close();
    const small = new Spill();
    for (const text of ['abc', 'defgh', 'ijk']) small.append(Buffer.from(text));
    expect(Buffer.concat([...small.read(1, 10, 4)]).toString()).toBe('bcdefghij');
  });
});
