/**
 * Who follows the log: each follower has a bounded queue, is woken by the line itself (nobody
 * polls), and ends with its signal or with the ring.
 */
import type { LogLevel, LogLine, LogQuery } from "./log.ts";

/** How grave a level is; also how it is stored. */
export const levelRank: Readonly<Record<LogLevel, number>> = {
  debug: 0,
  info: 1,
  warn: 2,
  error: 3,
};

/** Whether a line is what a query asks for, its page aside. Pure. */
function matches(line: LogLine, query: LogQuery): boolean {
  return (
    (query.app === undefined || line.app === query.app) &&
    (query.appId === undefined || line.appId === query.appId) &&
    (query.sinceMs === undefined || line.at >= query.sinceMs) &&
    (query.level === undefined || levelRank[line.level] >= levelRank[query.level]) &&
    (query.grep === undefined || line.text.includes(query.grep))
  );
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** A page of older lines after an id; empty when there are no more. */
  readonly backlog: (after: number) => LogLine[];
}

interface Follower {
  readonly query: LogQuery;
  queue: LogLine[];
  dropped: number;
  ended: boolean;
  wake: () => void;
}

export class Followers {
  readonly #queueMax: number;
  readonly #all = new Set<Follower>();

  constructor(queueMax: number) {
    this.#queueMax = queueMax;
  }

  /** Hands a new line to whoever asked for lines like it. */
  tell(line: LogLine): void {
    for (const follower of this.#all) {
      if (!matches(line, follower.query)) continue;
      if (follower.queue.length >= this.#queueMax) follower.dropped++;
      else follower.queue.push(line);
      follower.wake();
    }
  }

  // Registered before the first line is asked for, so that none is missed in between.
  follow(query: LogQuery, options: FollowOptions): AsyncIterable<LogLine> {
    const follower: Follower = { query, queue: [], dropped: 0, ended: false, wake: () => {} };
    this.#all.add(follower);
    const end = () => this.#end(follower);
    if (options.signal.aborted) end();
    else options.signal.addEventListener("abort", end, { once: true });
    return this.#lines(follower, options.backlog);
  }

  /** Ends every follower. */
  close(): void {
    for (const follower of this.#all) this.#end(follower);
  }

  #end(follower: Follower): void {
    this.#all.delete(follower);
    follower.ended = true;
    follower.wake();
  }

  async *#lines(follower: Follower, backlog: FollowOptions["backlog"]): AsyncGenerator<LogLine> {
    try {
      let last = follower.query.after ?? -1;
      for (const line of this.#older(follower, backlog)) {
        last = line.id;
        yield line;
      }
      while (!follower.ended) {
        const lines = follower.queue.splice(0).filter((line) => line.id > last);
        yield* lines;
        const newest = lines.at(-1);
        if (newest !== undefined) last = newest.id;
        if (follower.dropped > 0 && newest !== undefined) yield tellDropped(follower, newest);
        if (follower.queue.length === 0) await this.#news(follower);
      }
    } finally {
      this.#end(follower);
    }
  }

  *#older(follower: Follower, backlog: FollowOptions["backlog"]): Generator<LogLine> {
    let last = follower.query.after;
    while (last !== undefined && !follower.ended) {
      const page = backlog(last);
      yield* page;
      last = page.at(-1)?.id;
    }
  }

  async #news(follower: Follower): Promise<void> {
    if (follower.ended) return;
    await new Promise<void>((resolve) => {
      follower.wake = resolve;
    });
    follower.wake = () => {};
  }
}

function tellDropped(follower: Follower, after: LogLine): LogLine {
  const text = `dropped ${follower.dropped} lines: this reader is too slow`;
  follower.dropped = 0;
  return { ...after, app: "kernel", appId: null, releaseId: null, level: "warn", text };
}
