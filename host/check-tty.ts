// The invariant checker's part about terminals: their chain, who has them open, whose they are.
import { layout as L } from './generated/layout.ts';
import type { Views } from './views.ts';

/** Open ends of a terminal that were found. */
export interface Ends {
  slaves: number;
  masters: number;
}

export interface TerminalContext {
  views: Views;
  say(text: string): void;
  /** counts a reference to a struct pid */
  pid(at: number): void;
  /** thread groups that were found */
  groups: Iterable<number>;
  /** terminal -> open files of its ends */
  ends: ReadonlyMap<number, Ends>;
}

/** What is found on the chain root.ttys and in the thread groups. */
export function checkTerminals({ views, say, pid, groups, ends }: TerminalContext): void {
  const T = L.tty_struct;
  const known = new Set<number>();
  let last = -Infinity;
  for (let at = views.root('ttys'); at && !known.has(at); at = views.word(at + T.next)) {
    known.add(at);
    const index = views.word(at + T.index) | 0;
    if (index < last) say(`terminal ${index}: out of order`);
    last = index;
    const open = ends.get(at) ?? { slaves: 0, masters: 0 };
    if (views.word(at + T.slaves) !== open.slaves) say(`terminal ${index}: open ends`);
    if (views.word(at + T.masters) !== open.masters) say(`terminal ${index}: open masters`);
    const session = views.word(at + T.session);
    const pgrp = views.word(at + T.pgrp);
    if (session) pid(session);
    if (pgrp) pid(pgrp);
    if (pgrp && !session) say(`terminal ${index}: a foreground group without a session`);
    if (!session && !open.slaves && !open.masters) say(`terminal ${index}: nobody has it`);
  }
  if (known.size !== views.root('nr_ttys')) say(`${known.size} terminals found`);
  for (const at of ends.keys()) if (!known.has(at)) say('a file is an end of no terminal');
  for (const group of groups) {
    const tty = views.word(group + L.signal_struct.tty);
    const session = views.word(group + L.signal_struct.session);
    if (tty & 1) {
      pid(tty & ~1);
      if (session !== views.word(group + L.signal_struct.tgid_pid)) {
        say('a process that leads no session remembers a foreground group');
      }
    } else if (tty) {
      if (!known.has(tty)) say('the terminal of a process is gone');
      else if (views.word(tty + T.session) !== session) {
        say("the terminal of a process is another session's");
      }
    }
  }
}
