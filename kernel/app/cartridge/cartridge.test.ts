/** Cartridges between whole kernels: what travels, what is refused, and that nothing is left half. */
import { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deployed, okServer } from "../../../tests/deployed.ts";
import { mayMount, smallDisk } from "../../../tests/disk.ts";
import { type TestKernel, testKernel } from "../../../tests/kernel.ts";
import { traces } from "../../../tests/trace.ts";
import type { Bytes } from "../../call.ts";
import { SysError } from "../../errno.ts";

interface Imported {
  readonly app: string;
  readonly id: string;
  readonly imported: boolean;
  readonly replaced: string | null;
  readonly merged: boolean;
  readonly missingSecrets: string[];
}

const big = new Uint8Array(2_500_000).map((_, i) => (i * 31) % 251);

/** An app with something of every kind. */
async function furnished(k: TestKernel, name: string, files: Record<string, string> = {}) {
  const all = { "public/index.html": `<p>${name}`, "private/big.txt": "b".repeat(1_200_000) };
  const app = await deployed(k, name, { files: { ...all, ...files } });
  await k.call("fs.mkdir", { path: `/data/${name}/in/ner`, parents: true });
  const body = new Blob([big]).stream();
  await k.call("fs.write", { path: `/data/${name}/in/big.bin` }, { body });
  await k.call("fs.write", { path: `/data/${name}/empty` }, { body: new Blob([]).stream() });
  for (let n = 0; n < 130; n++) {
    await k.call("storage.kv.set", { app: name, key: `k/${n}`, value: { n } });
  }
  const scope = { appId: app.id, userId: null };
  await k.kernel.storage.docs.index(scope, { collection: "notes", field: "n" });
  for (let n = 0; n < 120; n++) {
    const doc = { n, text: `note ${n}` };
    await k.kernel.storage.docs.put(scope, { collection: "notes", id: `n${n}`, doc });
  }
  await k.call("app.env.set", { app: name, name: "GREETING", value: "hello" });
  await k.call("app.env.set", { app: name, name: "API_KEY", secret: "s3cret-of-this-machine" });
  const volume = new Database(join(k.kernel.storage.volumeDir(app.id), "app.db"));
  volume.run("PRAGMA journal_mode = WAL");
  volume.run("CREATE TABLE t (x TEXT)");
  volume.run("INSERT INTO t VALUES ('in the wal')");
  return { ...app, volume };
}

async function exported(k: TestKernel, app: string): Promise<Uint8Array<ArrayBuffer>> {
  const { stream } = await k.call<Bytes>("app.export", { app });
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const imports = (k: TestKernel, cartridge: Uint8Array<ArrayBuffer>, input: object = {}) =>
  k.call<Imported>("app.import", input, { body: new Blob([cartridge]).stream() });

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );
}

const bytesAt = async (k: TestKernel, path: string) =>
  new Uint8Array(
    await new Response((await k.call<Bytes>("fs.read", { path })).stream).arrayBuffer(),
  );

/** Names of apps, and how many drafts and volumes lie about. */
const inventory = (k: TestKernel) => ({
  apps: k.kernel.app.ls().map(({ name }) => name),
  volumes: readdirSync(join(k.dataDir, "volumes")).length,
  rows: k.kernel.storage.read.get<{ n: number }>(
    "SELECT (SELECT count(*) FROM storage_kv) + (SELECT count(*) FROM storage_doc) + " +
      "(SELECT count(*) FROM fs_inode) + (SELECT count(*) FROM app_env) AS n",
  )?.n,
});

test("everything travels to another machine, but secrets", async () => {
  await using k = await testKernel();
  const { volume } = await furnished(k, "blog");
  const cartridge = await exported(k, "blog");
  volume.close();
  expect(Buffer.from(cartridge).includes("s3cret-of-this-machine")).toBe(false);

  await using there = await testKernel();
  const done = await imports(there, cartridge);
  expect(done).toMatchObject({ app: "blog", imported: true, missingSecrets: ["API_KEY"] });
  expect(await bytesAt(there, "/apps/blog/public/index.html")).toEqual(
    new TextEncoder().encode("<p>blog"),
  );
  expect(await bytesAt(there, "/data/blog/in/big.bin")).toEqual(big);
  expect((await bytesAt(there, "/data/blog/empty")).length).toBe(0);
  expect(await there.call("fs.stat", { path: "/data/blog/in/ner" })).toMatchObject({ kind: "dir" });
  const scope = { appId: done.id, userId: null };
  const { storage } = there.kernel;
  expect(storage.kv.get(scope, "k/129")?.value).toEqual({ n: 129 });
  expect(storage.docs.get(scope, { collection: "notes", id: "n119" })?.doc).toMatchObject({
    n: 119,
  });
  expect(storage.docs.indexes(scope)).toMatchObject([
    { collection: "notes", field: "n", ready: true },
  ]);
  expect(there.kernel.app.env.ls(done.id)).toMatchObject([{ name: "GREETING", value: "hello" }]);
  using db = new Database(join(storage.volumeDir(done.id), "app.db"));
  expect(db.query("SELECT x FROM t").all()).toEqual([{ x: "in the wal" }]);
}, 30_000);

