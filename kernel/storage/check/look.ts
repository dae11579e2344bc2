/**
 * What a check looks at: structure, types and constraints of every table and how many rows it has,
 * whose rows they are, and what a domain's own queries find wrong.
 *
 * Rule: it is data and SQL only, because it happens in a process that has none of the domains.
 */

import type { Reader, StorageCheck } from "../storage.ts";
import { type OwnedTable, ownersOf } from "../upkeep.ts";

/** A domain's look at its own rows: a query whose rows are faults, each with a `what`. */
export interface Look {
  readonly domain: string;
  readonly say: string;
  readonly sql: string;
}

/** What was found; `owners` is for those who know whom there should be. */
export interface Examined extends Omit<StorageCheck, "ok"> {
  readonly owners: readonly OwnedTable[];
}

/** Looks through a database. */
export function examine(read: Reader, looks: readonly Look[]): Examined {
  const problems: string[] = [];
  const tables: { name: string; rows: number }[] = [];
  const names = read.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
  );
  for (const { name } of names) {
    const quoted = name.replaceAll('"', '""');
    try {
      const found = read.all<{ quick_check: string }>(`PRAGMA quick_check("${quoted}")`);
      problems.push(...found.map((row) => row.quick_check).filter((text) => text !== "ok"));
      const count = read.get<{ n: number }>(`SELECT count(*) AS n FROM "${quoted}"`);
      tables.push({ name, rows: count?.n ?? 0 });
    } catch (error) {
      // A page too broken to be read at all: that is the finding.
      problems.push(`${name}: ${textOf(error)}`);
    }
  }
  for (const { domain, say, sql } of looks) {
    try {
      const faults = read.all<{ what: string | number }>(sql);
      for (const { what } of faults) problems.push(`${domain}: ${say}: ${JSON.stringify(what)}`);
    } catch (error) {
      problems.push(`${domain}: ${say}: ${textOf(error)}`);
    }
  }
  return { problems, tables, owners: ownersIn(read, problems) };
}

function ownersIn(read: Reader, problems: string[]): OwnedTable[] {
  try {
    return [...ownersOf(read)];
  } catch (error) {
    problems.push(`storage: ${textOf(error)}`);
    return [];
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
