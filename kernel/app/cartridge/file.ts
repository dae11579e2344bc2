/**
 * The cartridge as a file, in a process of its own: frames become rows, rows become frames. The
 * file is a stranger's until every check has passed: its schema is compared before a row is read,
 * SQLite looks through its structure, and every table must hash to what its section says.
 */
import { constants, Database, type Statement } from "bun:sqlite";
import { SysError } from "../../errno.ts";
import {
  cartridgeFormat,
  cartridgeId,
  cartridgeSchema,
  columnsOf,
  damagedCartridge,
  type Frame,
  itemBytesMax,
  itemKinds,
  partBytesMax,
} from "./frame.ts";
import type { ItemKind } from "./item.ts";

type Value = string | number | null | Uint8Array;
type Table = ItemKind | "part";

const tables: readonly Table[] = [...itemKinds, "part"];
const columns = (table: Table): string[] => (table === "part" ? ["bytes"] : columnsOf(table));

/** Hashes rows of a table, column by column, so that no two different tables hash alike. */
class Digest {
  readonly #hasher = new Bun.CryptoHasher("sha256");
  rows = 0;

  add(values: readonly Value[]): void {
    this.rows++;
    for (const value of values) {
      const bytes =
        value instanceof Uint8Array ? value : new TextEncoder().encode(JSON.stringify(value));
      this.#hasher.update(`${bytes.length}:`).update(bytes);
    }
  }

  hex(): string {
    return this.#hasher.digest("hex");
  }
}

/** Writes the file of these frames, which end with `end`. ENOSPC, EIO as SQLite says. */
export async function writeCartridge(path: string, frames: AsyncIterable<Frame>): Promise<void> {
  const db = new Database(path, { create: true, readwrite: true });
  try {
    for (const pragma of ["page_size = 8192", "journal_mode = OFF", "synchronous = OFF"]) {
      db.run(`PRAGMA ${pragma}`);
    }
    db.run(`PRAGMA application_id = ${cartridgeId}`);
    db.run(`PRAGMA user_version = ${cartridgeFormat}`);
    for (const sql of cartridgeSchema) db.run(sql);
    const digests = new Map<Table, Digest>(tables.map((table) => [table, new Digest()]));
    const inserts = new Map<Table, Statement>(
      tables.map((table) => [table, insertInto(db, table)]),
    );
    const put = (table: Table, values: Value[]): void => {
      inserts.get(table)?.run(...values);
      digests.get(table)?.add(values);
    };
    db.run("BEGIN");
    for await (const frame of frames) {
      if (frame.kind === "end") break;
      if (frame.kind === "part") put("part", [frame.bytes]);
      else
        put(
          frame.kind,
          columns(frame.kind).map((name) => cell(frame.item, name)),
        );
    }
    for (const [table, digest] of digests) {
      db.run("INSERT INTO cartridge_section VALUES (?, ?, ?)", [table, digest.rows, digest.hex()]);
    }
    db.run("COMMIT");
    for (const statement of inserts.values()) statement.finalize();
  } finally {
    db.close();
  }
}

function insertInto(db: Database, table: Table): Statement {
  const names = columns(table);
  const marks = names.map(() => "?").join(", ");
  return db.prepare(`INSERT INTO cartridge_${table} (${names.join(", ")}) VALUES (${marks})`);
}

const cell = (item: object, name: string): Value =>
  (item as Readonly<Record<string, Value>>)[name] ?? null;

/** Nothing of the schema runs, sizes are looked at, nothing is mapped or written. */
const wary = [
  "trusted_schema = OFF",
  "cell_size_check = ON",
  "mmap_size = 0",
  "temp_store = MEMORY",
];