test("names and modes: refuse, skip, overwrite; a new name is a new app", async () => {
  await using k = await testKernel();
  const { id, volume } = await furnished(k, "blog");
  volume.close();
  const cartridge = await exported(k, "blog");
  await k.call("storage.kv.set", { app: "blog", key: "later", value: 1 });
  expect(await codeOf(imports(k, cartridge))).toBe("EEXIST");
  expect(await imports(k, cartridge, { mode: "skip" })).toMatchObject({ id, imported: false });
  const second = await imports(k, cartridge, { name: "blog-2" });
  expect(second).toMatchObject({ app: "blog-2", replaced: null });
  expect(second.id).not.toBe(id);
  const over = await imports(k, cartridge, { mode: "overwrite" });
  expect(over).toMatchObject({ app: "blog", replaced: id, missingSecrets: [] });
  expect(await k.call("storage.kv.get", { app: "blog", key: "later" })).toBeNull();
  const release = k.kernel.app.release(k.kernel.app.get("blog").releaseId ?? "");
  expect(k.kernel.app.env.resolve(release)["API_KEY"]).toBe("s3cret-of-this-machine");
  expect(await codeOf(imports(k, cartridge, { name: "Not A Name" }))).toBe("EINVAL");
  expect(inventory(k).apps).toEqual(["blog", "blog-2"]);
}, 30_000);

describe("merge", () => {
  test("joins: the cartridge's over what is there, the rest stays, and so do id and volume", async () => {
    await using k = await testKernel();
    const { id, volume } = await furnished(k, "blog");
    volume.close();
    const cartridge = await exported(k, "blog");
    const set = (key: string, value: unknown) =>
      k.call("storage.kv.set", { app: "blog", key, value });
    await set("k/0", "changed");
    await set("later", 1);
    const scope = { appId: id, userId: null };
    const { docs } = k.kernel.storage;
    await docs.put(scope, { collection: "notes", id: "n0", doc: { n: 1000 } });
    await docs.put(scope, { collection: "other", id: "o", doc: { o: 1 } });
    await k.call(
      "fs.write",
      { path: "/data/blog/in/own.txt" },
      { body: new Blob(["own"]).stream() },
    );
    await k.call("fs.write", { path: "/data/blog/empty" }, { body: new Blob(["full"]).stream() });
    await k.call("fs.rm", { path: "/data/blog/in/big.bin" });
    await k.call("app.env.set", { app: "blog", name: "GREETING", value: "changed" });
    await k.call("app.env.set", { app: "blog", name: "OWN", value: "1" });
    await k.call("app.env.set", { app: "blog", name: "API_KEY", secret: "newer" });
    await deployed(k, "blog", { files: { "public/index.html": "newer" } });

    const done = await imports(k, cartridge, { mode: "merge" });
    expect(done).toMatchObject({ app: "blog", id, merged: true, replaced: null });
    const get = async (key: string) =>
      (await k.call<{ value: unknown } | null>("storage.kv.get", { app: "blog", key }))?.value;
    expect([await get("k/0"), await get("later")]).toEqual([{ n: 0 }, 1]);
    expect(docs.get(scope, { collection: "notes", id: "n0" })?.doc).toMatchObject({ n: 0 });
    expect(docs.get(scope, { collection: "other", id: "o" })?.doc).toEqual({ o: 1 });
    const found = await docs.find(scope, { collection: "notes", where: { n: { $gte: 1000 } } });
    expect(found.entries).toEqual([]);
    expect(await bytesAt(k, "/data/blog/in/big.bin")).toEqual(big);
    expect((await bytesAt(k, "/data/blog/in/own.txt")).length).toBe(3);
    expect((await bytesAt(k, "/data/blog/empty")).length).toBe(0);
    const app = k.kernel.app.get("blog");
    expect(k.kernel.app.env.resolve(k.kernel.app.release(app.releaseId ?? ""))).toMatchObject({
      GREETING: "hello",
      OWN: "1",
      API_KEY: "newer",
    });
    expect(new TextDecoder().decode(await bytesAt(k, "/apps/blog/public/index.html"))).toBe(
      "<p>blog",
    );
    using db = new Database(join(k.kernel.storage.volumeDir(id), "app.db"));
    expect(db.query("SELECT x FROM t").all()).toEqual([{ x: "in the wal" }]);
    await k.call("storage.gc");
    expect(inventory(k)).toMatchObject({ apps: ["blog"], volumes: 1 });
    expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
  }, 30_000);

  test("a file where the app has a directory: refused, and nothing has changed", async () => {
    await using k = await testKernel();
    const { volume } = await furnished(k, "blog");
    volume.close();
    const cartridge = await exported(k, "blog");
    await k.call("fs.rm", { path: "/data/blog/empty" });
    await k.call("fs.mkdir", { path: "/data/blog/empty" });
    await k.call("storage.kv.rm", { app: "blog", key: "k/5" });
    const release = k.kernel.app.get("blog").releaseId;
    const before = inventory(k);
    expect(await codeOf(imports(k, cartridge, { mode: "merge" }))).toBe("EEXIST");
    expect(inventory(k)).toEqual(before);
    expect(k.kernel.app.get("blog").releaseId).toBe(release);
    expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
  }, 30_000);

  test("where there is no such app it is an import", async () => {
    await using from = await testKernel();
    const { volume } = await furnished(from, "blog");
    volume.close();
    await using k = await testKernel();
    const done = await imports(k, await exported(from, "blog"), { mode: "merge" });
    expect(done).toMatchObject({ app: "blog", merged: false, imported: true });
  }, 30_000);
});

