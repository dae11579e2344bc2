/**
 * What the kernel asks of the process beside an app, and what that answers: one JSON text each
 * way. Types only; both ends trust the shape, neither trusts the contents of the database.
 */
import type { Errno } from "../../errno.ts";

/** One value on its way to or from SQLite; integers beyond 2^53 travel as text. */
export type Cell = null | number | string | { readonly base64: string };

export interface StatementTask {
  readonly kind: "statement";
  readonly sql: string;
  /** By position, or by name without its sign. */
  readonly params: readonly Cell[] | Readonly<Record<string, Cell>>;
  readonly write: boolean;
  readonly rowsMax: number;
  readonly bytesMax: number;
}

export interface MigrationFile {
  readonly name: string;
  /** SHA-256 of its bytes, lower-case hex. */
  readonly hash: string;
  readonly sql: string;
}

export interface MigrateTask {
  readonly kind: "migrate";
  /** In the order they are applied. */
  readonly files: readonly MigrationFile[];
  /** Unix ms. */
  readonly at: number;
}

/** Which of these the volume has not had. */
export interface PendingTask {
  readonly kind: "pending";
  readonly files: readonly MigrationFile[];
}

/** The task, and the volume it is about as the process sees it. */
export interface Job {
  readonly file: string;
  readonly quotaBytes: number;
  readonly task: StatementTask | MigrateTask | PendingTask;
}

export type Row = Readonly<Record<string, Cell>>;

/** Rows of a statement; names of migrations, applied or pending; or a refusal. */
export type Outcome =
  | { readonly kind: "rows"; readonly rows: Row[] }
  | { readonly kind: "applied"; readonly names: readonly string[] }
  | {
      readonly kind: "refused";
      readonly code: Errno;
      readonly message: string;
      readonly hint: string | null;
    };
