// Imports point one way (ARCHITECTURE.md): a file imports its own layer and the ones below it.
import { expect, test } from 'vitest';
import ts from 'typescript';
import { importsOf, kernelSources, sources } from './sources.ts';

/**
 * Layers of the kernel, lowest first, by the name within its folder; a file that is in none of them
 * fails the test. A folder holds one subject, from its objects up to its calls.
 */
const KERNEL_LAYERS: [layer: string, files: RegExp][] = [
  ['uapi', /^uapi\//],
  ['primitives', /^(zero|seq-file|bug|err|list|refcount|spinlock)\.ts$/],
  ['primitives', /^(slab|uaccess|uio|root|frame|event)\.ts$/],
  [
    'objects',
    /^(task|container|pid|cred|signal|signal-struct|sigqueue|itimer|sched|waitqueue)\.ts$/,
  ],
  ['objects', /^(device|upcall|supervisor|key|keyring|process-keys)\.ts$/],
  [
    'objects',
    /^(namespace|nsproxy|user-namespace|uid-map|ucounts|uts|groups|procfs|user|file|fs|pipe)\.ts$/,
  ],
  ['objects', /^fasync\.ts$/],
  ['objects', /^(audit|audit-context|audit-record|auditsc)\.ts$/],
  ['operations', /^(audit-ns|proc-audit)\.ts$/],
  ['objects', /^(epoll|inotify|locks|ipc|ipc-ns|mqueue|msg|pgrp|sem|shm|timerfd|tty|unix)\.ts$/],
  ['objects', /^(inet|net-namespace|sock)\.ts$/],
  ['objects', /^(super|inode|xattr|dcache|mount|pnode|fifo|permission|d-path)\.ts$/],
  ['objects', /^(mnt-namespace|mount-tree|fs-context|fs-params)\.ts$/],
  ['operations', /^(exec-file|namei|lookup|mnt-visible|ops|open|rw|sock-node|do-mount)\.ts$/],
  ['operations', /^(furnish|mount-path|move-mount)\.ts$/],
  [
    'operations',
    /^(adopt|boot|capability|clone-parts|containerfs|containerfs-stat|exec|exit|fork)\.ts$/,
  ],
  ['operations', /^(exit-plain|fork-plain|fork-share)\.ts$/],
  ['operations', /^(nsfs|setns|proc-[a-z]+|sigdeliver|wait|sys-[a-z]+)\.ts$/],
  ['operations', /^(eploop|eventfd|fault|hostfile|poll|scm|signalfd)\.ts$/],
  ['operations', /^(mq-notify|mqueue-text|netlink|rtnetlink|sock-addr|unix-name)\.ts$/],
  ['dispatch', /^dispatch-[a-z]+\.ts$/],
  ['syscall', /^syscall\.ts$/],
  ['calls', /^(batch|calls)\.ts$/],
  ['index', /^index\.ts$/],
];

/** Layers of the host, lowest first. */
const HOST_LAYERS: [layer: string, files: RegExp][] = [
  ['facts', /^(generated\/.*|exports|errno)\.ts$/],
  [
    'kernel',
    /^(kernel|boot|frame|module|events|((file|ipc)-)?views|check|counts|snapshot|upcalls)\.ts$/,
  ],
  ['kernel', /^(audit-ring|check-[a-z]+|timers|proc|signal-action)\.ts$/],
  ['abi', /^(syscall-abi|x86-trap|(abi|calls)\/.*)\.ts$/],
  ['readers', /^trace\/.*\.ts$/],
  ['audit', /^audit\/.*\.ts$/],
  ['replay', /^(replay|script-runner|(replay|script|render)\/.*)\.ts$/],
  ['index', /^(index|pool|pool-worker)\.ts$/],
  ['bench', /^bench\/.*\.ts$/],
  ['front', /^(cli|web)\/.*\.ts$/],
];

/** What a kernel file's layer is told by: its name, and for constants that they are. */
function within(path: string): string {
  const [, folder = '', name = ''] = /^assembly\/(?:(\w+)\/)?([\w.-]+)$/.exec(path) ?? [];
  return folder === 'uapi' ? `uapi/${name}` : name;
}

function rank(layers: [string, RegExp][], file: string): number {
  const layer = layers.find(([, files]) => files.test(file))?.[0];
  return layers.findLastIndex(([name]) => name === layer);
}

/** Names of the classes and of the integer constants that a kernel file exports. */
function structsOf(path: string): Set<string> {
  const tree = kernelSources.find((s) => s.path === path)?.tree;
  const classes = tree?.statements.filter(ts.isClassDeclaration) ?? [];
  return new Set(classes.map((c) => c.name?.text ?? ''));
}

test('every kernel file has a layer', () => {
  const stray = kernelSources.filter((s) => rank(KERNEL_LAYERS, within(s.path)) < 0);
  expect(stray.map((s) => s.path)).toEqual([]);
});

test('kernel files call downwards; upwards they only name a struct', () => {
  const wrong: string[] = [];
  for (const source of kernelSources) {
    const mine = rank(KERNEL_LAYERS, within(source.path));
    for (const { target, names, line } of importsOf(source)) {
      const theirs = target.startsWith('assembly/') ? rank(KERNEL_LAYERS, within(target)) : -1;
      if (theirs >= 0 && theirs <= mine) continue;
      const structs = structsOf(target);
      if (theirs >= 0 && names.every((name) => structs.has(name))) continue;
      wrong.push(`${source.path}:${line} imports {${names.join(', ')}} of ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('every host file has a layer', () => {
  const host = sources.filter((s) => /^host\/.*\.ts$/.test(s.path));
  const stray = host.filter((s) => rank(HOST_LAYERS, s.path.slice(5)) < 0);
  expect(stray.map((s) => s.path)).toEqual([]);
});

test('host files import downwards, and of assembly/ only uapi/', () => {
  const wrong: string[] = [];
  for (const source of sources.filter((s) => /^host\/.*\.ts$/.test(s.path))) {
    const mine = rank(HOST_LAYERS, source.path.slice(5));
    for (const { target, typeOnly, line } of importsOf(source)) {
      const own = target.startsWith('host/') && rank(HOST_LAYERS, target.slice(5)) <= mine;
      const foreign = /^(node:|assembly\/uapi\/|fzstd$)/.test(target);
      // a type is not a call: it may be named from below
      if (own || foreign || (typeOnly && target.startsWith('host/'))) continue;
      wrong.push(`${source.path}:${line} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('tests and benchmarks see assembly/ only through its constants', () => {
  const wrong: string[] = [];
  for (const source of sources.filter((s) => /^(test|bench)\//.test(s.path))) {
    for (const { target, line } of importsOf(source)) {
      if (!target.startsWith('assembly/') || target.startsWith('assembly/uapi/')) continue;
      wrong.push(`${source.path}:${line} imports ${target}`);
    }
  }
  expect(wrong).toEqual([]);
});

test('the library loads no Node module before it needs one', () => {
  const wrong: string[] = [];
  const reached = new Set<string>();
  const visit = (path: string): void => {
    const source = sources.find((s) => s.path === path);
    if (!source || reached.has(path)) return;
    reached.add(path);
    for (const { target, typeOnly, line } of importsOf(source)) {
      if (typeOnly) continue;
      if (target.startsWith('node:')) wrong.push(`${path}:${line} imports ${target}`);
      visit(target);
    }
  };
  visit('host/index.ts');
  expect(wrong).toEqual([]);
});
