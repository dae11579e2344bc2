/**
 * Where an id still stands: every text of every table of the database, and the volumes. What is
 * erased must leave nothing but the audit's record that it was.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Storage } from "../kernel/storage/mod.ts";

/** Tables that record what was done, and are meant to. */
const records = new Set(["security_audit"]);

/** `table.column` of every place that holds the text, and `volumes/…`. */
export function traces(storage: Storage, text: string): string[] {
  const { read } = storage;
  const tables = read.all<{ name: string }>(
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  );
  const found: string[] = [];
  for (const { name } of tables) {
    if (records.has(name)) continue;
    for (const column of read.all<{ name: string }>(
      `SELECT name FROM pragma_table_info('${name}')`,
    )) {
      const sql = `SELECT 1 FROM "${name}" WHERE instr(CAST("${column.name}" AS TEXT), ?) > 0 LIMIT 1`;
      if (read.get(sql, text) !== null) found.push(`${name}.${column.name}`);
    }
  }
  const { dataDir } = storage.status();
  if (existsSync(join(dataDir, "volumes", text))) found.push(`volumes/${text}`);
  return found;
}
