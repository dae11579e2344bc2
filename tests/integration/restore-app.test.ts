/** One app's database put back as it was at a time, while the machine and its other apps go on. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deployBook } from "../faults/books.ts";
import { testKernel } from "../kernel.ts";
import { type KernelProcess, startProcess, until } from "../process.ts";

async function rows(machine: KernelProcess): Promise<number> {
  const sql = "SELECT count(*) AS n FROM line";
  const [row] = await machine.call<{ n: number }[]>("storage.sql", { app: "book", sql });
  return row?.n ?? -1;
}

async function write(machine: KernelProcess, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    const reply = await machine.fetch("book", `/${n}`, { method: "POST", body: `row ${n}` });
    expect(await reply.text()).toBe("kept");
  }
}

test("an app goes back to a time, and a new generation begins", async () => {
  await using machine = await startProcess();
  const id = await deployBook(machine);
  await machine.call("driver.replica.set", { url: `file://${machine.scratch("replica")}` });
  await write(machine, 1, 5);
  await machine.call("driver.replica.flush");
  const at = Date.now();
  await until("the clock goes on", () => Date.now() > at + 5);
  await write(machine, 6, 10);
  await machine.call("storage.kv.set", { app: "book", key: "later", value: 1 });
  await machine.call("driver.replica.flush");

  const wanted = { app: "book", at: String(at) };
  await expect(machine.call("driver.replica.restoreApp", wanted)).rejects.toThrow("EBUSY");
  await machine.call("driver.replica.restoreApp", { ...wanted, dryRun: true });
  expect(await rows(machine)).toBe(10);

  await machine.call("proc.stop", { app: "book" });
  await machine.call("driver.replica.restoreApp", wanted);
  expect(await rows(machine)).toBe(5);
  await machine.call("proc.startApp", { app: "book" });
  await write(machine, 6, 7);
  expect(await rows(machine)).toBe(7);
  // What is in the machine's own database did not go back.
  expect(await machine.call("storage.kv.get", { app: "book", key: "later" })).toMatchObject({
    value: 1,
  });

  const generations = async () => {
    const all = await machine.call<{ database: string }[]>("driver.replica.ls");
    return all.filter(({ database }) => database === `volumes/${id}.db`).length;
  };
  await machine.call("driver.replica.flush");
  expect(await generations()).toBe(2);
  expect(await machine.call("driver.replica.verify")).toMatchObject({ ok: true });
  await machine.call("proc.stop", { app: "book" });
  await machine.call("driver.replica.restoreApp", { app: "book" });
  expect(await rows(machine)).toBe(7);
}, 60_000);

test("one restore is under way at a time, and none while a stopped app's process still ends", async () => {
  await using machine = await startProcess();
  await deployBook(machine);
  const dir = machine.scratch("slow");
  const server = `
import { kernel } from "fazt";
kernel.storage.sql().run("CREATE TABLE IF NOT EXISTS t (a)");
export default () => new Response(new ReadableStream({ start: (out) => out.enqueue("begun") }));
`;
  writeFileSync(join(dir, "server.js"), server);
  writeFileSync(join(dir, "app.json"), JSON.stringify({ name: "slow", server: "server.js" }));
  await machine.faztJson("app", "deploy", dir);
  await machine.call("driver.replica.set", { url: `file://${machine.scratch("replica")}` });
  await write(machine, 1, 5);
  await machine.call("driver.replica.flush");

  await machine.call("proc.stop", { app: "book" });
  const asked = [1, 2, 3].map(() => machine.call("driver.replica.restoreApp", { app: "book" }));
  const outcomes = (await Promise.allSettled(asked)).map((one) =>
    one.status === "fulfilled" ? "done" : String(one.reason).match(/E[A-Z]+/)?.[0],
  );
  expect(outcomes.toSorted()).toEqual(["EBUSY", "EBUSY", "done"]);
  expect(await rows(machine)).toBe(5);

  const leaving = new AbortController();
  const body = (await machine.fetch("slow", "/", { signal: leaving.signal })).body?.getReader();
  expect(new TextDecoder().decode((await body?.read())?.value)).toBe("begun");
  const stopped = machine.call("proc.stop", { app: "slow" });
  const isStopping = async () => {
    const [slow] = await machine.call<{ state: string }[]>("proc.status", { app: "slow" });
    return slow?.state === "draining";
  };
  await until("it is told to stop", isStopping);
  await expect(machine.call("driver.replica.restoreApp", { app: "slow" })).rejects.toThrow("EBUSY");
  leaving.abort();
  await stopped;
  await machine.call("driver.replica.restoreApp", { app: "slow" });
}, 90_000);

test("a drill that would fill the disk to its mark is not begun, and says so", async () => {
  await using k = await testKernel({ storageLimits: { diskUsedMax: 0.99 } });
  const root = mkdtempSync(join(tmpdir(), "fazt-replica-"));
  try {
    await k.call("driver.replica.set", { url: `file://${root}` });
    await k.call("driver.replica.flush");
    expect(await k.call("driver.replica.verify")).toMatchObject({ ok: true });
    await k.call("storage.limit.set", { name: "storage.diskUsedMax", value: 0.01 });
    expect(await k.call("driver.replica.verify")).toMatchObject({
      ok: false,
      databases: [{ problem: expect.stringMatching(/^no room to try out "data\.db": 6\d MB/) }],
    });
  } finally {
    rmSync(root, { recursive: true });
  }
}, 60_000);

test("what keeps a volume from being replicated is told by its app's name", async () => {
  await using machine = await startProcess();
  const id = await deployBook(machine);
  await write(machine, 1, 1);
  await machine.call("proc.stop", { app: "book" });
  const db = new Database(join(machine.dataDir, "volumes", id, "app.db"));
  expect(db.query("PRAGMA journal_mode = DELETE").get()).toEqual({ journal_mode: "delete" });
  db.close();
  await machine.call("driver.replica.set", { url: `file://${machine.scratch("replica")}` });
  const told = 'cannot replicate "book": it is not in WAL mode';
  await expect(machine.call("driver.replica.flush")).rejects.toThrow(`EIO: ${told}`);
  expect(await machine.call("driver.replica.status")).toMatchObject({ error: told });
}, 60_000);
