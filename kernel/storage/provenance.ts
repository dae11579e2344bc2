/**
 * What a user left: every row whose `user_id` is theirs, whoever's table it is in (the column is the
 * system's convention). Told on demand, and erased in one transaction.
 *
 * Rules: content a user wrote last (pairs, documents, files) is removed by the domain that keeps it;
 * every other row (apps, releases, routes, the audit log) stays and forgets who it was. Bytes and
 * secrets are never told, only their size. What an app keeps in its SQL volume is the app's own to
 * tell and erase.
 */
import { assert } from "../assert.ts";
import type { SqlRow, SqlValue, Storage, Tx } from "./storage.ts";

/** Removes what a user wrote, within a transaction; answers the rows. */
export type Eraser = (tx: Tx, userId: string) => number;

/** One row that carries the user's id. */
export interface Left {
  readonly table: string;
  readonly row: Readonly<Record<string, unknown>>;
}

export interface Provenance {
  /** Registers how a domain removes content; what carries the id after it only forgets it. */
  onErase(domain: string, erase: Eraser): void;
  /** Erases a user, with `first` in the same write; rows that were removed, and rows that forgot. */
  erase(userId: string, first: (tx: Tx) => void): Promise<{ removed: number; forgotten: number }>;
  /** Every row of theirs, table by table, a page at a time. */
  rows(userId: string): Generator<Left>;
}

/** Rows read at once. */
const page = 200;
/** Columns whose text opens something, or would with time. */
const secretColumn = /^security_\w+\.(\w+_)?hash$/;

function shown(column: string, value: SqlValue): unknown {
  if (value instanceof Uint8Array) return { bytes: value.length };
  return secretColumn.test(column) && value !== null ? "•••" : value;
}

/** Over the one database; `erasers` of other domains are registered by them. */
export function createProvenance({ read, write }: Pick<Storage, "read" | "write">): Provenance {
  const erasers = new Map<string, Eraser>();

  const tables = () =>
    read.all<{ name: string; bare: number }>(
      `SELECT l.name, l.wr AS bare FROM pragma_table_list l WHERE l.schema = 'main'
         AND l.type = 'table' AND EXISTS (
           SELECT 1 FROM pragma_table_info(l.name) c WHERE c.name = 'user_id')
       ORDER BY l.name`,
    );

  function* rowsOf(table: { name: string; bare: number }, userId: string): Generator<SqlRow> {
    const all = `SELECT * FROM "${table.name}" WHERE user_id = ?`;
    // Tables without rowids are small: the environments of apps.
    if (table.bare !== 0) return yield* read.all<SqlRow>(all, userId);
    const some = all.replace("*", "rowid AS place, *");
    for (let after = 0; ; ) {
      const found = read.all<SqlRow>(
        `${some} AND rowid > ? ORDER BY rowid LIMIT ${page}`,
        ...[userId, after],
      );
      for (const { place, ...row } of found) {
        after = Number(place);
        yield row;
      }
      if (found.length < page) return;
    }
  }

  return {
    onErase(domain, erase) {
      assert(!erasers.has(domain), `what erasing means for "${domain}" is said once`);
      erasers.set(domain, erase);
    },
    erase: (userId, first) =>
      write(
        (tx) => {
          first(tx);
          const removed = [...erasers.values()].reduce((sum, erase) => sum + erase(tx, userId), 0);
          const forget = ({ name }: { name: string }) =>
            tx.run(`UPDATE "${name}" SET user_id = NULL WHERE user_id = ?`, userId);
          const forgotten = tables().reduce((sum, table) => sum + forget(table), 0);
          return { removed, forgotten };
        },
        { essential: true },
      ),
    *rows(userId) {
      for (const table of tables()) {
        for (const row of rowsOf(table, userId)) {
          const entries = Object.entries(row);
          const told = entries.map(([column, value]) => [
            column,
            shown(`${table.name}.${column}`, value),
          ]);
          yield { table: table.name, row: Object.fromEntries(told) };
        }
      }
    },
  };
}
