/**
 * Books that are kept in every kind of storage while the machine is killed: each writer writes
 * 1, 2, 3 … as pairs, documents, files or rows of an app's own database, one at a time, and notes
 * what was acknowledged and when. A database may then hold 1 … n of a writer, for any
 * n that is not less than what it must hold, and nothing else.
 */
import { Database } from "bun:sqlite";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { CallRefused, type KernelProcess } from "../process.ts";

const bookName = "book";

/** What stands at number n, of every kind: some bytes that only n has. */
const textOf = (n: number): string => `${n} `.repeat(1 + ((n * 7) % 90));

/** As `textOf`, larger: a file of more than one chunk now and then. */
const bytesOf = (n: number): string => `${n}\n`.repeat(n % 397 === 0 ? 300_000 : 1 + (n % 3_000));

const server = `
import { kernel } from "fazt";
const db = kernel.storage.sql();
db.run("CREATE TABLE IF NOT EXISTS line (n INTEGER PRIMARY KEY, text TEXT NOT NULL)");
const add = db.prepare("INSERT INTO line VALUES (?, ?)");
export default {
  async fetch(request) {
    if (request.method === "GET") return new Response("open");
    add.run(Number(new URL(request.url).pathname.slice(1)), await request.text());
    return new Response("kept");
  },
};
`;

export type Kind = "kv" | "doc" | "fs" | "sql";
const kinds: readonly Kind[] = ["kv", "doc", "fs", "sql"];

/** One write that was answered. */
interface Acknowledged {
  readonly n: number;
  readonly atMs: number;
}

export interface Book {
  readonly kind: Kind;
  /** Everything up to here was found after the last restart. */
  base: number;
  acknowledged: Acknowledged[];
}

export const emptyBooks = (): Book[] => kinds.map((kind) => ({ kind, base: 0, acknowledged: [] }));

/** Deploys the app that keeps the rows; answers its id. */
export async function deployBook(machine: KernelProcess): Promise<string> {
  const dir = machine.scratch(bookName);
  writeFileSync(join(dir, "server.js"), server);
  writeFileSync(join(dir, "app.json"), JSON.stringify({ name: bookName, server: "server.js" }));
  const { id } = await machine.faztJson<{ id: string }>("app", "deploy", dir);
  return id;
}

const padded = (n: number): string => String(n).padStart(8, "0");

async function writeOne(machine: KernelProcess, kind: Kind, n: number): Promise<void> {
  const app = bookName;
  if (kind === "kv") {
    await machine.call("storage.kv.set", { app, key: padded(n), value: textOf(n) });
  } else if (kind === "doc") {
    const doc = { n, text: textOf(n) };
    await machine.call("storage.doc.put", { app, collection: "line", id: padded(n), doc });
  } else if (kind === "fs") {
    await machine.call("fs.write", { path: `/home/${padded(n)}` }, bytesOf(n));
  } else {
    const reply = await machine.fetch(app, `/${n}`, { method: "POST", body: textOf(n) });
    if ((await reply.text()) !== "kept") throw new Error(`row ${n}: ${reply.status}`);
  }
}

/** The longest pause between two writes of a book, milliseconds: a run has to be read again. */
const pauseMsMax = 12;

/** Writes on until the machine is gone. A refusal of a call is a defect. */
export async function keep(
  machine: KernelProcess,
  book: Book,
  chance: (below: number) => number,
): Promise<void> {
  for (let n = book.base + 1; ; n++) {
    try {
      await writeOne(machine, book.kind, n);
    } catch (error) {
      if (error instanceof CallRefused) throw error;
      return;
    }
    book.acknowledged.push({ n, atMs: performance.now() });
    // tidy: allow banned-call: how fast it writes, not what it waits for
    await Bun.sleep(chance(pauseMsMax));
  }
}

/** What is written at number n of each kind, as text. */
export const contentOf: Readonly<Record<Kind, (n: number) => string>> = {
  kv: (n) => JSON.stringify(textOf(n)),
  doc: (n) => JSON.stringify({ n, text: textOf(n) }),
  fs: bytesOf,
  sql: textOf,
};

