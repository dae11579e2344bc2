/**
 * kill -9 of a kernel that is written to and replicates to an S3 server that fails now and then:
 * whatever the replica then gives back is a prefix of what was written, with everything that was
 * acknowledged up to a second before the kill. `FAZT_SEED=N` repeats a run's choices.
 */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { join } from "node:path";
import { type KernelProcess, startProcess, until } from "../process.ts";
import { type Fault, type S3, startS3 } from "../s3.ts";
import { deployBook } from "./books.ts";
import { chances } from "./ledger.ts";
import { isGone, kill, replicatorOf } from "./replicator.ts";
import { generationsOf, memoriesOf, Story } from "./story.ts";

const kills = 6;
const writers = 4;
const faults: readonly Fault[] = [500, 403, 429, "reset", "repeat", "cut request", "late", "stall"];

interface ReplicaStatus {
  readonly databases: readonly { readonly database: string; readonly snapshotAt: number | null }[];
}

interface Acked {
  readonly writer: number;
  readonly n: number;
  readonly atMs: number;
}

/** Writes 1, 2, 3 … until the kernel is gone. */
async function writeOn(machine: KernelProcess, from: Acked, acked: Acked[]): Promise<void> {
  for (let n = from.n + 1; ; n++) {
    try {
      const key = `${from.writer}/${String(n).padStart(8, "0")}`;
      await machine.call("storage.kv.set", { app: "blog", key, value: "v".repeat(n % 700) });
    } catch {
      // Killed: whether this one was written nobody knows.
      return;
    }
    acked.push({ writer: from.writer, n, atMs: performance.now() });
  }
}

/** The numbers a database holds for each writer, in order. */
function numbersOf(path: string): number[][] {
  const db = new Database(path, { readonly: true });
  const rows = db
    .query<{ key: string; value: string }, []>("SELECT key, value FROM storage_kv ORDER BY key")
    .all();
  const problems = db.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
  db.close();
  expect(problems).toEqual([{ integrity_check: "ok" }]);
  const found: number[][] = Array.from({ length: writers }, () => []);
  for (const { key, value } of rows) {
    const [writer = 0, n = 0] = key.split("/").map(Number);
    expect(JSON.parse(value)).toBe("v".repeat(n % 700));
    found[writer]?.push(n);
  }
  return found;
}

interface Replicated {
  readonly machine: KernelProcess;
  readonly url: string;
  /** Restores everything into a fresh directory and answers its database. */
  restore(name: string): Promise<string>;
}

/** Replicates a machine with an app to a bucket. */
async function replicate(machine: KernelProcess, s3: S3): Promise<Replicated> {
  const { hash, sizeBytes } = await machine.call<{ hash: string; sizeBytes: number }>(
    ...["fs.blob.put", {}, "page"],
  );
  const files = [{ path: "index.html", hash, sizeBytes }];
  await machine.call("app.deploy", { name: "blog", manifest: {}, files });
  const { bucket, endpoint, keyId, secret } = s3;
  const url = `s3://${bucket}/home`;
  await machine.call("driver.replica.set", { url, endpoint, keyId, secret });
  await machine.call("driver.replica.flush");
  const secretFile = join(machine.scratch("secrets"), "secret");
  await Bun.write(secretFile, secret);
  const restore = async (name: string) => {
    const into = join(machine.scratch("restored"), name);
    const where = ["--from", url, "--endpoint", endpoint, "--key-id", keyId];
    const { code, stderr } = await machine.fazt(
      ...["driver", "replica", "restore", ...where, "--secret-file", secretFile, "--data", into],
    );
    expect([code, stderr]).toEqual([0, ""]);
    return join(into, "data.db");
  };
  return { machine, url, restore };
}

/** Waits until the replicator that outlived its kernel has shipped what was left. */
async function replicatorGone(dataDir: string): Promise<void> {
  await until("the replicator ends", () => {
    const lock = new Database(join(dataDir, "run/replica/lock.db"));
    try {
      lock.run("BEGIN EXCLUSIVE");
      return true;
    } catch {
      return false;
    } finally {
      lock.close();
    }
  });
}

test("a kernel that is killed leaves a replica that is a prefix, a second short at most", async () => {
  const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`FAZT_SEED=${seed}`);
  const chance = chances(seed);
  await using s3 = await startS3();
  await using machine = await startProcess();
  const { restore } = await replicate(machine, s3);
  const story = new Story();

  let last: Acked[] = Array.from({ length: writers }, (_, writer) => ({ writer, n: 0, atMs: 0 }));
  for (let kill = 1; kill <= kills; kill++) {
    const acked: Acked[] = [];
    s3.fault = () => (chance(10) === 0 ? (faults[chance(faults.length)] ?? null) : null);
    const writing = last.map((from) => writeOn(machine, from, acked));
    const fromMs = performance.now();
    const replicator = replicatorOf(machine.pid);
    story.note(`life ${kill}, replicator ${replicator}`);
    await machine.killAfter(1_200 + chance(1_500));
    const killedMs = performance.now();
    story.note("the kernel is killed");
    s3.fault = () => null;
    await Promise.all(writing);
    await replicatorGone(machine.dataDir);
    story.note(`the lock is free; gone: ${replicator !== null && isGone(replicator)}`);

    for (const [writer, found] of numbersOf(await restore(`${kill}`)).entries()) {
      expect(found).toEqual(found.map((_, i) => i + 1));
      const due = acked.filter((one) => one.writer === writer && killedMs - one.atMs > 1_000);
      if (found.length < (due.at(-1)?.n ?? 0)) {
        const told = story.tell(s3, fromMs - 1_000, killedMs);
        console.log([told, ...generationsOf(s3), ...memoriesOf(machine.dataDir)].join("\n"));
      }
      expect(found.length).toBeGreaterThanOrEqual(due.at(-1)?.n ?? 0);
    }
    await machine.start();
    const now = numbersOf(join(machine.dataDir, "data.db"));
    for (const { writer, n } of acked) expect(now[writer]?.length).toBeGreaterThanOrEqual(n);
    last = now.map((found, writer) => ({ writer, n: found.length, atMs: 0 }));
  }

  const listed = await machine.call<{ generation: string }[]>("driver.replica.ls");
  console.log(`${kills} kills, ${last.map(({ n }) => n)} writes, ${listed.length} generations`);
  const drill = await machine.call<{ ok: boolean }>("driver.replica.verify");
  expect(drill).toMatchObject({ ok: true });
}, 120_000);

