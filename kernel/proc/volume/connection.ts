/**
 * A volume, opened for one task, and SQLite's refusals as errno.
 *
 * Rules: who reads opens the file read-only; statements of others pass an authorizer that keeps
 * them inside this file, this connection's transaction and its log mode.
 */
import { statSync } from "node:fs";
import { constants, DatabaseSync } from "node:sqlite";
import { type Errno, SysError } from "../../errno.ts";
import { isBlankVolume, readerPragmas, volumePragmas } from "../../pragma.ts";
import type { Outcome } from "./task.ts";

/** Opens an existing volume for reading. ENOENT. */
export function openReader(file: string): DatabaseSync {
  const bytes = (path: string) => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (isBlankVolume(bytes(file), bytes(`${file}-wal`))) {
    throw new SysError("ENOENT", "cannot read: the app has no SQL volume yet", {
      hint: "it is made when the app first calls kernel.storage.sql(), or with --write",
    });
  }
  const db = new DatabaseSync(file, { readOnly: true });
  for (const pragma of readerPragmas()) db.exec(pragma);
  return db;
}

/** Opens or makes a volume. */
export function openWriter(file: string, quotaBytes: number): DatabaseSync {
  const db = new DatabaseSync(file);
  for (const pragma of readerPragmas()) db.exec(pragma);
  const row = db.prepare("PRAGMA page_size").get() as { page_size: number };
  for (const pragma of volumePragmas(quotaBytes, row.page_size)) db.exec(pragma);
  return db;
}

/** Settings that belong to the kernel: they would outlive the statement, or its limits. */
const ourPragmas =
  /^(journal_mode|locking_mode|max_page_count|page_size|wal_\w+|writable_schema)$/i;

/** Runs somebody's statements: no other file, no end of our transaction, no change of the log. */
export function fenced<T>(db: DatabaseSync, run: () => T): T {
  const { SQLITE_ATTACH, SQLITE_DETACH, SQLITE_TRANSACTION, SQLITE_PRAGMA } = constants;
  const refused: readonly number[] = [SQLITE_ATTACH, SQLITE_DETACH, SQLITE_TRANSACTION];
  db.setAuthorizer((action, name, value) => {
    const setting = action === SQLITE_PRAGMA && value !== null && ourPragmas.test(name ?? "");
    return refused.includes(action) || setting ? constants.SQLITE_DENY : constants.SQLITE_OK;
  });
  try {
    return run();
  } finally {
    db.setAuthorizer(null);
  }
}

/** SQLite's primary result codes that are not the statement's own mistake (sqlite.org/rescode). */
const refusals: Readonly<Record<number, { readonly code: Errno; readonly hint: string }>> = {
  5: { code: "EBUSY", hint: "the app holds a transaction; try again" },
  6: { code: "EBUSY", hint: "the app holds a transaction; try again" },
  8: { code: "EROFS", hint: "to change data add --write" },
  10: { code: "EIO", hint: "look at the disk" },
  11: { code: "EBADMSG", hint: "restore the app's volume from a backup" },
  13: { code: "EDQUOT", hint: "remove rows, then VACUUM in the app; the limit is volumeBytesMax" },
  18: { code: "EFBIG", hint: "select less" },
  23: { code: "EINVAL", hint: "one statement on the app's own database; no ATTACH, no BEGIN" },
  26: { code: "EBADMSG", hint: "restore the app's volume from a backup" },
};

/** A SQLite error as a SysError; others as they are. */
export function asSysError(error: unknown, action: string): unknown {
  if (!(error instanceof Error) || error instanceof SysError) return error;
  const { errcode, code } = error as { errcode?: unknown; code?: unknown };
  const sqlite = typeof errcode === "number" || String(code).startsWith("ERR_");
  if (!sqlite) return error;
  const known = typeof errcode === "number" ? refusals[errcode & 0xff] : undefined;
  return new SysError(known?.code ?? "EINVAL", `${action}: ${error.message}`, {
    hint: known?.hint ?? "correct the SQL",
  });
}

/** Whatever went wrong, as what the kernel is told. */
export function asRefusal(error: unknown): Outcome {
  const known = asSysError(error, "cannot open the SQL volume");
  if (known instanceof SysError) {
    const { code, message, hint } = known;
    return { kind: "refused", code, message, hint };
  }
  return { kind: "refused", code: "EIO", message: String(known), hint: null };
}
