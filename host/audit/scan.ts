// Reading an audit log for its containers: a first look at all of it, then event by event.
import type { AuditEvent, StrayLine } from '../trace/audit/assemble.ts';
import { callFacts } from '../trace/audit/facts.ts';
import { type AuditPlan, PlanBuilder } from '../trace/audit/plan.ts';
import { AuditStream } from '../trace/audit/stream.ts';
import type { LineTotals } from '../trace/event.ts';
import type { TraceSource } from '../trace/source.ts';
import { Attribution, type AttributionOptions, type Attributed } from './attribution.ts';
import type { ContainerOf } from './containers.ts';

export interface ScanOptions {
  /** undefined: what the log's own records say, else pid namespaces */
  containerOf?: ContainerOf | undefined;
  assumeHost?: boolean;
  assumeClone3?: boolean;
  progress?: (share: number) => void;
}

/** What a first look at a log tells. */
export interface LogFacts {
  plan: AuditPlan;
  /** records of a kernel that has containers: no namespace needs to be taken for one */
  own: boolean;
}

export async function lookThrough(source: TraceSource): Promise<LogFacts> {
  const builder = new PlanBuilder();
  let own = false;
  for await (const batch of new AuditStream(source).batches()) {
    for (const { event } of batch) {
      if (event === undefined) continue;
      builder.add(event.syscall && callFacts(event.syscall), event);
      own ||= event.records.some(
        (record) => record.type === 'CONTAINER_OP' || record.type === 'CONTAINER_ID',
      );
    }
  }
  return { plan: builder.finish(), own };
}

/** What a scan hands out: an event with its container, or a line that is no record. */
export type Scanned =
  | { event: AuditEvent; at: Attributed; stray?: undefined }
  | { stray: StrayLine; event?: undefined };

/** A log, attributed. */
export class AuditScan {
  readonly attribution: Attribution;
  readonly facts: LogFacts;
  readonly #stream: AuditStream;
  readonly #source: TraceSource;
  readonly #progress: ((share: number) => void) | undefined;

  constructor(
    source: TraceSource,
    facts: LogFacts,
    options: ScanOptions,
    onTask?: AttributionOptions['onTask'],
  ) {
    this.facts = facts;
    this.#source = source;
    this.#stream = new AuditStream(source);
    this.#progress = options.progress;
    this.attribution = new Attribution(facts.plan, {
      containerOf: options.containerOf ?? (facts.own ? undefined : 'pid'),
      assumeHost: options.assumeHost === true,
      assumeClone3: options.assumeClone3 === true,
      ...(onTask ? { onTask } : {}),
    });
  }

  get lines(): LineTotals {
    return this.#stream.lines;
  }

  async *batches(): AsyncIterable<Scanned[]> {
    for await (const batch of this.#stream.batches()) {
      yield batch.map((item) =>
        item.event === undefined
          ? item
          : { event: item.event, at: this.attribution.add(item.event) },
      );
      const { done, total } = this.#source.progress;
      this.#progress?.(total > 0 ? done / total : 0);
    }
  }
}
