// `bulkhead layout`: offsets of the kernel's structures, as the compiler made them.
import { layout } from '../generated/layout.ts';
import { EXIT_OK } from './status.ts';

export function layoutCommand(): number {
  console.log(JSON.stringify(layout, null, 1));
  return EXIT_OK;
}
