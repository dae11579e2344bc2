import type { Migration } from "./migrate.ts";

export function lintMigration(_migration: Migration): string[] {
  return [];
}
