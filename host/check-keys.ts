// The part of the invariant checker that follows keys: who holds them, whom they are counted to.
import { layout as L } from './generated/layout.ts';
import type { Kernel } from './kernel.ts';
import type { Views } from './views.ts';

const KEYRING = 1;
const LIST_MAX = 8_000_000;

/** What the checker lends: readers, and where findings and references go. */
export interface Finder {
  readonly kernel: Kernel;
  readonly views: Views;
  say(text: string): void;
  /** notes a reference to a user record */
  user(at: number): void;
}

/** Every key of the serial table: its address. */
function table(f: Finder): Set<number> {
  const { views } = f;
  const buckets = views.root('key_buckets');
  const keys = new Set<number>();
  for (let i = 0; i < buckets; ++i) {
    let at = views.word(views.root('keys') + i * 4);
    for (; at && keys.size < LIST_MAX; at = views.word(at + L.key.next)) {
      const serial = views.word(at + L.key.serial);
      if ((serial & (buckets - 1)) !== i) f.say(`key ${serial}: in the wrong bucket`);
      keys.add(at);
    }
  }
  return keys;
}

/** References to keys from creds, containers, users and keyrings. */
function references(f: Finder, creds: Iterable<number>, keys: Set<number>): Map<number, number> {
  const { views } = f;
  const found = new Map<number, number>();
  const ref = (at: number): void => {
    if (at) found.set(at, (found.get(at) ?? 0) + 1);
  };
  let keyrings = 0;
  for (const cred of creds) {
    const own = views.word(cred + L.cred.keyrings);
    if (!own) continue;
    keyrings += 1;
    const C = L.cred_keyrings;
    for (const field of [C.session, C.process, C.thread]) ref(views.word(own + field));
  }
  if (keyrings !== f.kernel.counts().keyrings) f.say(`${keyrings} creds with keyrings found`);
  for (const at of views.containerAddresses()) ref(views.word(at + L.container.keyring));
  const U = L.user_keyrings;
  for (let at = views.root('user_keyrings'); at; at = views.word(at + U.next)) {
    ref(views.word(at + U.user));
    ref(views.word(at + U.session));
  }
  for (const at of keys) {
    if (views.word(at + L.key.type) !== KEYRING) continue;
    const links = views.word(at + L.key.payload);
    const n = views.word(at + L.key.datalen);
    for (let i = 0; i < n; ++i) ref(views.word(links + i * 4));
  }
  return found;
}

/** Counts, links and quotas of all keys. */
export function checkKeys(f: Finder, creds: Iterable<number>): void {
  const { views } = f;
  const keys = table(f);
  const { keys: live } = f.kernel.counts();
  if (keys.size !== views.root('nr_keys')) f.say(`${keys.size} keys found`);
  if (live !== keys.size) f.say(`keys: ${live} live, ${keys.size} in the table`);
  const found = references(f, creds, keys);
  const users = new Map<number, [keys: number, bytes: number]>();
  for (const at of keys) {
    const serial = views.word(at + L.key.serial);
    const counted = views.word(at + L.key.usage) | 0;
    const references = found.get(at) ?? 0;
    if (counted !== references) f.say(`key ${serial}: ${counted} counted, ${references} found`);
    const user = views.word(at + L.key.user);
    f.user(user);
    const [n, bytes] = users.get(user) ?? [0, 0];
    users.set(user, [n + 1, bytes + views.word(at + L.key.quotalen)]);
  }
  for (const at of found.keys()) if (!keys.has(at)) f.say(`a key at ${at} is not in the table`);
  for (const [at, [n, bytes]] of users) {
    const U = L.user_struct;
    if (views.word(at + U.nr_keys) !== n) f.say(`user ${views.word(at + U.uid)}: key count`);
    if (views.word(at + U.key_bytes) !== bytes) f.say(`user ${views.word(at + U.uid)}: key bytes`);
  }
}
