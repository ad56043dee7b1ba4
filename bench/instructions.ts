// Instructions per operation, a measure that repeats: wasm2c turns the release kernel into C, the
// host's compiler makes a program of it, callgrind counts. bench/instructions.json has the numbers
// that hold; `npm run instructions` prints those of now beside them, `-- --write` makes them hold.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where wabt keeps the C files that belong to what wasm2c writes. */
const RUNTIMES = ['/usr/share/wabt/wasm2c', '/usr/local/share/wabt/wasm2c'];
const SOURCES = 'bench/wasm2c';
const COMMITTED = 'bench/instructions.json';
/** How much a count may rise. */
export const TOLERANCE = 1.03;

export type Counts = Record<string, number>;

export interface Committed {
  /** what the counts depend on beside the kernel */
  compiler: string;
  wasm2c: string;
  counts: Counts;
}

function output(command: string, ...args: string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch {
    return undefined;
  }
}

const firstLine = (text: string | undefined): string => text?.split('\n')[0]?.trim() ?? '';
const runtime = (): string | undefined => RUNTIMES.find((path) => existsSync(path));

export const tools = (): { compiler: string; wasm2c: string } => ({
  compiler: firstLine(output('cc', '--version')),
  wasm2c: firstLine(output('wasm2c', '--version')),
});

/** What counting needs and this machine has not. */
export function missingTools(): string[] {
  const { compiler, wasm2c } = tools();
  const missing: string[] = [];
  if (!compiler) missing.push('cc');
  if (!wasm2c || !runtime()) missing.push('wasm2c');
  if (!output('valgrind', '--version')) missing.push('valgrind');
  else if (!existsSync('/usr/include/valgrind/callgrind.h')) missing.push('callgrind.h');
  return missing;
}

export function committed(): Committed {
  return JSON.parse(readFileSync(COMMITTED, 'utf8')) as Committed;
}

/** Makes `folder`/count of the module: wasm2c's C, the driver, wabt's runtime. */
export function compile(wasm: string, folder: string): string {
  const source = join(folder, 'kernel.c');
  execFileSync('wasm2c', ['--module-name=kernel', wasm, '-o', source]);
  const old = readFileSync(join(folder, 'kernel.h'), 'utf8').includes('Z_kernel_instance_t');
  const support = runtime()!;
  const files = readdirSync(support)
    .filter((name) => /^wasm-rt-.*impl\.c$/.test(name))
    .map((name) => join(support, name));
  const program = join(folder, 'count');
  const args = ['-O2', '-w', `-I${folder}`, '-Iinclude', `-I${support}`];
  if (old) args.push('-DWABT_OLD_NAMES');
  args.push(source, `${SOURCES}/machine.c`, `${SOURCES}/instructions.c`, ...files);
  execFileSync('cc', [...args, '-lm', '-o', program]);
  return program;
}

/** Instructions per operation of the module at `wasm`. */
export function countInstructions(wasm = 'build/kernel.wasm'): Counts {
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-count-'));
  try {
    const program = compile(wasm, folder);
    const out = join(folder, 'out');
    const args = ['--tool=callgrind', `--callgrind-out-file=${out}`, program];
    const stdio = ['ignore', 'pipe', 'pipe'] as const;
    const names = execFileSync('valgrind', args, { encoding: 'utf8', stdio: [...stdio] });
    return Object.fromEntries(
      names.split('\n').flatMap((line, i) => {
        const [, name, operations] = /^(.+) (\d+)$/.exec(line) ?? [];
        if (name === undefined) return [];
        const total = /^(?:summary|totals): (\d+)/m.exec(readFileSync(`${out}.${i + 1}`, 'utf8'));
        return [[name, Math.round((Number(total?.[1]) / Number(operations)) * 10) / 10]];
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Prints the counts of now beside those that hold. */
export function report(argv: readonly string[]): void {
  const missing = missingTools();
  if (missing.length) {
    console.log(`instructions: skipped, there is no ${missing.join(', no ')}`);
    return;
  }
  const counts = countInstructions();
  const before = existsSync(COMMITTED) ? committed().counts : {};
  for (const [name, count] of Object.entries(counts)) {
    const old = before[name];
    const ratio = old === undefined ? '' : `${(count / old).toFixed(3)} of ${old}`;
    console.log(`${name.padEnd(28)} ${count.toFixed(1).padStart(9)} ${ratio}`.trimEnd());
  }
  if (!argv.includes('--write')) return;
  writeFileSync(COMMITTED, `${JSON.stringify({ ...tools(), counts }, null, 2)}\n`);
}
