/**
 * Whether the database is whole. One table at a time with a turn of the event loop between them,
 * so that others are served meanwhile; a table is read in one go.
 */
import type { StorageLimits } from "./limits.ts";
import type { Reader, StorageCheck } from "./storage.ts";

/** Checks structure, types and constraints of every table, and counts its rows. */
export async function checkDatabase(
  read: Reader,
  { checkProblemsMax }: StorageLimits,
): Promise<StorageCheck> {
  const problems: string[] = [];
  const tables: { name: string; rows: number }[] = [];
  const names = read.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
  );
  for (const { name } of names) {
    await turn();
    const quoted = name.replaceAll('"', '""');
    try {
      const found = read.all<{ quick_check: string }>(`PRAGMA quick_check("${quoted}")`);
      problems.push(...found.map((row) => row.quick_check).filter((text) => text !== "ok"));
      const count = read.get<{ n: number }>(`SELECT count(*) AS n FROM "${quoted}"`);
      tables.push({ name, rows: count?.n ?? 0 });
    } catch (error) {
      // A page too broken to be read at all: that is the finding.
      problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { ok: problems.length === 0, problems: problems.slice(0, checkProblemsMax), tables };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