test("a server proves itself on the imported data before it is current", async () => {
  await using k = await testKernel();
  const files = { "server.js": okServer };
  await deployed(k, "api", { files, manifest: { server: "server.js" } });
  const cartridge = await exported(k, "api");
  const { app } = await imports(k, cartridge, { name: "api-2" });
  const response = await k.kernel.proc.fetch(
    k.kernel.app.get(app),
    new Request("http://api-2.localhost/"),
    { id: "r1", address: null, userId: null, upgrade: null },
  );
  expect(await response.text()).toBe("ok");
}, 30_000);

describe("refused, and nothing of it left", () => {
  test("damage anywhere in the content, a missing end, strangers' schemas, newer formats", async () => {
    await using k = await testKernel();
    const { volume } = await furnished(k, "blog");
    volume.close();
    const cartridge = await exported(k, "blog");
    const before = inventory(k);
    const said = new Set<string>();
    const refused = async (bytes: Uint8Array<ArrayBuffer>) => {
      const work = imports(k, bytes, { name: "stranger" });
      expect(await codeOf(work)).toBe("EBADMSG");
      await work.catch((error: SysError) => said.add(error.message));
      expect(inventory(k)).toEqual(before);
    };
    await refused(cartridge.slice(0, 50_000));
    await refused(cartridge.slice(0, cartridge.length - 8_192));
    await refused(new TextEncoder().encode("no cartridge at all"));
    await refused(new Uint8Array(0));
    for (let i = 1; i <= 12; i++) {
      const flipped = cartridge.slice();
      const at = Math.floor((cartridge.length * i) / 13);
      flipped[at] = (flipped[at] ?? 0) ^ 4;
      await refused(flipped);
    }
    const changed = async (sql: string) => {
      const dir = mkdtempSync(join(tmpdir(), "fazt-cart-"));
      const path = join(dir, "x.cart");
      await Bun.write(path, cartridge);
      const db = new Database(path);
      db.run(sql);
      db.close();
      await refused(new Uint8Array(await Bun.file(path).arrayBuffer()));
      rmSync(dir, { recursive: true });
    };
    await changed("PRAGMA user_version = 2");
    await changed("PRAGMA application_id = 7");
    await changed("CREATE VIEW v AS SELECT 1");
    await changed("CREATE TRIGGER t AFTER INSERT ON cartridge_pair BEGIN SELECT 1; END");
    await changed("UPDATE cartridge_pair SET value = '1' WHERE n = 5");
    await changed("DELETE FROM cartridge_doc WHERE n = 5");
    await changed("UPDATE cartridge_meta SET name = 'evil'");
    expect([...said].join("\n")).toContain("this is no cartridge");
    expect([...said].join("\n")).toContain("newer fazt");
    expect([...said].join("\n")).toContain('section "pair"');
  }, 60_000);

  test.skipIf(!mayMount)(
    "no room, at any point: ENOSPC",
    async () => {
      await using from = await testKernel();
      const { volume } = await furnished(from, "blog");
      volume.close();
      const cartridge = await exported(from, "blog");
      for (const spareKb of [100, 1_000, 2_500, 4_500, 7_000]) {
        using disk = smallDisk(40);
        const storageLimits = { diskUsedMax: 2 };
        await using k = await testKernel({ dataDir: join(disk.path, "data"), storageLimits });
        const before = inventory(k);
        const free = Number(Bun.spawnSync(["stat", "-fc", "%a", disk.path]).stdout.toString()) * 4;
        const filler = join(disk.path, "more");
        Bun.spawnSync(["dd", "if=/dev/zero", `of=${filler}`, "bs=1024", `count=${free - spareKb}`]);
        expect([spareKb, await codeOf(imports(k, cartridge))]).toEqual([spareKb, "ENOSPC"]);
        rmSync(filler);
        expect([spareKb, inventory(k)]).toEqual([spareKb, before]);
        expect(await codeOf(imports(k, cartridge))).toBe("OK");
      }
    },
    60_000,
  );

  test("a caller that goes away", async () => {
    await using k = await testKernel();
    const { volume } = await furnished(k, "blog");
    volume.close();
    const cartridge = await exported(k, "blog");
    const before = inventory(k);
    const body = new Blob([cartridge]).stream();
    const signal = AbortSignal.abort();
    const gone = k.call("app.import", { name: "gone" }, { body, signal });
    expect(await codeOf(gone)).toBe("ECANCELED");
    expect(inventory(k)).toEqual(before);
  });
});

