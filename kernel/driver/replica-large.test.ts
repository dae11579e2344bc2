/**
 * A database beyond 1 GiB, where SQLite leaves one page unused (the lock's, at 0x40000000): through
 * replica and restore, by us and by Litestream, to the last byte. It writes 5 GB, so it is run by
 * hand: `FAZT_LARGE=1`.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { createReadStream, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bench, litestream, runLitestream } from "./fixture.ts";
import { limits } from "./limits.ts";
import { openStore } from "./store/mod.ts";

/** Where SQLite keeps its locks; the page with this byte is never used. */
const lockByte = 0x4000_0000;
const rowBytes = 1024 * 1024;

async function hashOf(path: string): Promise<string> {
  const hash = new Bun.CryptoHasher("sha256");
  for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
  return hash.digest("hex");
}

test.skipIf(process.env["FAZT_LARGE"] === undefined)(
  "more than 1 GiB, written over the lock's page while it is followed",
  async () => {
    const scratch = mkdtempSync(join(tmpdir(), "fazt-large-"));
    try {
      using on = bench();
      const root = join(scratch, "replica");
      const store = await openStore({ kind: "file", path: root }, limits);
      await store.probe();
      const db = on.open();
      const add = db.prepare("INSERT INTO t (v) VALUES (zeroblob(?))");
      const grow = (rows: number) =>
        db.transaction(() => {
          for (let n = 0; n < rows; n++) add.run(rowBytes);
        })();
      // To just below the page, all in the file.
      for (let n = 0; n < 20; n++) {
        grow(51);
        db.run("PRAGMA wal_checkpoint(TRUNCATE)");
      }
      const replicator = on.replicate(store, { limits });
      await replicator.flush();
      expect(statSync(join(on.dataDir, "data.db")).size).toBeLessThan(lockByte);
      // Over it, by the log.
      for (let n = 0; n < 12; n++) {
        grow(4);
        await replicator.flush();
      }
      await replicator.snapshot();
      grow(3);
      await replicator.flush();
      const restored = await on.restore(store);
      expect(restored.rows).toBe(20 * 51 + 12 * 4 + 3);
      expect(statSync(restored.path).size).toBeGreaterThan(lockByte);
      const copy = new Database(restored.path, { readonly: true });
      const sum = copy.query<{ n: number }, []>("SELECT sum(length(v)) AS n FROM t").get();
      copy.close();
      expect(sum?.n).toBe(restored.rows * rowBytes);
      if (litestream === null) return;
      const theirs = join(scratch, "theirs.db");
      await runLitestream(["restore", "-o", theirs, `file://${root}/data.db`]);
      expect(await hashOf(theirs)).toBe(await hashOf(restored.path));
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
  900_000,
);
