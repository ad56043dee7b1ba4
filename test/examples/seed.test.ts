// Protects: the proposal's example program runs as machine code, on the example's processor and on
// the real one, with every call answered by the kernel through the public API.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CC_FLAGS } from '../../examples/seed/run.mjs';

const missing = (tool: string): boolean => spawnSync(tool, ['--version']).error !== undefined;
const foreign = process.arch !== 'x64' || process.platform !== 'linux';
const noCompiler = missing('cc') || process.arch !== 'x64' ? ' (skipped: no cc for x86-64)' : '';
const noServer =
  noCompiler || foreign || missing('gdbserver') ? ' (skipped: no gdbserver for x86-64)' : '';

const ABIS = ['howells-2017-example', 'howells-2017'];
/** What the program and its shell print; `references` of .init. */
const OUTPUT = `foo-test is descriptor 3
NAME                               ID USE FL OWNER GROUP
<current>                           1   4 01     0     0
foo-test                            2   1 04     0     0
container> pid 1
parent 0
user 65534
NAME                               ID USE FL OWNER GROUP
<current>                           2   2 05 65534 65534
bash ended with code 7
`;

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'bulkhead-seed-'))));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['examples/seed/run.mjs', ...args], { encoding: 'utf8' });

/** Compiles C text, or a file. Return: the program's path. */
function compile(name: string, source: string, flags: string[] = []): string {
  const program = join(folder, name);
  const file = source.endsWith('.c') ? source : `${program}.c`;
  if (file !== source) writeFileSync(file, source);
  execFileSync('cc', [...CC_FLAGS, ...flags, '-o', program, file]);
  return program;
}

const START = '__asm__(".globl _start\\n_start:\\n';
const assembly = (text: string): string => `${START} ${text.replaceAll('\n', '\\n')}\\n");`;

describe(`the seed's program${noCompiler}`, () => {
  // spec: D-33; the example program as machine code
  it.skipIf(noCompiler).each(ABIS)('runs as an ELF file by the numbers of %s', (abi) => {
    const { status, stdout, stderr } = run('--abi', abi);
    expect([stderr, stdout, status]).toEqual(['', OUTPUT, 0]);
  });

  it.skipIf(noCompiler)('fails where its numbers are other calls', () => {
    const program = compile('other', 'examples/seed/seed.c');
    const { status, stdout } = run('--abi', 'howells-2017', program);
    // 333 is fsopen there, and no file system is called foo-test
    expect([status, stdout]).toEqual([1, 'container_create: errno 19\n']);
  });
});

const PROCESSES = `child 2
read 1
byte 120
own memory 1
stop 0
stopped 2
status 4991
continue 0
continued 2
kill 0
wait4 2
status 9
nobody -10
no call -38
bad address -14
`;

describe(`the example's machine${noCompiler}`, () => {
  it.skipIf(noCompiler)('has processes that sleep, wake, copy their memory and are killed', () => {
    const { status, stdout, stderr } = run(compile('processes', 'test/examples/processes.c'));
    expect([stderr, stdout, status]).toEqual(['', PROCESSES, 3]);
  });

  it.skipIf(noCompiler)('says who waits for what, when nobody can go on', () => {
    const text =
      'push $0\nmov %rsp, %rdi\nmov $22, %eax\nsyscall\nmov (%rsp), %edi\nxor %eax, %eax\n';
    const rest = 'lea -64(%rsp), %rsi\nmov $1, %edx\nsyscall';
    const { status, stderr } = run(compile('deadlock', assembly(text + rest)));
    expect([stderr, status]).toEqual(['run.mjs: everybody waits: 1 in read\n', 1]);
  });
});

describe(`on the real processor${noServer}`, () => {
  const native = (...args: string[]) => run('--native', ...args);
  // spec: the example program on the real processor
  it.skipIf(noServer).each(ABIS)('the seed’s program runs by the numbers of %s', (abi) => {
    const { status, stdout, stderr } = native('--abi', abi);
    expect([stderr, stdout, status]).toEqual(['', OUTPUT, 0]);
  });

  it.skipIf(noServer)('processes sleep, wake and are killed by the kernel’s word', () => {
    const { status, stdout, stderr } = native(compile('processes', 'test/examples/processes.c'));
    expect([stderr, stdout, status]).toEqual(['', PROCESSES, 3]);
  });

  it.skipIf(noServer)('a fault is the kernel’s signal', () => {
    const { status, stderr } = native(
      compile('fault', assembly('xor %eax, %eax\nmov (%rax), %eax')),
    );
    expect([stderr, status]).toEqual(['', 139]);
  });
});

describe(`the example's processor${noCompiler}`, () => {
  it.skipIf(noCompiler).each(['-O0', '-O1', '-O2', '-Os'])(
    'computes as the real one, %s',
    (level) => {
      const flags = [level, '-fno-tree-loop-distribute-patterns'];
      const program = compile('arithmetic', 'test/examples/arithmetic.c', flags);
      const real = spawnSync(program, { encoding: 'utf8' });
      const { status, stdout, stderr } = run(program);
      expect([stderr, stdout, status]).toEqual(['', real.stdout, real.status]);
      expect(stdout).toMatch(/^w [0-9a-f]{16}\nf [0-9a-f]{16}\nb [0-9a-f]{16}\n$/);
    },
  );

  it.skipIf(noCompiler).each([
    ['cpuid', / unknown instruction at 0x401000: 0f a2 \(Cpuid\)\n$/],
    ['movups (%rsp), %xmm0', /: 0f 10 04 24 \(Movups of a vector/],
    ['mov %fs:0, %rax', /: 64 48 8b 04 25 00 00 00 00 \(Mov with a segment\)/],
    ['.byte 6, 0x90', /: 06 90 \(no instruction\)/],
    ['push %ax', /: 66 50 \(Push\)/],
  ])('refuses %s, with address and bytes', (text, message) => {
    const { status, stderr } = run(compile('unknown', assembly(text)));
    expect(stderr).toMatch(message);
    expect(status).toBe(1);
  });

  it.skipIf(noCompiler).each([
    ['a read of nothing', 'xor %eax, %eax\nmov (%rax), %eax', 139],
    ['a write into code', 'movb $0, _start(%rip)', 139],
    ['a jump into data', 'jmp *%rsp', 139],
    ['a division by zero', 'xor %ecx, %ecx\ndiv %ecx', 136],
  ])('ends a program by its signal: %s', (_what, text, status) => {
    expect(run(compile('fault', assembly(text))).status).toBe(status);
  });
});