/** Boots a kernel of its own, imports, and is killed after a while. */
const importer = `
  const { testKernel } = await import(process.argv[1] + "tests/kernel.ts");
  const k = await testKernel({ dataDir: process.argv[2] });
  console.log("ready");
  await k.call("app.import", {}, { body: Bun.file(process.argv[3]).stream() });
  console.log("done");
  process.kill(process.pid, "SIGKILL");
`;

test("a kernel killed during an import has the whole app or nothing of it", async () => {
  await using k = await testKernel();
  const { volume } = await furnished(k, "blog");
  volume.close();
  const at = mkdtempSync(join(tmpdir(), "fazt-cart-"));
  const file = join(at, "blog.cart");
  await Bun.write(file, await exported(k, "blog"));
  const root = new URL("../../../", import.meta.url).pathname;
  const seen = { none: 0, whole: 0 };
  const rounds = 16;
  for (let round = 0; round < rounds; round++) {
    const dataDir = join(at, `data${round}`);
    const args = [process.execPath, "-e", importer, root, dataDir, file];
    const child = Bun.spawn(args, { stdout: "pipe", stderr: "ignore" });
    let timer: ReturnType<typeof setTimeout> | undefined;
    for await (const _ of child.stdout) {
      // The last one comes to its end.
      if (round === rounds - 1) continue;
      // tidy: allow banned-call: the moment of the kill is what varies
      timer ??= setTimeout(() => child.kill("SIGKILL"), round * 22);
    }
    await child.exited;
    clearTimeout(timer);
    await using there = await testKernel({ dataDir });
    await there.call("storage.gc");
    const found = inventory(there);
    if (found.apps.length === 0) {
      seen.none++;
      expect(found).toEqual({ apps: [], volumes: 0, rows: 0 });
    } else {
      seen.whole++;
      expect(found).toEqual({ apps: ["blog"], volumes: 1, rows: 130 + 120 + 4 + 1 });
      expect(await bytesAt(there, "/data/blog/in/big.bin")).toEqual(big);
    }
  }
  rmSync(at, { recursive: true });
  expect(seen.none).toBeGreaterThan(0);
  expect(seen.whole).toBeGreaterThan(0);
}, 120_000);

test("a disk at its mark takes no cartridge in", async () => {
  const { dataDir, close } = await testKernel();
  await close();
  await using full = await testKernel({ dataDir, storageLimits: { diskUsedMax: -1 } });
  let taken = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        taken++;
        controller.enqueue(new Uint8Array(1_000_000));
        if (taken === 50) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  expect(await codeOf(full.call("app.import", {}, { body }))).toBe("ENOSPC");
  expect(taken).toBeLessThan(3);
});

test("purge leaves no trace of an app", async () => {
  await using k = await testKernel();
  const { id, volume } = await furnished(k, "blog");
  volume.close();
  await k.call("net.route.add", { host: "blog.example.org", app: "blog" });
  expect(traces(k.kernel.storage, id).length).toBeGreaterThan(5);
  await k.call("app.rm", { app: "blog", purge: true });
  await k.call("storage.gc");
  expect(traces(k.kernel.storage, id)).toEqual([]);
});
