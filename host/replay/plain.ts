// Calls that are counted without being decoded: the kernel has no part in them, whatever their
// arguments, and nothing that they tell changes what is known. Their path through the replay is
// this one; execute.ts would do the same with them.
import * as OP from '../../assembly/uapi/op.ts';
import { errnoNumber } from '../abi/constants.ts';
import type { PlainCall } from '../trace/sink.ts';
import { rowOfName } from './call.ts';
import type { Replay } from './engine.ts';
import { stirsFlows } from './flows.ts';
import { isAlwaysListed } from './listed.ts';
import { countListed } from './result.ts';

/** May calls of this name be counted undecoded? */
export function takesPlain(r: Replay, name: string): boolean {
  // where a filter kept calls from running, each is looked at
  if (r.index.trapped.size) return false;
  const row = rowOfName(r.tables, name)[0];
  const modelled = row && row.op !== OP.OP_NONE && row.class !== 'unmodelled';
  return !modelled && isAlwaysListed(name) && !r.files.wants(name) && !stirsFlows(name);
}

/** One such call. */
export function feedPlain(r: Replay, call: PlainCall): void {
  const task = r.task(call.pid, call.seq);
  r.result.events += 1;
  countListed(r.result, call.name);
  const failed = call.errno !== '';
  task.lastRet = failed ? -(errnoNumber(call.errno) ?? 0) : call.ret;
  task.lastName = call.name;
  task.interrupted = false;
  const [row, table] = rowOfName(r.tables, call.name);
  if (row) {
    task.lastNr = row.nr;
    task.lastTable = table;
  }
  task.history.note(call.line, call.name, failed ? `-1 ${call.errno}` : call.ret);
  if (r.interruptible.size) r.settleInterrupted();
}
