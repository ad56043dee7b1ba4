// The proposal's example program as machine code: compiled, run, and every call of it answered by
// Bulkhead. Usage: node examples/seed/run.mjs [--abi NAME] [--native] [PROGRAM [ARGUMENT...]]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { syscallTable } from 'bulkhead';
import { Interpreter } from '../machine/interpreter.mjs';
import { Machine } from '../machine/machine.mjs';
import { Native } from '../machine/native.mjs';

const SOURCE = fileURLToPath(new URL('seed.c', import.meta.url));
/** A program without a C library, at fixed addresses, of general registers alone. */
export const CC_FLAGS = [
  ...['-O1', '-Wall', '-Wextra', '-Werror', '-static', '-nostdlib', '-ffreestanding'],
  ...['-fno-pie', '-no-pie', '-mgeneral-regs-only', '-fno-stack-protector'],
  '-fno-asynchronous-unwind-tables',
];

/** Compiles `source` for a table's numbers. Return: the ELF file's path. */
export function compile(folder, abi, flags = []) {
  const { byName } = syscallTable(abi, true);
  const numbers = ['container_create', 'fork_into_container'].map(
    (name) => `-DNR_${name.toUpperCase()}=${byName.get(name).nr}`,
  );
  const program = join(folder, 'seed');
  execFileSync('cc', [...CC_FLAGS, ...numbers, ...flags, '-o', program, SOURCE]);
  return program;
}

/** Runs an ELF file. Return: the wait status of its first process. */
export async function runProgram(path, { abi, native = false, argv = [path], output }) {
  const processor = native ? new Native() : new Interpreter();
  const programs = new Map([[path, readFileSync(path)]]);
  try {
    const machine = await Machine.boot({ processor, programs, output, abi });
    return await machine.run(path, argv);
  } finally {
    processor.close?.();
  }
}

async function main() {
  const { values, positionals } = parseArgs({
    options: {
      abi: { type: 'string', default: 'howells-2017-example' },
      native: { type: 'boolean', default: false },
    },
    allowPositionals: true,
  });
  const folder = mkdtempSync(join(tmpdir(), 'bulkhead-seed-'));
  try {
    const [path = compile(folder, values.abi), ...rest] = positionals;
    const output = (bytes) => process.stdout.write(bytes);
    const status = await runProgram(path, { ...values, argv: [path, ...rest], output });
    // as a shell has it
    process.exitCode = status & 0x7f ? 128 + (status & 0x7f) : status >> 8;
  } catch (cause) {
    console.error(`run.mjs: ${cause.message}`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