/** Opens a stranger's file and refuses what is no cartridge of ours. EBADMSG. */
function openCartridge(path: string): Database {
  const how = constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_NOFOLLOW;
  const db = new Database(path, how);
  try {
    for (const pragma of wary) db.run(`PRAGMA ${pragma}`);
    checkIdentity(db);
    const found = db.query<{ sql: string | null; name: string }, []>(
      "SELECT sql, name FROM sqlite_schema ORDER BY rowid",
    );
    const schema = found.all().map((row) => row.sql ?? row.name);
    if (JSON.stringify(schema) !== JSON.stringify(cartridgeSchema)) {
      throw damagedCartridge("its schema", "is not that of a cartridge");
    }
    const check = db.query<{ quick_check: string }, []>("PRAGMA quick_check(1)").get();
    if (check?.quick_check !== "ok") throw damagedCartridge("the file", "is damaged");
    for (const table of tables) checkSizes(db, table);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Refuses a row no reader would hold, before it is read: its lengths stand in its head. */
function checkSizes(db: Database, table: Table): void {
  const bytes = columns(table).map((name) => `coalesce(octet_length(${name}), 0)`);
  const max = table === "part" ? partBytesMax : itemBytesMax;
  const sql = `SELECT n FROM cartridge_${table} WHERE ${bytes.join(" + ")} > ${max} LIMIT 1`;
  if (db.query(sql).get() !== null) throw damagedCartridge(`section "${table}"`, "is too large");
}

function checkIdentity(db: Database): void {
  const id = db.query<{ application_id: number }, []>("PRAGMA application_id").get();
  const format = db.query<{ user_version: number }, []>("PRAGMA user_version").get();
  if (id?.application_id !== cartridgeId) {
    throw new SysError("EBADMSG", "cannot read the cartridge: this is no cartridge", {
      hint: "name a file that `fazt app export` wrote",
    });
  }
  const version = format?.user_version ?? 0;
  if (version === cartridgeFormat) return;
  const state = version > cartridgeFormat ? `a newer fazt wrote format ${version}` : "bad format";
  throw new SysError("EBADMSG", `cannot read the cartridge: ${state}`, {
    hint: "update this fazt, or export it again from a machine of this version",
  });
}

/** The rows of one table as they come, hashed on the way. */
function* rowsOf(db: Database, table: Table, digest: Digest): Generator<Value[]> {
  const names = columns(table).join(", ");
  const statement = db.prepare<Record<string, Value>, []>(
    `SELECT ${names} FROM cartridge_${table} ORDER BY n`,
  );
  for (const row of statement.iterate()) {
    const values = columns(table).map((name) => row[name] ?? null);
    digest.add(values);
    yield values;
  }
  statement.finalize();
}

function* partsOf(parts: Iterator<Value[]>, count: number): Generator<Frame> {
  for (let i = 0; i < count; i++) {
    const next = parts.next();
    const bytes = next.done === true ? undefined : next.value[0];
    if (!(bytes instanceof Uint8Array) || bytes.length > partBytesMax) {
      throw damagedCartridge('section "part"', "is damaged");
    }
    yield { kind: "part", bytes };
  }
}

/** The frames of a cartridge; `end` comes only after everything hashed to what it should. */
export function* readCartridge(path: string): Generator<Frame> {
  const db = openCartridge(path);
  try {
    const said = new Map(
      db
        .query<{ kind: string; rows: number; hash: string }, []>("SELECT * FROM cartridge_section")
        .all()
        .map((row) => [row.kind, row]),
    );
    const digests = new Map<Table, Digest>(tables.map((table) => [table, new Digest()]));
    const digestOf = (table: Table): Digest => digests.get(table) ?? new Digest();
    const parts = rowsOf(db, "part", digestOf("part"));
    for (const kind of itemKinds) {
      for (const values of rowsOf(db, kind, digestOf(kind))) {
        const item = Object.fromEntries(columns(kind).map((name, i) => [name, values[i]]));
        yield { kind, item } as unknown as Frame;
        const count = item["parts"];
        if (typeof count === "number") yield* partsOf(parts, count);
      }
    }
    if (parts.next().done !== true) throw damagedCartridge('section "part"', "has too many rows");
    for (const [table, digest] of digests) {
      const row = said.get(table);
      if (row?.rows === digest.rows && row.hash === digest.hex()) continue;
      throw damagedCartridge(`section "${table}"`, "is damaged");
    }
    yield { kind: "end" };
  } finally {
    db.close();
  }
}
