// The kernel's structures as a C programmer would have them: pointers where the kernel has links
// of 32 bits. Written from include/layout.json, so they have the same fields in the same order.

interface Field {
  name: string;
  type: string;
  size: number;
}

const C_TYPES: Record<string, string> = {
  i8: 'int8_t',
  u8: 'uint8_t',
  bool: 'uint8_t',
  i16: 'int16_t',
  u16: 'uint16_t',
  i32: 'int32_t',
  u32: 'uint32_t',
  usize: 'uint32_t',
  i64: 'int64_t',
  u64: 'uint64_t',
};

/** Fields that are declared as numbers in the kernel and hold an address. */
const ADDRESSES = new Set([
  'args',
  'bump',
  'bump_end',
  'devices',
  'event_ring',
  'fds',
  'free',
  'init_container',
  'init_cred',
  'init_nsproxy',
  'init_pid_ns',
  'init_task',
  'init_user_ns',
  'idle_task',
  'kill_queue',
  'members',
  'ops',
  'parent',
  'place',
  'private_data',
  'sigframes',
  'table',
  'tables',
  'ucounts',
  'ucounts_hash',
  'user_ns',
  'users',
  'waiters',
  'windows',
]);
const LINK = /^(free|\w*_(next|prev))$/;
/** ... that are none, in spite of their names */
const NUMBERS = new Set(['frame.table', 'kernel_root.inum_next']);

function isLink(struct: string, field: Field): boolean {
  if (field.type.startsWith('*')) return true;
  if (field.size !== 4 || NUMBERS.has(`${struct}.${field.name}`)) return false;
  if (field.type !== 'u32' && field.type !== 'usize') return false;
  if (struct === 'ucounts' && field.name === 'next') return true;
  return ADDRESSES.has(field.name) || LINK.test(field.name);
}

/** What a namespace of a kind begins with in the kernel, too. */
const EXTENDS: Record<string, string> = {
  pid_namespace: 'ns_common',
  user_namespace: 'ns_common',
  uts_namespace: 'ns_common',
};

/** A header with the constants of `header` and with natural structures. */
export function naturalHeader(layoutJson: string, header: string): string {
  const layout = JSON.parse(layoutJson) as { structs: Record<string, { fields: Field[] }> };
  const structs = Object.entries(layout.structs).map(([name, { fields }]) => {
    const head = EXTENDS[name] ? [`  struct bh_${EXTENDS[name]} ns;`] : [];
    const lines = fields.map((field) => {
      const type = isLink(name, field) ? 'uintptr_t' : (C_TYPES[field.type] ?? 'uintptr_t');
      return `  ${type} ${field.name};`;
    });
    return { name, text: [`struct bh_${name} {`, ...head, ...lines, '};'].join('\n') };
  });
  // a head comes before what begins with it
  const heads = structs.filter(({ name }) => Object.values(EXTENDS).includes(name));
  const rest = structs.filter(({ name }) => !heads.some((head) => head.name === name));
  const constants = header.split('\n').filter((line) => /^#define BH_\w+ \(/.test(line));
  return [
    '#ifndef NATURAL_H',
    '#define NATURAL_H',
    '#include <stddef.h>',
    '#include <stdint.h>',
    ...constants,
    ...[...heads, ...rest].map(({ text }) => text),
    '#endif',
    '',
  ].join('\n');
}
