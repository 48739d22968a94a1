/** A place in a channel, or in a roll-up that counts for itself. */
export interface Rollup {
  offset: number;
  epoch: string;
}

/** What every message has around its data. */
export interface Envelope<T extends string, D> {
  type: T;
  /** Where it was published, also under a roll-up or a pattern. */
  channel: string;
  data: D;
  /** Receipt by the hub, RFC 3339. */
  timestamp: string;
  /** A UUID of version 7. */
  id: string;
  /** As the publisher gave it. */
  correlation_id?: string;
  /** Its place in its channel: 1, 2, 3 … */
  offset: number;
  /** What the offset counts under. */
  epoch: string;
  /** Its places in the roll-ups that count for themselves. */
  rollup?: Record<string, Rollup>;
}

/** Rows as subscribers get them: changes, or with `snapshot` the whole table. */
export interface Table<R> {
  rows: R[];
  meta: Record<string, unknown>;
  snapshot: boolean;
}

/** Rows as publishers send them. */
export interface Rows<R> {
  rows: R[];
  meta?: Record<string, unknown>;
  snapshot?: boolean;
}

/** Takes a row away: its key, and `removed`. */
export type RowRemoved<K extends string> = Record<K, unknown> & { removed: true };
