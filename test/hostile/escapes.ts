// All attempts to get out of a container, and the table of them that stands in docs/escapes.md.
import { MOUNTS } from './escapes-mounts.ts';
import { OTHERS } from './escapes-others.ts';
import { PATHS } from './escapes-paths.ts';
import { TREES } from './escapes-trees.ts';
import { type Attempts } from './prison.ts';

export const ALL: Attempts = { ...PATHS, ...MOUNTS, ...TREES, ...OTHERS };
export const COUNT = Object.values(ALL).flat().length;

/** The rows by group, as Markdown. */
export function escapesTable(): string {
  return Object.entries(ALL)
    .map(([group, rows]) => {
      const lines = rows.map((row) => `| ${row.what} | ${row.errno} |`);
      return [`### ${group}`, '', '| attempt | errno |', '| --- | --- |', ...lines].join('\n');
    })
    .join('\n\n');
}
