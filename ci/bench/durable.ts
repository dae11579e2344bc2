/**
 * Durable writes: 64 callers in an app set keys over its socket, each waiting for the disk, against
 * one transaction a write on a plain database with the same durability on the same disk.
 */
import { Database } from "bun:sqlite";
import { join } from "node:path";
import { type Bench, takeTurns } from "./bench.ts";
import { echoedWrites } from "./echo.ts";
import { fixture } from "./fixture.ts";
import { claimedDirectory, startKernel } from "./kernel.ts";
import { type Row, ratioRow, valueRow } from "./row.ts";

const roundMs = 2000;
const rounds = 7;

/** Makes one transaction. */
function plainWriter(db: Database): () => void {
  const set = db.prepare("INSERT OR REPLACE INTO kv VALUES (?, ?, ?)");
  const value = JSON.stringify({ text: "x".repeat(96) });
  let count = 0;
  return () => {
    set.run(`caller-${count % 64}/${count % 100}`, value, count);
    count++;
  };
}

/** One transaction a write, for so long; writes per second. */
function plainWrites(write: () => void): number {
  const startedMs = performance.now();
  let count = 0;
  for (; performance.now() < startedMs + roundMs; count++) write();
  return (count * 1000) / (performance.now() - startedMs);
}

function plainDatabase(path: string): Database {
  const db = new Database(path, { create: true });
  db.run("PRAGMA journal_mode = WAL");
  db.run("PRAGMA synchronous = FULL");
  db.run("CREATE TABLE kv (key TEXT PRIMARY KEY, value TEXT, at INTEGER) STRICT");
  return db;
}

export async function measureDurable(bench: Bench): Promise<Row[]> {
  await using kernel = await startKernel(bench, await claimedDirectory(bench));
  await kernel.fazt("app", "deploy", fixture("kv"), "--name", "kv");
  const db = plainDatabase(join(bench.directory("plain"), "plain.db"));
  const sets = (callers: number) => async () => {
    const url = `${kernel.url}/?ms=${roundMs}&callers=${callers}`;
    const response = await fetch(url, { headers: { host: kernel.hostOf("kv") } });
    if (!response.ok) throw new Error(`kv: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { perSecond: number }).perSecond;
  };
  const write = plainWriter(db);
  const { many, one, plain, echo } = await takeTurns(rounds, {
    many: sets(64),
    one: sets(1),
    plain: async () => plainWrites(write),
    echo: () => echoedWrites(bench, write, roundMs),
  });
  db.close();
  const unit = "writes/s";
  const plainly = { name: "single", samples: plain };
  return [
    valueRow(
      { id: "kv-64", what: "durable kv.set, 64 callers", unit, goal: { atLeast: 8000 } },
      many,
    ),
    ratioRow(
      { id: "kv-64-single", what: "  against one transaction a call", unit, goal: { atLeast: 5 } },
      many,
      plainly,
    ),
    valueRow({ id: "kv-single", what: "  one transaction a call itself", unit, goal: null }, plain),
    ratioRow(
      { id: "kv-1", what: "durable kv.set, 1 caller", unit, goal: { atLeast: 0.8 } },
      one,
      plainly,
    ),
    ratioRow(
      { id: "kv-1-floor", what: "  against a bare echo and one transaction", unit, goal: null },
      one,
      { name: "echo", samples: echo },
    ),
  ];
}
