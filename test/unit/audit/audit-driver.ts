// A kernel whose audit log is on, for tests.
import * as OP from '../../../assembly/uapi/op.ts';
import { AuditFormatter, type FormatOptions } from '../../../host/audit/format.ts';
import { type AuditConfig, drainAudit, enableAudit } from '../../../host/audit-ring.ts';
import { createKernel, type KernelTarget } from '../../../host/index.ts';
import { USER } from '../kernel/driver.ts';
import { NsDriver } from '../kernel/ns-driver.ts';

export class AuditDriver extends NsDriver {
  formatter = new AuditFormatter();

  /** Everything that was logged since the last time. */
  lines(options?: FormatOptions): string[] {
    const formatter = options ? new AuditFormatter(options) : this.formatter;
    return drainAudit(this.k).flatMap((event) => formatter.lines(event));
  }

  /** Bodies of the records of a type that were logged since the last time. */
  bodies(type: string): string[] {
    return bodiesOf(this.lines(), type);
  }

  create(name: string, flags = 0, tid = 1): number {
    const bytes = new TextEncoder().encode(`${name}\0`);
    return this.mem(tid, OP.OP_CONTAINER_CREATE, [USER, flags], bytes);
  }

  enter(cfd: number, tid = 1): number {
    return this.call(tid, OP.OP_FORK_INTO_CONTAINER, cfd);
  }

  contid(tid: number, pid: number | 'self', id: number | bigint | string): number {
    return this.put(tid, `/proc/${pid}/audit_containerid`, String(id));
  }

  show(tid: number, path: string): string {
    const fd = this.open(tid, path);
    const text = this.read(tid, fd);
    this.call(tid, OP.OP_CLOSE, fd);
    return text;
  }
}

/** What stands behind the header of each record of a type. */
export function bodiesOf(lines: readonly string[], type: string): string[] {
  return lines
    .filter((line) => line.startsWith(`type=${type} `))
    .map((line) => line.replace(/^.*?\): /, ''));
}

export async function auditDriver(
  config: AuditConfig | null = {},
  target: KernelTarget = 'debug',
): Promise<AuditDriver> {
  const k = await createKernel({ target });
  if (config) enableAudit(k, config);
  return new AuditDriver(k);
}
