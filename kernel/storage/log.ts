/**
 * The log ring: `logs.db`, bounded by bytes, neither replicated nor backed up. Lines are gathered
 * and written a few times a second; a line lost in a power cut is allowed, a lost write is not.
 *
 * Rules: a line is seen by queries and followers from the moment it is appended; ids only grow (two
 * kernels may write for a moment while one hands over to the other);
 * a flood is cut per app and counted in a line of its own; a ring that is full loses lines of
 * whoever has the most in it; a ring that is damaged is begun anew
 * (the old file is kept as `logs.db.bad`); a disk that is full loses lines, never the kernel.
 */
import { renameSync } from "node:fs";
import { SysError } from "../errno.ts";
import type { Machine, Timer } from "../machine.ts";
import { asSysError, type Engine, openEngine } from "./engine.ts";
import { Followers, levelRank } from "./follow.ts";
import type { StorageLimits } from "./limits.ts";
import type { SqlValue } from "./storage.ts";

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

/** What a search found. */
export interface LogSearch {
  readonly lines: readonly LogLine[];
  /** Id of the last line that was looked at, 0 in an empty ring. */
  readonly newest: number;
}

export interface LogRing {
  append(line: Omit<LogLine, "id" | "at">): void;
  /** Oldest first: the newest `limit` of what matches; with `after`, the oldest after it. */
  query(query: LogQuery): LogLine[];
  /**
   * As `query` without `after`, with others' turn in between: a rare word is looked for in all of
   * the ring. Lines logged since it began are not in it: `newest` is where to go on.
   * It ends with the signal, with what it has.
   */
  search(query: Omit<LogQuery, "after">, signal: AbortSignal): Promise<LogSearch>;
  /**
   * What matches from now on (with `after`: from there), as it comes, until the signal aborts.
   * A follower too slow for its lines loses some, and gets a line that says how many.
   */
  follow(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine>;
}

export interface LogOptions {
  readonly machine: Machine;
  readonly path: string;
  readonly limits: StorageLimits;
}

/** The ring, with what only its owner may do. */
export interface OwnedLogRing extends LogRing {
  flush(): void;
  /** Writes what waits, ends all followers and closes the file. Idempotent. */
  close(): void;
}

const schema = `
  CREATE TABLE IF NOT EXISTS log_line (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    app TEXT NOT NULL,
    app_id TEXT,
    release_id TEXT,
    level INTEGER NOT NULL,
    text TEXT NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS log_line_by_app ON log_line (app);
  CREATE INDEX IF NOT EXISTS log_line_by_app_id ON log_line (app_id) WHERE app_id IS NOT NULL;
`;

const newest = "SELECT max(id) AS id FROM log_line";
const spanOf =
  "SELECT (SELECT min(id) FROM log_line) AS low, (SELECT max(id) FROM log_line) AS high";

/** Opens the ring. Never refuses for a damaged file; ENOSPC, EACCES, EROFS, EIO. */
export function createLogRing(options: LogOptions): OwnedLogRing {
  return new Ring(options, openRing(options));
}

function openRing({ path, limits }: LogOptions): Engine {
  const open = () => {
    const engine = openEngine({ path, synchronous: "NORMAL", limits });
    try {
      engine.exec(schema);
      // Where the next line goes: a page that cannot be read is told now and not by every line.
      engine.get(newest);
      return engine;
    } catch (error) {
      engine.close();
      throw asRefusal(error);
    }
  };
  try {
    return open();
  } catch (error) {
    if (!(error instanceof SysError) || error.code !== "EBADMSG") throw error;
    for (const suffix of ["", "-wal", "-shm"]) renameIfThere(path, suffix);
    return open();
  }
}

// A table of our name with other columns is as useless as a torn page; a full disk harms neither.
function asRefusal(error: unknown): SysError {
  const refused = asSysError(error, "cannot open the log ring");
  if (refused !== null) return refused;
  return new SysError("EBADMSG", "cannot open the log ring: it is damaged", { cause: error });
}

function renameIfThere(path: string, suffix: string): void {
  try {
    renameSync(`${path}${suffix}`, `${path}.bad${suffix}`);
  } catch {
    // Not there: nothing to keep.
  }
}

type Draft = Omit<LogLine, "id" | "at">;

class Ring implements OwnedLogRing {
  readonly #options: LogOptions;
  readonly #engine: Engine;
  readonly #followers: Followers;
  #pending: LogLine[] = [];
  #pendingChars = 0;
  /** Lines each app has logged since the last write, and how many of them were dropped. */
  #bursts = new Map<string, { draft: Draft; lines: number; dropped: number }>();
  #timer: Timer | null = null;
  #nextId: number;
  #lost = 0;
  /** Lines in the ring; counted when it is first of interest. */
  #rows: number | null = null;
  #open = true;

