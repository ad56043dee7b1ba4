// Builds what is older than its sources: the three kernel targets with their layout, the generated
// files, the bundles of the library and the command line, the type declarations.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { run, setup } from './setup.mjs';

/** All files below `folder` that match, sorted. */
function files(folder, pattern) {
  return readdirSync(folder, { recursive: true })
    .map((name) => `${folder}/${name}`)
    .filter((name) => pattern.test(name) && statSync(name).isFile())
    .sort();
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
  await step();
  writeFileSync(stamp, now);
  return true;
}

const TARGETS = { release: 'kernel.wasm', debug: 'kernel.debug.wasm', smp: 'kernel.smp.wasm' };

function buildKernel() {
  for (const target of Object.keys(TARGETS)) {
    const transform = target === 'release' ? ['--transform', './host/tools/layout-transform.mjs'] : [];
    run(process.execPath, ['node_modules/assemblyscript/bin/asc.js', '--target', target, ...transform], {
      stdio: ['ignore', 'inherit', 'pipe'],
      encoding: 'utf8',
    });
  }
  run(process.execPath, ['scripts/gen.mjs']);
  const bytes = readFileSync('build/kernel.wasm');
  console.error(`kernel.wasm: ${bytes.length} bytes, ${gzipSync(bytes).length} gzipped`);
}

async function buildHost() {
  const { build } = await import('esbuild');
  const common = {
    bundle: true,
    format: 'esm',
    target: 'node20',
    sourcemap: true,
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
}

/** Everything; `types`: also the declarations, which only a package needs. */
export async function buildAll({ types = false } = {}) {
  setup();
  mkdirSync('build', { recursive: true });
  const kernel = [...files('assembly', /\.ts$/), 'asconfig.json', 'host/tools/layout-transform.mjs'];
  const outputs = Object.values(TARGETS).map((name) => `build/${name}`);
  const built = await when('kernel', [...kernel, 'scripts/gen.mjs'], outputs, buildKernel);
  const host = [...files('host', /\.ts$/), ...files('assembly/uapi', /\.ts$/), 'package.json'];
  await when('host', host, ['dist/index.js', 'dist/cli.js'], buildHost);
  if (types) {
    await when('types', host, ['dist/types/host/index.d.ts'], () =>
      run(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'host/tsconfig.build.json']),
    );
  }
  return built;
}

if (process.argv[1]?.endsWith('build.mjs')) await buildAll({ types: true });
