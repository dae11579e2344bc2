/**
 * The log ring: `logs.db`, bounded by bytes, neither replicated nor backed up. Lines are gathered
 * and written a few times a second; a line lost in a power cut is allowed, a lost write is not.
 */
export type LogLevel = "debug" | "info" | "warn" | "error";

export interface LogLine {
  /** Sortable position; pass the last one as `after` to continue. */
  readonly id: number;
  readonly at: number;
  /** App name at the time, or `kernel`, or `access`. */
  readonly app: string;
  readonly appId: string | null;
  readonly releaseId: string | null;
  readonly level: LogLevel;
  readonly text: string;
}

export interface LogQuery {
  readonly app?: string | undefined;
  readonly appId?: string | undefined;
  readonly sinceMs?: number | undefined;
  readonly level?: LogLevel | undefined;
  readonly grep?: string | undefined;
  readonly limit?: number | undefined;
  readonly after?: number | undefined;
}

export interface LogRing {
  append(line: Omit<LogLine, "id" | "at">): void;
  /** Oldest first, the newest `limit` of what matches. */
  query(query: LogQuery): LogLine[];
  /** What matches from now on, as it comes, until the signal aborts. */
  follow(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine>;
}
