// Programs that are compiled for a run: the C twin, the shipped module after wasm2c, the machine's
// own fork. What the machine has no compiler for is left out, with the reason.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { naturalHeader } from './natural.ts';
import type { VariantName } from './suite.ts';

/** The package's folder, from dist/ as well as from the sources. */
function packageRoot(): string {
  for (const up of ['../', '../../']) {
    const folder = fileURLToPath(new URL(up, import.meta.url));
    if (existsSync(join(folder, 'bench/native/twin.c'))) return folder;
  }
  throw new Error('bench/native is missing beside this program');
}

/** A program, or why there is none. */
export type Built = { program: string; flags?: string } | { skipped: string };

interface Tool {
  command: string;
  version: string;
}

function tool(command: string, args = ['--version']): Tool | undefined {
  const { error, status, stdout } = spawnSync(command, args, { encoding: 'utf8' });
  if (error || status !== 0) return undefined;
  return { command, version: stdout.split('\n')[0]!.trim() };
}

const WARNINGS = ['-Wall', '-Wextra', '-Wno-unused-function', '-Wno-array-bounds'];
/** Links of 32 bits are stored as numbers, so the compiler must not reason by types. */
const COMMON = ['-std=gnu11', '-O3', '-fno-strict-aliasing', '-fno-pie', '-no-pie'];
const WABT_FOLDERS = ['/usr/share/wabt/wasm2c', '/usr/local/share/wabt/wasm2c', '/usr/src/wasm2c'];

export class Toolchain {
  readonly #out: string;
  readonly #root = packageRoot();
  readonly cc = tool(process.env.CC ?? 'cc');
  readonly clang = tool('clang');
  readonly wasm2c = tool('wasm2c');
  readonly #march: string[];

  /** `out`: a folder for what is compiled. */
  constructor(out: string) {
    this.#out = out;
    mkdirSync(out, { recursive: true });
    this.#march = this.cc && this.#compile('march', ['-march=native']) ? ['-march=native'] : [];
  }

  get wasmBytes(): Buffer {
    return readFileSync(join(this.#root, 'build/kernel.wasm'));
  }

  /** Does an empty program compile with these options? */
  #compile(name: string, args: string[]): boolean {
    const source = join(this.#out, `${name}.c`);
    writeFileSync(source, 'int main(void) { return 0; }\n');
    const done = spawnSync(this.cc!.command, [...args, source, '-o', join(this.#out, name)]);
    return done.status === 0;
  }

  #source(name: string): string {
    return join(this.#root, 'bench/native', name);
  }

  #run(command: string, args: string[]): string | undefined {
    const done = spawnSync(command, args, { encoding: 'utf8' });
    if (done.error) return done.error.message;
    return done.status === 0 ? undefined : `${command} failed: ${done.stderr.slice(0, 500)}`;
  }

  #cc(name: string, sources: string[], flags: string[]): Built {
    if (!this.cc) return { skipped: 'no cc' };
    const program = join(this.#out, name);
    const all = [...COMMON, ...this.#march, ...flags];
    const include = [`-I${join(this.#root, 'include')}`, `-I${join(this.#root, 'bench/native')}`];
    const failed = this.#run(this.cc.command, [...all, ...include, ...sources, '-o', program]);
    const shown = all.filter((flag) => !/^-(W|w|I|D)/.test(flag)).join(' ');
    return failed ? { skipped: failed } : { program, flags: shown };
  }

  #pointers(): Built {
    const folder = join(this.#out, 'natural');
    mkdirSync(folder, { recursive: true });
    const layout = readFileSync(join(this.#root, 'include/layout.json'), 'utf8');
    const header = readFileSync(join(this.#root, 'include/bulkhead.h'), 'utf8');
    writeFileSync(join(folder, 'natural.h'), naturalHeader(layout, header));
    const sources = ['drive.c', 'twin.c'].map((name) => this.#source(name));
    return this.#cc('pointers', sources, [...WARNINGS, '-DNATURAL', `-I${folder}`]);
  }

  #wasm2c(): Built {
    if (!this.cc) return { skipped: 'no cc' };
    if (!this.wasm2c) return { skipped: 'no wasm2c (Debian package wabt)' };
    const runtime = WABT_FOLDERS.find((folder) => existsSync(join(folder, 'wasm-rt-impl.c')));
    if (!runtime) return { skipped: 'no run time of wasm2c (wasm-rt-impl.c)' };
    const made = join(this.#out, 'kernel.c');
    const module = join(this.#root, 'build/kernel.wasm');
    const failed = this.#run(this.wasm2c.command, [module, '-n', 'kernel', '-o', made]);
    if (failed) return { skipped: failed };
    const names = readFileSync(join(this.#out, 'kernel.h'), 'utf8').includes('Z_kernel');
    const sources = [this.#source('drive.c'), made, join(runtime, 'wasm-rt-impl.c')];
    const flags = ['-w', '-DWASM2C', ...(names ? ['-DWABT_Z'] : [])];
    return this.#cc('wasm2c', [...sources, '-lm'], [...flags, `-I${this.#out}`, `-I${runtime}`]);
  }

  #clangWasm(): Built {
    if (!this.clang) return { skipped: 'no clang' };
    const program = join(this.#out, 'twin.wasm');
    const flags = ['--target=wasm32', '-O3', '-fno-strict-aliasing', '-nostdlib', '-mbulk-memory'];
    const link = ['-Wl,--no-entry', '-Wl,--export-all', '-Wl,--initial-memory=2097152'];
    const include = [`-I${join(this.#root, 'include')}`, '-ffreestanding'];
    const args = [...flags, ...link, ...include, this.#source('twin.c'), '-o', program];
    const failed = this.#run(this.clang.command, args);
    return failed ? { skipped: failed } : { program, flags: flags.join(' ') };
  }

  /** The program of a variant; undefined for those that run in Node. */
  build(variant: VariantName): Built | undefined {
    const twin = ['drive.c', 'twin.c'].map((name) => this.#source(name));
    if (variant === 'native') return this.#cc('native', twin, WARNINGS);
    if (variant === 'native-direct') {
      return this.#cc('native-direct', twin, [...WARNINGS, '-DDIRECT']);
    }
    if (variant === 'pointers') return this.#pointers();
    if (variant === 'wasm2c') return this.#wasm2c();
    if (variant === 'clang-wasm') return this.#clangWasm();
    if (variant === 'real') return this.#cc('real', [this.#source('real.c')], WARNINGS);
    return undefined;
  }
}