/** What a database must say of it. */
function expected(kind: Kind, n: number): string {
  const content = contentOf[kind](n);
  return kind === "fs" ? new Bun.CryptoHasher("sha256").update(content).digest("hex") : content;
}

/** Rows (number, content) of a kind beyond a number, and how many there are up to it. */
const queries: Readonly<Record<Kind, string>> = {
  kv: "SELECT CAST(key AS INTEGER) AS n, value AS text FROM storage_kv",
  doc: "SELECT CAST(id AS INTEGER) AS n, json AS text FROM storage_doc",
  fs:
    "SELECT CAST(i.name AS INTEGER) AS n, CASE WHEN (SELECT sum(length(c.bytes)) FROM fs_chunk c " +
    "WHERE c.id BETWEEN b.id << 16 AND (b.id << 16) + 65535) = i.size_bytes " +
    "THEN i.hash ELSE 'chunks are missing' END AS text " +
    "FROM fs_inode i JOIN fs_blob b ON b.hash = i.hash WHERE i.root = 'home' AND i.kind = 'file'",
  sql: "SELECT n, text FROM line",
};

/** How far a database has a book, when it has it right; what is wrong with it otherwise. */
function readBook(db: Database, { kind, base }: Book): number | string {
  const sql = `SELECT n, text FROM (${queries[kind]}) ORDER BY n`;
  let last = 0;
  for (const { n, text } of db.query<{ n: number; text: string }, []>(sql).iterate()) {
    if (n !== last + 1) return `${kind}: ${n} follows ${last}`;
    // What was there before the last restart has been compared.
    const right = n < base - 100 || text === expected(kind, n);
    if (!right) return `${kind}: ${n} is ${text.slice(0, 80)}`;
    last = n;
  }
  return last;
}

function damage(db: Database): string[] {
  const rows = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
  return rows.map((row) => row.integrity_check).filter((text) => text !== "ok");
}

/** Where the databases of a data directory are. */
function pathOf(dataDir: string, kind: Kind, appId: string): string {
  return kind === "sql" ? join(dataDir, "volumes", appId, "app.db") : join(dataDir, "data.db");
}

export interface Found {
  /** How far each book goes. */
  readonly last: ReadonlyMap<Kind, number>;
  readonly problems: string[];
}

/** Reads all books of a data directory, and looks at every page of its databases. */
export function readBooks(dataDir: string, appId: string, books: readonly Book[]): Found {
  const last = new Map<Kind, number>();
  const problems: string[] = [];
  for (const book of books) {
    const db = new Database(pathOf(dataDir, book.kind, appId), { readonly: true });
    // Who opens a database after a kill goes through its log first, and others wait for that.
    db.run("PRAGMA busy_timeout = 10000");
    try {
      if (book.kind === "kv" || book.kind === "sql") problems.push(...damage(db));
      const found = readBook(db, book);
      if (typeof found === "number") last.set(book.kind, found);
      else problems.push(found);
    } finally {
      db.close();
    }
  }
  return { last, problems };
}

/** The writes a database lost, with everything acknowledged by then (ms) due. */
export function missing({ last }: Found, books: readonly Book[], dueMs: number): string[] {
  return books.flatMap(({ kind, base, acknowledged }) => {
    const due = acknowledged.findLast(({ atMs }) => atMs <= dueMs)?.n ?? base;
    const held = last.get(kind) ?? -1;
    return held < due ? [`${kind}: holds ${held} of ${due}`] : [];
  });
}

/** The longest that an acknowledged write which a database lacks was old, milliseconds. */
export function lagMs({ last }: Found, books: readonly Book[], atMs: number): number {
  const lags = books.map(({ kind, acknowledged }) => {
    const lost = acknowledged.find(({ n }) => n > (last.get(kind) ?? 0));
    return lost === undefined ? 0 : atMs - lost.atMs;
  });
  return Math.max(...lags);
}
