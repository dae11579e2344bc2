/**
 * A whole kernel that writes to pairs, documents, files and an app's database, and says on standard
 * output what was acknowledged: `bun powercut-writer.ts DATA_DIR WRITES`. It is recorded by
 * `powercut.test.ts`, and so ends by SIGKILL: closing would sync.
 */
import { Database } from "bun:sqlite";
import { writeSync } from "node:fs";
import { join } from "node:path";
import { volumePragmas } from "../../kernel/pragma.ts";
import { testKernel } from "../kernel.ts";
import { contentOf, type Kind } from "./books.ts";

/** Pages of a log that are copied into the file: small, so that it happens many times. */
const checkpointPages = 40;

const [dataDir = "", writes = "0"] = process.argv.slice(2);
const say = (text: string) => writeSync(1, `${text}\n`);

const k = await testKernel({ dataDir, storageLimits: { walCheckpointPages: checkpointPages } });
const body = (text: string) => ({ body: new Blob([text]).stream() });
const { hash, sizeBytes } = await k.call<{ hash: string; sizeBytes: number }>(
  ...(["fs.blob.put", {}, body("page")] as const),
);
const files = [{ path: "index.html", hash, sizeBytes }];
const { id } = await k.call<{ id: string }>("app.deploy", { name: "book", manifest: {}, files });
await k.call("app.env.set", { app: "book", name: "SEALED", value: "seal" });
say(`app ${id}`);

const volume = new Database(join(k.kernel.storage.volumeDir(id), "app.db"), { create: true });
for (const pragma of volumePragmas(1e9, 4096)) volume.run(pragma);
volume.run(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
volume.run("CREATE TABLE line (n INTEGER PRIMARY KEY, text TEXT NOT NULL)");
say("volume");

const app = "book";
const padded = (n: number): string => String(n).padStart(8, "0");
const writers: Readonly<Record<Kind, (n: number) => unknown>> = {
  kv: (n) => k.call("storage.kv.set", { app, key: padded(n), value: JSON.parse(contentOf.kv(n)) }),
  doc: (n) => {
    const doc = JSON.parse(contentOf.doc(n));
    return k.call("storage.doc.put", { app, collection: "line", id: padded(n), doc });
  },
  fs: (n) => k.call("fs.write", { path: `/home/${padded(n)}` }, body(contentOf.fs(n))),
  sql: (n) => volume.run("INSERT INTO line VALUES (?, ?)", [n, contentOf.sql(n)]),
};

await Promise.all(
  Object.entries(writers).map(async ([kind, write]) => {
    for (let n = 1; n <= Number(writes); n++) {
      await write(n);
      say(`${kind} ${n}`);
      // Another writer's turn, also when this one did not wait.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }),
);
process.kill(process.pid, "SIGKILL");
