// Protects: nobody gets out of a container. Each attempt is made in a container of its own and ends
// with the errno that Linux gives; outside nothing has changed. docs/escapes.md has the list.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as E from '../../assembly/uapi/errno.ts';
import * as O from '../../assembly/uapi/fcntl.ts';
import * as OP from '../../assembly/uapi/op.ts';
import { ALL, COUNT, escapesTable } from './escapes.ts';
import { Prison, receiveFile, SECRET, sendFile } from './prison.ts';

describe.each(Object.entries(ALL))('%s', (_group, rows) => {
  it.each(rows.map((row) => [row.what, row] as const))('%s', async (_what, row) => {
    const p = await Prison.build();
    expect(Prison.nameOf(-row.by(p))).toBe(row.errno);
    expect(p.intact()).toEqual([]);
  });
});

it('the document lists every attempt and its errno', () => {
  expect(COUNT).toBeGreaterThanOrEqual(50);
  const text = readFileSync(new URL('../../docs/escapes.md', import.meta.url), 'utf8');
  expect(text).toContain(escapesTable());
  expect(text).toContain(`${COUNT} attempts`);
});

// A descriptor is a capability on Linux: whoever gives one away gives what it opens.
describe('what Linux gives to who gets a directory of the outside', () => {
  /** /public, sent by a process outside in a message to root inside. */
  const sent = async (): Promise<[Prison, number]> => {
    const p = await Prison.build();
    expect(sendFile(p.outer, p.kept.ours, p.outer.open('/public'))).toBe(1);
    const fd = receiveFile(p.root, p.kept.theirs);
    expect(fd).toBeGreaterThan(0);
    return [p, fd];
  };

  it('reads what all may read there', async () => {
    const [p, fd] = await sent();
    expect(p.root.read(p.root.open('key', 0, 0, fd), 64)).toBe(SECRET);
    expect(p.root.call(OP.OP_FCHDIR, fd)).toBe(0);
    expect(p.root.getcwd()).toBe('(unreachable)/public');
  });

  it('and walks up from there, by who it is: nobody outside', async () => {
    const [p, fd] = await sent();
    expect(p.root.open('..', O.O_PATH, 0, fd)).toBeGreaterThan(0);
    expect(p.root.open('../secret/key', 0, 0, fd)).toBe(-E.EACCES);
    expect(p.root.open('../box/x', O.O_CREAT, 0, fd)).toBe(-E.EACCES);
  });

  it('but not with openat2’s RESOLVE_BENEATH', async () => {
    const [p, fd] = await sent();
    expect(p.root.openat2('..', O.O_PATH, 8, fd)).toBe(-E.EXDEV);
  });

  it('and changes nothing', async () => {
    const [p, fd] = await sent();
    expect(p.root.open('key', O.O_WRONLY, 0, fd)).toBe(-E.EACCES);
    expect(p.root.call(OP.OP_UNLINKAT, fd, 'key', 0)).toBe(-E.EACCES);
    expect(p.intact()).toEqual([]);
  });
});
