/** Deploys that are cut, or meet: the old release serves on, and nothing of the new one is left. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise } from "../fs.ts";
import { type KernelProcess, startProcess, until } from "../process.ts";
import { gcLater, orphans } from "./orphan.ts";

let machine: KernelProcess;
beforeEach(async () => {
  machine = await startProcess();
});
afterEach(() => machine[Symbol.asyncDispose]());

/** Writes an app's folder. */
function folder(name: string, files: Record<string, string | Uint8Array>): string {
  const dir = machine.scratch(name);
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    writeFileSync(join(dir, path), content);
  }
  return dir;
}

/** 64 MB of content that is new: eight files that go one by one. */
function largeSite(): string {
  const parts = Array.from({ length: 8 }, (_, i) => [`public/${i}.bin`, noise(8_000_000, i + 1)]);
  return folder("large", { "public/index.html": "two", ...Object.fromEntries(parts) });
}

const page = async (host: string) => (await machine.fetch(host, "/")).text();
const rows = async (table: string) => {
  const check = await machine.call<{ tables: { name: string; rows: number }[] }>("storage.check");
  return check.tables.find(({ name }) => name === table)?.rows ?? 0;
};
const numbers = async (app: string) =>
  (await machine.call<{ number: number }[]>("app.releases", { app })).map(({ number }) => number);

/** The old release serves, the machine is whole, gc leaves nothing of what was cut. */
async function nothingChanged(): Promise<void> {
  expect(await page("site")).toBe("one");
  expect(await numbers("site")).toEqual([1]);
  expect((await machine.call<{ ok: boolean }>("storage.check")).ok).toBe(true);
  await machine.call("storage.gc");
  await machine.stop();
  const { "blobs of nothing": kept = 0, ...others } = orphans(machine.dataDir);
  // What arrived whole stays an hour, for the deploy that goes on.
  expect(kept).toBeLessThan(9);
  expect(others).toEqual({});
  await gcLater(machine.dataDir, 2);
  expect(orphans(machine.dataDir)).toEqual({});
  await machine.start();
  expect(await page("site")).toBe("one");
}

describe("a deploy is cut in the middle of its upload", () => {
  let deploying: ReturnType<KernelProcess["spawnFazt"]>;
  beforeEach(async () => {
    await machine.faztJson("app", "deploy", folder("site", { "public/index.html": "one" }));
    const before = await rows("fs_chunk");
    deploying = machine.spawnFazt("app", "deploy", largeSite(), "--name", "site");
    await until("part of the upload", async () => (await rows("fs_chunk")) > before + 10);
  });

  test("the command is killed", async () => {
    deploying.kill("SIGKILL");
    await deploying.exited;
    await nothingChanged();
  });

  test("the command is interrupted, and goes on where it was", async () => {
    deploying.kill("SIGINT");
    await deploying.exited;
    expect(await page("site")).toBe("one");
    const args = ["app", "deploy", machine.scratch("large"), "--name", "site"];
    const again = await machine.faztJson<{ uploadedBytes: number }>(...args);
    expect(again.uploadedBytes).toBeLessThan(64_000_000);
    expect(await page("site")).toBe("two");
    await machine.stop();
    await gcLater(machine.dataDir, 2);
    expect(orphans(machine.dataDir)).toEqual({});
  });

  test("the kernel is killed", async () => {
    await machine.stop("SIGKILL");
    const [code, said] = await Promise.all([deploying.exited, deploying.stderr.text()]);
    expect({ code, said }).toMatchObject({ code: 3 });
    expect(said).toContain("ECONNREFUSED");
    expect(said).toContain("hint:");
    await machine.start();
    await nothingChanged();
  });

  test("the kernel is stopped in order", async () => {
    await machine.stop("SIGTERM");
    expect(await deploying.exited).not.toBe(0);
    await machine.start();
    await nothingChanged();
  });
});

const slowServer = {
  "server.ts": `await new Promise((done) => setTimeout(done, 1500));
export default { fetch: () => new Response("two") };`,
};

test("the kernel is killed while a release proves itself", async () => {
  await machine.faztJson("app", "deploy", folder("site", { "public/index.html": "one" }));
  const releases = await rows("app_release");
  const deploying = machine.spawnFazt("app", "deploy", folder("s2", slowServer), "--name", "site");
  await until("a staged release", async () => (await rows("app_release")) > releases);
  await machine.stop("SIGKILL");
  expect(await deploying.exited).toBe(3);
  await machine.start();
  await nothingChanged();
});

test("of two deploys of one app at once one is told to wait, and the other is as it should be", async () => {
  const dir = folder("site", slowServer);
  const ends = await Promise.all([
    machine.fazt("app", "deploy", dir, "--json"),
    machine.fazt("app", "deploy", dir, "--json"),
  ]);
  const [won, lost] = ends.toSorted((a, b) => a.code - b.code);
  expect(won?.code).toBe(0);
  expect(lost?.code).toBe(1);
  const { error } = JSON.parse(lost?.stderr ?? "{}") as { error: { code: string; hint: string } };
  expect(error.code).toBe("EBUSY");
  expect(error.hint).toContain("try again");
  expect(await page("site")).toBe("two");
  expect(await numbers("site")).toEqual([1]);
  expect((await machine.fazt("app", "deploy", dir)).code).toBe(0);
  expect(await numbers("site")).toEqual([2, 1]);
});

test("a release that does not come up never gets a request; the one before serves on", async () => {
  const dir = folder("site", {
    "server.ts": 'export default { fetch: () => new Response("one") };',
  });
  await machine.faztJson("app", "deploy", dir);
  writeFileSync(join(dir, "server.ts"), 'throw new Error("wrong on purpose");');
  const refused = await machine.fazt("app", "deploy", dir);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("ENOEXEC");
  expect(refused.stderr).toContain("wrong on purpose");
  expect(await page("site")).toBe("one");
  expect(await numbers("site")).toEqual([1]);
});

test("one gc frees old releases and their content together", async () => {
  for (let n = 0; n < 14; n++) {
    await machine.faztJson("app", "deploy", folder("site", { "index.html": `release ${n}` }));
  }
  await machine.stop();
  await gcLater(machine.dataDir, 2);
  expect(orphans(machine.dataDir)).toEqual({});
  await machine.start();
  expect(await page("site")).toBe("release 13");
  expect(await numbers("site")).toHaveLength(11);
});