  constructor(options: LogOptions, engine: Engine) {
    this.#options = options;
    this.#engine = engine;
    this.#followers = new Followers(options.limits.logFollowLinesMax);
    const last = engine.get<{ id: number | null }>(newest);
    this.#nextId = (last?.id ?? 0) + 1;
  }

  append(draft: Draft): void {
    if (!this.#open) return;
    const { machine, limits } = this.#options;
    const text = cut(draft.text, limits.logLineCharsMax);
    const burst = this.#bursts.get(draft.app) ?? { draft, lines: 0, dropped: 0 };
    this.#bursts.set(draft.app, burst);
    this.#timer ??= machine.after(limits.logFlushMs, () => this.flush());
    const full = this.#pendingChars + text.length > limits.logBurstCharsMax;
    if (burst.lines >= limits.logBurstLinesMax || full) {
      burst.dropped++;
      return;
    }
    burst.lines++;
    this.#accept({ ...draft, text });
  }

  query(query: LogQuery): LogLine[] {
    this.flush();
    const { limits } = this.#options;
    const limit = Math.min(query.limit ?? limits.logPage, limits.logPageMax);
    const { where, values } = conditions(query);
    const order = query.after === undefined ? "DESC" : "ASC";
    const rows = this.#engine.all<LogRow>(
      `SELECT * FROM log_line WHERE ${where} ORDER BY id ${order} LIMIT ?`,
      ...values,
      limit,
    );
    const lines = rows.map(lineOf);
    return order === "DESC" ? lines.reverse() : lines;
  }