test.each<Fault>([500, "reset", "late", "stall"])(
  "the last shipment of a killed kernel is tried again: %p",
  async (fault) => {
    await using s3 = await startS3();
    await using machine = await startProcess();
    const { restore } = await replicate(machine, s3);
    s3.fault = () => 503;
    for (let n = 1; n <= 20; n++) {
      const key = `0/${String(n).padStart(8, "0")}`;
      await machine.call("storage.kv.set", { app: "blog", key, value: "v".repeat(n) });
    }
    // Once it was refused, the next try is the last one.
    const before = s3.asked.length;
    await until("the store refused", () => s3.asked.length > before);
    const { length: from } = s3.asked;
    s3.fault = (asked) => (asked.before < from + 2 ? fault : null);
    await machine.stop("SIGKILL");
    await replicatorGone(machine.dataDir);
    expect(numbersOf(await restore("last"))[0]?.length).toBe(20);
  },
  30_000,
);

test("a restore goes on through requests that fail", async () => {
  await using s3 = await startS3();
  await using machine = await startProcess();
  const { restore } = await replicate(machine, s3);
  for (let n = 1; n <= 20; n++) {
    const key = `0/${String(n).padStart(8, "0")}`;
    await machine.call("storage.kv.set", { app: "blog", key, value: "v".repeat(n) });
    if (n % 5 === 0) await machine.call("driver.replica.flush");
  }
  const passing: readonly Fault[] = [500, "reset", "cut reply", 429, "late"];
  let failed = 0;
  s3.fault = ({ before }) =>
    before % 3 === 0 ? (passing[failed++ % passing.length] ?? null) : null;
  const path = await restore("through");
  expect(failed).toBeGreaterThan(4);
  expect(numbersOf(path)[0]?.length).toBe(20);
}, 60_000);

test("a shipment that arrives when its sender was killed and the next was longer does no harm", async () => {
  await using s3 = await startS3();
  await using machine = await startProcess();
  const { restore } = await replicate(machine, s3);
  const set = async (from: number, to: number) => {
    for (let n = from; n <= to; n++) {
      const key = `0/${String(n).padStart(8, "0")}`;
      await machine.call("storage.kv.set", { app: "blog", key, value: "v".repeat(n) });
    }
  };
  let held = 0;
  s3.fault = ({ method, path }) => {
    const shipment = method === "PUT" && path.includes("data.db/generations/");
    return shipment && path.includes("/wal/") && held++ === 0 ? "hold" : null;
  };
  await set(1, 10);
  await until("a shipment is on its way", () => held > 0);
  const replicator = replicatorOf(machine.pid);
  expect(kill(replicator)).toBe(1);
  await set(11, 20);
  const flushed = () =>
    machine.call("driver.replica.flush").then(
      () => replicatorOf(machine.pid) !== replicator,
      () => false,
    );
  await until("the next one has shipped", flushed);
  await set(21, 30);
  await machine.call("driver.replica.flush");
  expect(await s3.deliver()).toBe(1);
  const path = await restore("late");
  expect(numbersOf(path)[0]?.length).toBe(30);
  const listed = await machine.call<{ database: string }[]>("driver.replica.ls");
  expect(listed.filter(({ database }) => database === "data.db").length).toBe(1);
}, 60_000);

test("killed at once with its replicator and its apps, a machine goes on in the same generations", async () => {
  await using s3 = await startS3();
  await using machine = await startProcess();
  const { restore } = await replicate(machine, s3);
  const appId = await deployBook(machine);
  const database = `volumes/${appId}.db`;
  let rows = 0;
  const write = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const reply = await machine.fetch("book", `/${++rows}`, { method: "POST", body: "row" });
      expect(await reply.text()).toBe("kept");
    }
  };
  await write(5);
  await until("the volume is shipped", async () => {
    const { databases } = await machine.call<ReplicaStatus>("driver.replica.flush");
    return databases.some((each) => each.database === database && each.snapshotAt !== null);
  });
  for (let round = 0; round < 3; round++) {
    await write(5);
    expect(kill(replicatorOf(machine.pid))).toBe(1);
    await machine.stop("SIGKILL");
    await machine.start();
  }
  await machine.call("driver.replica.flush");
  const listed = await machine.call<{ database: string }[]>("driver.replica.ls");
  expect(listed.map((each) => each.database).sort()).toEqual(["data.db", database]);
  const restored = await restore("again");
  const db = new Database(join(restored, `../volumes/${appId}/app.db`), { readonly: true });
  expect(db.query("SELECT count(*) AS n FROM line").get()).toEqual({ n: rows });
  db.close();
}, 60_000);
