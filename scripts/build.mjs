// Builds what is older than its sources: the three kernel targets with their layout, the generated
// files, the bundles of the library and the command line, the type declarations.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { run, runAside, setup } from './setup.mjs';

/** All files below `folder` that match, sorted. */
export function files(folder, pattern) {
  const found = readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return files(path, pattern);
    return pattern.test(path) ? [path] : [];
  });
  return found.sort();
}

/** One hash over names and contents: what a build step depends on. */
function digest(names) {
  const hash = createHash('sha256');
  for (const name of names) hash.update(name).update('\0').update(readFileSync(name));
  return hash.digest('hex');
}

/** Runs `step` unless its inputs are those of its last run and its outputs are there. */
async function when(name, inputs, outputs, step) {
  const stamp = `build/.${name}`;
  const now = digest(inputs);
  const fresh = existsSync(stamp) && readFileSync(stamp, 'utf8') === now;
  if (fresh && outputs.every((output) => existsSync(output))) return false;
  rmSync(stamp, { force: true });
  await step();
  writeFileSync(stamp, now);
  return true;
}

const TARGETS = { release: 'kernel.wasm', debug: 'kernel.debug.wasm', smp: 'kernel.smp.wasm' };
const ASC = 'node_modules/assemblyscript/bin/asc.js';

async function compile(target) {
  // expands texts; writes the layout too, which is the same in all targets
  const transform = ['--transform', './host/tools/layout-transform.mjs'];
  const output = await runAside([
    ASC,
    '--config',
    'asconfig.json',
    '--target',
    target,
    ...transform,
  ]);
  // the optimizer remarks on its own progress; only warnings concern a reader
  const told = output.replace(/^Last converge was suboptimal\.\n/gm, '').trim();
  if (told) console.error(told);
}

async function buildKernel() {
  console.error('compiling the kernel: release, debug, smp ...');
  await Promise.all(Object.keys(TARGETS).map(compile));
  const bytes = readFileSync('build/kernel.wasm');
  console.error(`kernel.wasm: ${bytes.length} bytes, ${gzipSync(bytes).length} gzipped`);
}

async function buildHost() {
  const { build } = await import('esbuild');
  const common = {
    bundle: true,
    format: 'esm',
    target: 'es2022',
    sourcemap: true,
    // Node's own modules are loaded where they are used, so that the library runs in a browser too
    external: ['fzstd', 'node:*'],
    logLevel: 'warning',
  };
  await build({ ...common, entryPoints: ['host/index.ts'], outfile: 'dist/index.js' });
  await build({
    ...common,
    entryPoints: ['host/cli/main.ts'],
    outfile: 'dist/cli.js',
    platform: 'node',
    banner: { js: '#!/usr/bin/env node' },
  });
  chmodSync('dist/cli.js', 0o755);
  // what runs in workers: a pool's kernel, and workloads of the command line
  const workers = {
    'pool-worker': 'host/pool-worker.ts',
    'replay-job': 'host/cli/replay-job.ts',
    'bench-workload': 'host/bench/workload.ts',
  };
  await build({ ...common, entryPoints: workers, outdir: 'dist', platform: 'node' });
}

/** Declarations of the library; an import of './x.ts' becomes one of './x.js', as published. */
function buildTypes() {
  rmSync('dist/types', { recursive: true, force: true });
  run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'host/tsconfig.build.json']);
  for (const file of files('dist/types', /\.d\.ts$/)) {
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/((?:from |import\()['"]\.[^'"]*)\.ts(['"])/g, '$1.js$2'));
  }
}

/**
 * Builds what is stale. `types`: also the declarations, which only a package needs; `check`:
 * generated files that are stale fail instead of being written anew.
 */
export async function buildAll({ types = false, check = false } = {}) {
  setup();
  mkdirSync('build', { recursive: true });
  const transforms = files('host/tools', /\.mjs$/);
  const sources = [...files('assembly', /\.ts$/), ...transforms];
  const kernel = [...sources, 'asconfig.json', 'package-lock.json'];
  const outputs = [...Object.values(TARGETS), 'layout.json'].map((name) => `build/${name}`);
  await when('kernel', kernel, outputs, buildKernel);
  run(process.execPath, ['scripts/gen.mjs', ...(check ? ['--check'] : [])]);
  const config = ['package.json', 'package-lock.json', 'scripts/build.mjs'];
  const host = [...files('host', /\.ts$/), ...files('assembly/uapi', /\.ts$/), ...config];
  await when('host', host, ['dist/index.js', 'dist/cli.js', 'dist/pool-worker.js'], buildHost);
  if (!types) return;
  const declared = [...host, 'tsconfig.json', 'host/tsconfig.build.json'];
  await when('types', declared, ['dist/types/host/index.d.ts'], buildTypes);
}

/** True for the script that Node was started with. */
export function isMain(url) {
  return process.argv[1] !== undefined && url === pathToFileURL(process.argv[1]).href;
}

if (isMain(import.meta.url)) await buildAll({ types: true });
