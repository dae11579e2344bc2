/**
 * The front page of the process that checks: `fazt check-child` reads its job as JSON from standard
 * input and writes what it found to standard output, as JSON. It opens the database for reading
 * only, beside the kernel, whose writers wait for nothing; the log is not begun anew meanwhile.
 */

import { constants, Database } from "bun:sqlite";
import { writeSync } from "node:fs";
import { yieldToServed } from "../../yielding.ts";
import type { Reader, SqlValue } from "../storage.ts";
import { examine, type Look } from "./look.ts";

/** What the process is told. */
export interface CheckJob {
  readonly database: string;
  readonly looks: readonly Look[];
}

function readerOf(db: Database): Reader {
  return {
    get: <T>(sql: string, ...values: SqlValue[]) => db.query(sql).get(...values) as T | null,
    all: <T>(sql: string, ...values: SqlValue[]) => db.query(sql).all(...values) as T[],
  };
}

/** The life of the process. Answers its exit code. */
export async function runCheckChild(): Promise<number> {
  yieldToServed();
  const { database, looks } = (await Bun.stdin.json()) as CheckJob;
  const db = new Database(database, constants.SQLITE_OPEN_READONLY);
  try {
    for (const pragma of ["busy_timeout = 5000", "trusted_schema = OFF", "temp_store = MEMORY"]) {
      db.run(`PRAGMA ${pragma}`);
    }
    const bytes = Buffer.from(JSON.stringify(examine(readerOf(db), looks)));
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
    return 0;
  } finally {
    db.close();
  }
}
