// `bulkhead abi [TABLE]`: what every number of a table is and how far it is modelled.
import { ABI_NAMES, isAbiName, syscallTable } from '../syscall-abi.ts';
import { EXIT_OK, UsageError } from './status.ts';

export function abiCommand(args: string[]): number {
  const name = args[0];
  if (name === undefined) {
    for (const abi of ABI_NAMES)
      console.log(`${abi.padEnd(22)} ${syscallTable(abi).rows.length} calls`);
    return EXIT_OK;
  }
  if (!isAbiName(name)) {
    throw new UsageError(`no such table: ${name}; there are ${ABI_NAMES.join(', ')}`);
  }
  const rows = syscallTable(name).rows.map((row) =>
    [
      String(row.nr).padStart(5),
      row.name.padEnd(28),
      (row.classBy ? `${row.class} (${row.classBy})` : row.class).padEnd(22),
      row.support.padEnd(8),
      row.note ?? '',
    ]
      .join(' ')
      .trimEnd(),
  );
  console.log(
    [`   nr ${'name'.padEnd(28)} ${'class'.padEnd(22)} support  note`, ...rows].join('\n'),
  );
  return EXIT_OK;
}
