// The tree into which a recorder's argument notation is decoded. Values of nodes: values.ts.

/** What every node may carry besides its value. */
interface NodeExtras {
  /** `name=` in front (fields of structs, arguments of clone); a list item's `[3]=` likewise */
  name?: string;
  /** inner text of a comment behind (or in front of) the value: `0x1 /* SIGHUP *\/` */
  comment?: string;
  /** text in angle brackets behind a number: the descriptor's path, the pid's comm */
  path?: string;
  /** what the kernel wrote there: `in => out` */
  out?: ArgNode;
}

/** An integer; `text` as written. A bigint where a double would round. */
export interface IntNode extends NodeExtras {
  kind: 'int';
  value: number | bigint;
  base: 8 | 10 | 16;
  text: string;
}
/** A string; one character of `value` for each byte, escapes resolved. */
export interface StrNode extends NodeExtras {
  kind: 'str';
  value: string;
  truncated: boolean;
}
/** A symbolic constant: `AT_FDCWD`, `SIG_DFL`, `SIGCHLD`, `NULL` is a node of its own. */
export interface SymNode extends NodeExtras {
  kind: 'sym';
  text: string;
}
/** `A|B|0x10`: names and numbers to be or-ed. */
export interface FlagsNode extends NodeExtras {
  kind: 'flags';
  parts: (string | number | bigint)[];
}
export interface NullNode extends NodeExtras {
  kind: 'null';
}
/** `[a, b]`, `[CHLD INT]` (spaced), `~[KILL STOP]` (negated, spaced). */
export interface ArrayNode extends NodeExtras {
  kind: 'array';
  items: ArgNode[];
  spaced: boolean;
  negated: boolean;
  truncated: boolean;
}
/** `{a=1, b={...}}`; fields in order, with their names. Nameless ones exist too. */
export interface StructNode extends NodeExtras {
  kind: 'struct';
  fields: ArgNode[];
  truncated: boolean;
}
/** The braces of a decoded wait status. `value` is the number wait4 stored, if it can be told. */
export interface StatusNode extends NodeExtras {
  kind: 'status';
  text: string;
  value: number | undefined;
}
/** `htons(80)`, `makedev(0x1, 0x3)`, `inet_addr("127.0.0.1")`. */
export interface FnNode extends NodeExtras {
  kind: 'fn';
  fn: string;
  args: ArgNode[];
}
/** `...`: the recorder left something out here. */
export interface EllipsisNode extends NodeExtras {
  kind: 'ellipsis';
}
/** Anything else. */
export interface OtherNode extends NodeExtras {
  kind: 'other';
  text: string;
}

export type ArgNode =
  | IntNode
  | StrNode
  | SymNode
  | FlagsNode
  | NullNode
  | ArrayNode
  | StructNode
  | StatusNode
  | FnNode
  | EllipsisNode
  | OtherNode;
