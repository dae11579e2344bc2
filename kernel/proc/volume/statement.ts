/**
 * One statement from outside on an app's volume, and its rows as JSON.
 *
 * Rules: one statement at a time (what follows it is refused, not dropped); a result over the caps
 * is refused, never cut; columns of one name are told apart (`id`, `id:2`); bytes travel as
 * `{"base64"}`, integers beyond 2^53 as text. A statement without rows answers what it changed.
 */
import type { DatabaseSync, SQLInputValue, SQLOutputValue } from "node:sqlite";
import { SysError } from "../../errno.ts";
import { asSysError, fenced } from "./connection.ts";
import type { Cell, Row, StatementTask } from "./task.ts";

/** Runs it. EINVAL, EFBIG, EROFS, EBUSY, EDQUOT, EBADMSG. */
export function runStatement(db: DatabaseSync, task: StatementTask): Row[] {
  if (hasTail(task.sql)) {
    throw new SysError("EINVAL", "cannot run this SQL: more than one statement", {
      hint: "send them one at a time",
    });
  }
  try {
    return fenced(db, () => perform(db, task));
  } catch (error) {
    throw asSysError(error, "cannot run this SQL");
  }
}

function perform(db: DatabaseSync, { sql, params, rowsMax, bytesMax }: StatementTask): Row[] {
  const statement = db.prepare(sql);
  statement.setReadBigInts(true);
  const names = distinct(statement.columns().map(({ name }) => name));
  const bound = bind(params) as SQLInputValue[];
  if (names.length === 0) {
    const { changes, lastInsertRowid } = statement.run(...bound);
    return [{ changes: cellOf(changes), lastInsertRowid: cellOf(lastInsertRowid) }];
  }
  statement.setReturnArrays(true);
  const rows: Row[] = [];
  let bytes = 0;
  for (const values of statement.iterate(...bound) as Iterable<unknown>) {
    const cells = (values as SQLOutputValue[]).map(cellOf);
    const row = Object.fromEntries(names.map((name, i) => [name, cells[i] ?? null]));
    bytes += Buffer.byteLength(JSON.stringify(row)) + 1;
    if (rows.length >= rowsMax || bytes > bytesMax) {
      const most = rows.length >= rowsMax ? `${rowsMax} rows` : `${bytesMax} bytes`;
      throw new SysError("EFBIG", `cannot answer: the result is over ${most}`, {
        hint: "add LIMIT and OFFSET, or name fewer columns",
      });
    }
    rows.push(row);
  }
  return rows;
}

/** As the arguments of a statement: values in order, or one object of names. */
function bind(params: StatementTask["params"]): unknown[] {
  if (Array.isArray(params)) return params.map(inputOf);
  const named = Object.entries(params).map(([name, cell]) => [name, inputOf(cell)] as const);
  return [Object.fromEntries(named)];
}

function inputOf(cell: Cell): SQLInputValue {
  if (typeof cell === "object" && cell !== null) return Buffer.from(cell.base64, "base64");
  // SQLite keeps whole numbers as integers only when they come as such.
  return typeof cell === "number" && Number.isSafeInteger(cell) ? BigInt(cell) : cell;
}

function cellOf(value: SQLOutputValue): Cell {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  // JSON has no infinity; SQLite has.
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

function distinct(names: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return names.map((name) => {
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    return count === 1 ? name : `${name}:${count}`;
  });
}

const piece = /'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;

/** Whether something follows the first statement. Triggers hold semicolons of their own. */
export function hasTail(sql: string): boolean {
  const bare = sql.replace(piece, (text) => (/^(--|\/\*)/.test(text) ? " " : "x"));
  const trigger = /^\s*create\s+(temp\s+|temporary\s+)?trigger\b/i.test(bare);
  const end = trigger ? bare.search(/;\s*end\s*;/i) : bare.indexOf(";");
  if (end < 0) return false;
  const rest = trigger ? bare.slice(end).replace(/^;\s*end\s*;/i, "") : bare.slice(end + 1);
  return /[^\s;]/.test(rest);
}
