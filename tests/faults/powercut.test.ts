/**
 * The power goes at random moments of a kernel's life: its writes to the disk are recorded, and for
 * each moment the disk is made as it may be then, with what was synced and whatever chance leaves of
 * the rest. Every such disk must open, be sound to the last page, and hold every write that was
 * acknowledged before that moment. `FAZT_SEED=N` repeats a run's choices, `FAZT_CUTS=N` cuts more.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { testKernel } from "../kernel.ts";
import { emptyBooks, missing, readBooks } from "./books.ts";
import { Disk, type Luck, type Op, readLog, recording } from "./disk-log.ts";
import { chances } from "./ledger.ts";

const cuts = Number(process.env["FAZT_CUTS"] ?? 300);
const writes = 60;
/** Every n-th disk is booted by a whole kernel, not only opened. */
const bootEvery = 10;
const lucks: readonly Luck[] = [
  ...(["nothing", "everything", "the first of it", "blocks of it", "sectors of it"] as const),
];

async function record(directory: string): Promise<Op[]> {
  const log = join(directory, "log");
  const dataDir = join(directory, "data");
  const writer = fileURLToPath(new URL("./powercut-writer.ts", import.meta.url));
  const command = [process.execPath, "--no-env-file", writer, dataDir, String(writes)];
  const child = Bun.spawn(recording(log, command), { stdout: "ignore", stderr: "pipe" });
  expect(await child.stderr.text()).toBe("");
  await child.exited;
  const ops = readLog(log, dataDir);
  rmSync(log);
  return ops;
}

/** What had been said by a moment. */
class Said {
  readonly books = emptyBooks();
  appId: string | null = null;
  volume = false;

  hear(text: string): void {
    for (const line of text.trim().split("\n")) {
      const [what, value = ""] = line.split(" ");
      if (what === "app") this.appId = value;
      if (what === "volume") this.volume = true;
      const book = this.books.find(({ kind }) => kind === what);
      book?.acknowledged.push({ n: Number(value), atMs: 0 });
    }
  }
}

/** Opens a database as whoever comes first after the power was back. */
function recover(path: string): void {
  if (!existsSync(path)) return;
  const db = new Database(path);
  db.query("SELECT count(*) FROM sqlite_schema").get();
  db.close();
}

async function look(dataDir: string, said: Said, boot: boolean): Promise<string[]> {
  const { appId, volume } = said;
  if (boot) {
    const k = await testKernel({ dataDir });
    if (appId !== null) {
      const env = await k.call<{ value: string }[]>("app.env.ls", { app: "book" });
      expect(env).toMatchObject([{ value: "seal" }]);
    }
    expect(await k.call("storage.check")).toMatchObject({ ok: true });
    await k.close();
  }
  if (appId === null) return [];
  recover(join(dataDir, "data.db"));
  recover(join(dataDir, "volumes", appId, "app.db"));
  const books = volume ? said.books : said.books.filter(({ kind }) => kind !== "sql");
  const found = readBooks(dataDir, appId, books);
  return [...found.problems, ...missing(found, books, 0)];
}

test.skipIf(Bun.which("strace") === null)(
  `${cuts} cuts of the power lose nothing that was acknowledged`,
  async () => {
    const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
    const chance = chances(seed);
    const directory = mkdtempSync(join(tmpdir(), "fazt-power-"));
    try {
      const ops = await record(directory);
      const at = new Set(Array.from({ length: cuts }, () => chance(ops.length)));
      const [disk, said] = [new Disk(), new Said()];
      let made = 0;
      for (const [i, op] of ops.entries()) {
        disk.apply(op);
        if (op.kind === "said") said.hear(op.text);
        if (!at.has(i) && i !== ops.length - 1) continue;
        const luck = lucks[made % lucks.length] ?? "nothing";
        const into = join(directory, `cut-${i}`);
        disk.cut(into, luck, chance);
        const lost = await look(into, said, made++ % bootEvery === 0);
        expect({ seed, cut: i, luck, lost }).toEqual({ seed, cut: i, luck, lost: [] });
        rmSync(into, { recursive: true, force: true });
      }
      const acknowledged = said.books.map((book) => book.acknowledged.length);
      expect(acknowledged).toEqual(said.books.map(() => writes));
      const syncs = ops.filter(({ kind }) => kind === "sync").length;
      console.log(`${made} cuts in ${ops.length} steps (${syncs} syncs), FAZT_SEED=${seed}`);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
  120_000,
);
