// Doubly linked circular lists (include/linux/list.h). The links are fields of the object itself.
import { BUG_ON, BUG_LIST_CORRUPT } from "./bug.ts";

/** Debug: whoever follows the links of what has been taken out traps there. */
const LIST_POISON: usize = 0xfffffff0;

/** struct list_head - 8 bytes: next, prev. An empty list points at itself. */
@unmanaged
export class list_head {
  next: list_head;
  prev: list_head;

  static init(head: list_head): void {
    head.next = head;
    head.prev = head;
  }

  static empty(head: list_head): bool {
    return changetype<usize>(head.next) == changetype<usize>(head);
  }

  /** Puts `entry` between two neighbours that are known to touch. */
  static between(entry: list_head, prev: list_head, next: list_head): void {
    // a load may trap, so the compiler keeps even those whose value nobody wants
    if (CONFIG_DEBUG) BUG_ON(prev.next !== next || next.prev !== prev, BUG_LIST_CORRUPT);
    next.prev = entry;
    entry.next = next;
    entry.prev = prev;
    prev.next = entry;
  }

  /** Right behind `head`: a stack. */
  static add(entry: list_head, head: list_head): void {
    list_head.between(entry, head, head.next);
  }

  /** Right before `head`: a queue. */
  static add_tail(entry: list_head, head: list_head): void {
    list_head.between(entry, head.prev, head);
  }

  /** Takes `entry` out; its own links are stale afterwards. */
  static del(entry: list_head): void {
    const next = entry.next;
    const prev = entry.prev;
    if (CONFIG_DEBUG) BUG_ON(next.prev !== entry || prev.next !== entry, BUG_LIST_CORRUPT);
    next.prev = prev;
    prev.next = next;
    if (CONFIG_DEBUG) entry.next = entry.prev = changetype<list_head>(LIST_POISON);
  }

  /** Takes `entry` out and makes it an empty list: may be done twice. */
  static del_init(entry: list_head): void {
    list_head.del(entry);
    list_head.init(entry);
  }
}

/** The list_head at `offset` inside an object. */
export function list_at(object: usize, offset: usize): list_head {
  return changetype<list_head>(object + offset);
}

/** The object around the list_head `entry` at `offset`. */
export function list_entry<T>(entry: list_head, offset: usize): T {
  return changetype<T>(changetype<usize>(entry) - offset);
}
