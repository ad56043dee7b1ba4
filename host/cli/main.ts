// The command line. Exit status: 0 all compared calls agree, 1 divergences, 2 usage, 3 input
// unreadable or not a trace, 4 internal fault, 130 interrupted.
import { readFileSync } from 'node:fs';
import { abiCommand } from './abi.ts';
import { auditCommand } from './audit.ts';
import { benchCommand } from './bench.ts';
import { layoutCommand } from './layout.ts';
import { replayCommand } from './replay.ts';
import { statCommand } from './stat.ts';
import { EXIT_FAULT, EXIT_OK, EXIT_UNREADABLE, EXIT_USAGE, UsageError } from './status.ts';
import { SourceError } from '../trace/source.ts';

const HELP = `bulkhead - re-executes recorded system calls in a kernel core of WebAssembly

usage: bulkhead replay [options] FILE...   replay a trace and compare (- is standard input)
       bulkhead abi [TABLE]                the syscall tables: number, name, class, support, note
       bulkhead stat FILE...               share of the recorded calls that are predicted
       bulkhead audit tree FILE...         containers and tasks, from an audit log alone
       bulkhead audit attribute FILE...    an audit log again, with container ids
       bulkhead bench [NAME...]            benchmarks against C and JavaScript (bench --help)
       bulkhead layout                     the kernel's structures, as JSON
       bulkhead --help | --version

bulkhead COMMAND --help: options of a command, those of replay among them: --tree, --containers,
--audit FILE, --explain LINE, --perturb SEED, --json.

exit status: 0 everything compared agrees, 1 divergences, 2 usage, 3 input unreadable or not a
trace, 4 internal fault, 130 interrupted
`;

function version(): string {
  const url = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(url, 'utf8')) as { version: string }).version;
}

async function main(argv: string[]): Promise<number> {
  const [command, ...rest] = argv;
  switch (command) {
    case 'replay':
      return replayCommand(rest);
    case 'stat':
      return statCommand(rest);
    case 'audit':
      return auditCommand(rest);
    case 'bench':
      return benchCommand(rest);
    case 'abi':
      return abiCommand(rest);
    case 'layout':
      return layoutCommand();
    case '--version':
    case '-V':
      console.log(`bulkhead ${version()}`);
      return EXIT_OK;
    case '--help':
    case '-h':
    case 'help':
      process.stdout.write(HELP);
      return EXIT_OK;
    case undefined:
      process.stderr.write(HELP);
      return EXIT_USAGE;
    default:
      throw new UsageError(`no such command: ${command}`);
  }
}

// whoever reads our output may stop reading: no error
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(EXIT_OK);
  throw error;
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (error instanceof UsageError) {
    console.error(`bulkhead: ${error.message}\ntry: bulkhead --help`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof SourceError) {
    console.error(`bulkhead: ${error.message}`);
    process.exitCode = EXIT_UNREADABLE;
  } else {
    console.error(`bulkhead: internal fault, please report it\n${(error as Error).stack ?? error}`);
    process.exitCode = EXIT_FAULT;
  }
}