  async search(query: Omit<LogQuery, "after">, signal: AbortSignal): Promise<LogSearch> {
    this.flush();
    const { machine, limits } = this.#options;
    const limit = Math.min(query.limit ?? limits.logPage, limits.logPageMax);
    const { where, values } = conditions(query);
    const sql = `SELECT * FROM log_line WHERE ${where} AND id > ? AND id <= ?
      ORDER BY id DESC LIMIT ?`;
    const span = this.#engine.get<{ low: number | null; high: number | null }>(spanOf);
    const [low, newest] = [span?.low ?? 1, span?.high ?? 0];
    const found: LogRow[] = [];
    let window: number = limits.logWindow;
    let to = newest;
    while (to >= low && found.length < limit && this.#open && !signal.aborted) {
      const startedMs = machine.monotonicMs();
      const rest = limit - found.length;
      found.push(...this.#engine.all<LogRow>(sql, ...values, to - window, to, rest));
      to -= window;
      const late = machine.monotonicMs() - startedMs > limits.logSliceMs;
      window = late ? Math.max(1, window >> 1) : window * 2;
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { lines: found.map(lineOf).reverse(), newest };
  }

  follow(query: LogQuery, signal: AbortSignal): AsyncIterable<LogLine> {
    const backlog = (after: number) => this.query({ ...query, after, limit: undefined });
    return this.#followers.follow(query, { signal, backlog });
  }

  flush(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (!this.#open) return;
    this.#tellDropped();
    const lines = this.#pending;
    if (lines.length === 0) return;
    this.#pending = [];
    this.#pendingChars = 0;
    try {
      this.#write(lines);
      this.#trim();
      this.#lost = 0;
    } catch {
      // A log that cannot be written (disk full) must not hinder anybody; the loss is told later.
      this.#lost += lines.length;
      this.#giveUp();
    }
  }

  #giveUp(): void {
    try {
      if (this.#engine.inTransaction()) this.#engine.run("ROLLBACK");
    } catch {
      // A device that fails twice: the next BEGIN says so, and no timer may end the kernel.
    }
  }

  close(): void {
    if (!this.#open) return;
    this.flush();
    this.#open = false;
    this.#followers.close();
    this.#engine.close();
  }

  #accept(draft: Draft): void {
    const { appId, app, releaseId, level, text } = draft;
    const at = this.#options.machine.now();
    const line: LogLine = { id: this.#nextId++, at, app, appId, releaseId, level, text };
    this.#pending.push(line);
    this.#pendingChars += text.length;
    this.#followers.tell(line);
  }

  #tellDropped(): void {
    const { logBurstLinesMax } = this.#options.limits;
    for (const { draft, dropped } of this.#bursts.values()) {
      if (dropped === 0) continue;
      const text = `dropped ${dropped} lines: more than ${logBurstLinesMax} at once`;
      this.#accept({ ...draft, level: "warn", text });
    }
    this.#bursts.clear();
    if (this.#lost === 0) return;
    const text = `lost ${this.#lost} lines: the log could not be written`;
    this.#accept({ app: "kernel", appId: null, releaseId: null, level: "warn", text });
  }

  #write(lines: readonly LogLine[]): void {
    const engine = this.#engine;
    engine.run("BEGIN IMMEDIATE");
    const last = engine.get<{ id: number | null }>("SELECT max(id) AS id FROM log_line")?.id ?? 0;
    const ahead = Math.max(0, last + 1 - (lines[0]?.id ?? 0));
    this.#nextId += ahead;
    for (const line of lines) {
      engine.run(
        "INSERT INTO log_line VALUES (?, ?, ?, ?, ?, ?, ?)",
        line.id + ahead,
        line.at,
        line.app,
        line.appId,
        line.releaseId,
        levelRank[line.level],
        line.text,
      );
    }
    engine.run("COMMIT");
    if (this.#rows !== null) this.#rows += lines.length;
  }

  /**
   * Removes a sixteenth until the ring is within its bounds: the oldest lines of whoever has the
   * most in it, so that a chatty app loses its own past and nobody else's.
   */
  #trim(): void {
    const { logBytesMax, logRowsMax } = this.#options.limits;
    for (let round = 0; round < trimRoundsMax; round++) {
      const ring = this.#engine.get<RingSize>(ringSize);
      if (ring === null || ring.low === null || ring.high === null) return;
      const spanned = ring.high - ring.low + 1;
      if (ring.bytes <= logBytesMax && spanned <= logRowsMax) return;
      this.#rows ??= this.#engine.get<{ n: number }>("SELECT count(*) AS n FROM log_line")?.n ?? 0;
      if (ring.bytes <= logBytesMax && this.#rows <= logRowsMax) return;
      const [most] = this.#engine.all<{ app: string; rows: number; bytes: number }>(shares);
      if (most === undefined) return;
      const share = Math.max(ring.bytes / most.bytes, this.#rows / most.rows) / 16;
      const count = Math.min(most.rows, Math.max(1, Math.floor(most.rows * share)));
      this.#engine.run(oldestOf, most.app, count);
      this.#rows -= count;
    }
  }
}

/** Sixteenths removed after one write, at most: the rest goes after the next one. */
const trimRoundsMax = 8;

interface RingSize {
  readonly bytes: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** Who has how much in the ring, the largest first; a line costs more than its text. */
const shares = `
  SELECT app, count(*) AS rows, sum(octet_length(text) + 64) AS bytes
  FROM log_line GROUP BY app ORDER BY bytes DESC LIMIT 1`;

const oldestOf = `
  DELETE FROM log_line WHERE id IN (SELECT id FROM log_line WHERE app = ? ORDER BY id LIMIT ?)`;

// Ids may have gaps: their span is the most lines there can be, and costs nothing to know.
const ringSize = `
  SELECT (p.page_count - f.freelist_count) * s.page_size AS bytes,
    (SELECT min(id) FROM log_line) AS low, (SELECT max(id) FROM log_line) AS high
  FROM pragma_page_count AS p, pragma_freelist_count AS f, pragma_page_size AS s`;

interface LogRow {
  readonly id: number;
  readonly at: number;
  readonly app: string;
  readonly app_id: string | null;
  readonly release_id: string | null;
  readonly level: number;
  readonly text: string;
}

function conditions(query: LogQuery): { where: string; values: SqlValue[] } {
  const parts: [string, SqlValue | undefined][] = [
    ["id > ?", query.after],
    ["app = ?", query.app],
    ["app_id = ?", query.appId],
    ["at >= ?", query.sinceMs],
    ["level >= ?", query.level === undefined ? undefined : levelRank[query.level]],
    ["instr(text, ?) > 0", query.grep],
  ];
  const where = ["1"];
  const values: SqlValue[] = [];
  for (const [sql, value] of parts) {
    if (value === undefined) continue;
    where.push(sql);
    values.push(value);
  }
  return { where: where.join(" AND "), values };
}

function lineOf(row: LogRow): LogLine {
  const { id, at, app, text } = row;
  const level = levels[row.level] ?? "info";
  return { id, at, app, appId: row.app_id, releaseId: row.release_id, level, text };
}

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** A line no longer than `charsMax`, told how much is missing. Pure. */
export function cut(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text.toWellFormed();
  return `${text.slice(0, charsMax).toWellFormed()}… (${text.length - charsMax} more)`;
}
