// Reading the options of a subcommand.
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { UsageError } from './status.ts';

/** Options and files of a command line. Throws UsageError with what is wrong with it. */
export function readOptions<T extends NonNullable<ParseArgsConfig['options']>>(
  args: string[],
  options: T,
) {
  try {
    return parseArgs({ args, options, allowPositionals: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split('\n')[0] ?? 'bad options');
  }
}
