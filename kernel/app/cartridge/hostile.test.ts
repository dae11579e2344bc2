/** Cartridges of strangers: damaged anywhere, or made to harm. Nothing of them gets in, or all. */
import { Database, SQLiteError } from "bun:sqlite";
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { damages, generator, seedOf } from "../../../tests/damage.ts";
import { deployed } from "../../../tests/deployed.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import type { Bytes } from "../../call.ts";
import { SysError } from "../../errno.ts";
import { readCartridge } from "./file.ts";
import { columnsOf, encodeFrame } from "./frame.ts";
import type { ItemKind } from "./item.ts";

async function cartridge(k: TestKernel): Promise<Uint8Array<ArrayBuffer>> {
  await deployed(k, "blog", { files: { "public/index.html": "<p>blog", "private/a": "a" } });
  const body = new Blob(["x".repeat(20_000)]).stream();
  await k.call("fs.write", { path: "/data/blog/file" }, { body });
  for (let n = 0; n < 60; n++) {
    await k.call("storage.kv.set", { app: "blog", key: `k/${n}`, value: { n } });
  }
  const { stream } = await k.call<Bytes>("app.export", { app: "blog" });
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** All frames of a file as one hash, or the message it is refused with. */
function framesOf(path: string): { hash: string } | { refused: string } {
  const hasher = new Bun.CryptoHasher("sha256");
  try {
    for (const frame of readCartridge(path)) hasher.update(encodeFrame(frame));
    return { hash: hasher.digest("hex") };
  } catch (error) {
    // In its process such a one is told as the file's (`child-read.ts`).
    if (error instanceof SQLiteError) return { refused: "the file is damaged" };
    return { refused: (error as Error).message };
  }
}

const named =
  /section "[a-z_]+"|its schema|the file is damaged|no cartridge|bad format|a newer fazt/;

test("damage anywhere is refused by name, or nothing was damaged", async () => {
  await using k = await testKernel();
  const whole = await cartridge(k);
  const path = join(k.dataDir, "app.cart");
  writeFileSync(path, whole);
  const right = framesOf(path);
  expect(right).toHaveProperty("hash");
  let refused = 0;
  for (const { what, bytes } of damages(whole, 600, generator(seedOf()))) {
    writeFileSync(path, bytes);
    const end = framesOf(path);
    // A bit in room that no row uses is of no consequence: every frame is what it was.
    if ("refused" in end) {
      refused++;
      expect([what, end.refused]).toEqual([what, expect.stringMatching(named)]);
    } else expect([what, end.hash]).toEqual([what, "hash" in right ? right.hash : ""]);
  }
  expect(refused).toBeGreaterThan(150);
}, 60_000);

/** What a kernel has, as far as an import could have left something. */
const world = (k: TestKernel) => ({
  apps: k.kernel.app.ls().map(({ name }) => name),
  rows: k.kernel.storage.read.get<{ n: number }>(
    "SELECT (SELECT count(*) FROM storage_kv) + (SELECT count(*) FROM fs_inode) + " +
      "(SELECT count(*) FROM app_app) + (SELECT count(*) FROM app_release) AS n",
  )?.n,
});

async function refusal(k: TestKernel, bytes: Uint8Array<ArrayBuffer>): Promise<SysError | null> {
  try {
    await k.call("app.import", { name: "stranger" }, { body: new Blob([bytes]).stream() });
    return null;
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  }
}

test("damage through the whole of an import leaves nothing behind", async () => {
  await using k = await testKernel();
  const whole = await cartridge(k);
  const before = world(k);
  for (const { what, bytes } of damages(whole, 24, generator(seedOf()))) {
    const error = await refusal(k, bytes);
    if (error === null) await k.call("app.rm", { app: "stranger", purge: true });
    else expect([what, error.code]).toEqual([what, "EBADMSG"]);
    expect([what, world(k)]).toEqual([what, before]);
  }
  expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
}, 120_000);

/** Changes a table and what its section says of it, so that only what its items say is wrong. */
function changed(db: Database, table: ItemKind, sql: string): void {
  db.run(sql);
  const hasher = new Bun.CryptoHasher("sha256");
  const rows = `SELECT ${columnsOf(table).join(", ")} FROM cartridge_${table} ORDER BY n`;
  for (const value of db.query(rows).values().flat()) {
    const text = JSON.stringify(value);
    hasher.update(`${Buffer.byteLength(text)}:`).update(text);
  }
  db.run("UPDATE cartridge_section SET hash = ? WHERE kind = ?", [hasher.digest("hex"), table]);
}

/** What is done to a cartridge by whoever means harm. */
const deeds: [string, (db: Database) => void, RegExp][] = [
  [
    "a view in place of a table, without end",
    (db) => {
      db.run("DROP TABLE cartridge_part");
      db.run(
        "CREATE VIEW cartridge_part AS WITH RECURSIVE c(n) AS " +
          "(SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n, zeroblob(1000) AS bytes FROM c",
      );
    },
    /its schema/,
  ],
  [
    "a trigger",
    (db) => db.run("CREATE TRIGGER t AFTER INSERT ON cartridge_env BEGIN SELECT 1; END"),
    /its schema/,
  ],
  ["a virtual table", (db) => db.run("CREATE VIRTUAL TABLE v USING fts5(x)"), /its schema/],
  [
    "an index with an expression",
    (db) => db.run("CREATE INDEX i ON cartridge_pair (length(value))"),
    /its schema/,
  ],
  [
    "a generated column",
    (db) => db.run("ALTER TABLE cartridge_pair ADD COLUMN g TEXT AS (hex(zeroblob(9999999)))"),
    /its schema/,
  ],
  [
    "a part of 60 MB",
    (db) => db.run("INSERT INTO cartridge_part VALUES (9999, zeroblob(60000000))"),
    /section "part" is too large/,
  ],
  [
    "a value of 30 MB",
    (db) =>
      db.run("INSERT INTO cartridge_pair VALUES (9999, 'big', hex(zeroblob(15000000)), NULL)"),
    /section "pair" is too large/,
  ],
  [
    "a file that is a link by its mode",
    (db) => changed(db, "file", `UPDATE cartridge_file SET mode = ${0o120777}`),
    /"mode" of a file is not valid/,
  ],
  [
    "an entry that is a link",
    (db) => changed(db, "entry", "UPDATE cartridge_entry SET kind = 'link'"),
    /"kind" of a entry is not valid/,
  ],
  ["a log beside it", (db) => db.run("PRAGMA journal_mode = WAL"), /the file is damaged/],
];

/** What SQLite itself would not do to a schema, done to its bytes. */
const forgeries: [string, (bytes: Buffer) => void, RegExp][] = [
  [
    "two tables on one tree",
    (bytes) => {
      const rootOf = (table: string) => bytes.indexOf(`${table}${table}`) + 2 * table.length;
      bytes[rootOf("cartridge_doc")] = bytes[rootOf("cartridge_pair")] ?? 0;
    },
    /the file is damaged|section "/,
  ],
  [
    "a schema that is no SQL",
    (bytes) => bytes.write("CREATE TABEL", bytes.indexOf("CREATE TABLE cartridge_doc ")),
    /its schema|malformed/,
  ],
];

test.each(forgeries)("%s", async (_name, forge, said) => {
  await using k = await testKernel();
  const bytes = await cartridge(k);
  forge(Buffer.from(bytes.buffer));
  const before = world(k);
  const error = await refusal(k, bytes);
  expect([error?.code, error?.message]).toEqual(["EBADMSG", expect.stringMatching(said)]);
  expect(world(k)).toEqual(before);
});

test.each(deeds)(
  "%s",
  async (_name, deed, said) => {
    await using k = await testKernel();
    const path = join(k.dataDir, "app.cart");
    writeFileSync(path, await cartridge(k));
    const db = new Database(path, { readwrite: true });
    deed(db);
    db.close();
    const before = world(k);
    const error = await refusal(k, await Bun.file(path).bytes());
    expect([error?.code, error?.message]).toEqual(["EBADMSG", expect.stringMatching(said)]);
    expect(world(k)).toEqual(before);
  },
  60_000,
);
