// The number that an argument of a log stands for.
import { evaluate } from '../abi/constants.ts';
import type { ArgNode } from '../trace/args.ts';
import { bigOf, signalNumber } from '../trace/values.ts';

/** Value of a symbolic constant; names of signals included. */
function resolve(name: string): bigint | undefined {
  const value = evaluate(name);
  if (value !== undefined) return value;
  const signo = signalNumber(name);
  return signo ? BigInt(signo) : undefined;
}

/** undefined: it is no number, or a name that is not known. */
export function valueOf(node: ArgNode | undefined): bigint | undefined {
  if (!node) return undefined;
  return node.kind === 'null' ? 0n : bigOf(node, resolve);
}
