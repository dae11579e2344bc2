/**
 * A disk that is full at every point of what writes: the room that is left grows step by step from
 * none to enough, so that each write on the way is the one that fails. Every refusal is ENOSPC,
 * leaves the database whole and all that was acknowledged, and room alone makes it work again.
 */
import { expect, test } from "bun:test";
import { join } from "node:path";
import type { Bytes } from "../../kernel/call.ts";
import { SysError } from "../../kernel/errno.ts";
import { restoreBackup } from "../../kernel/storage/mod.ts";
import { deployed } from "../deployed.ts";
import { mayMount, type SmallDisk, smallDisk } from "../disk.ts";
import { type TestKernel, testKernel } from "../kernel.ts";

/** The mark and the ballast are out of the way: it is the file system that refuses. */
const storageLimits = { diskUsedMax: 2, ballastBytes: 0 };

async function codeOf(work: Promise<unknown>): Promise<string> {
  return await work.then(
    () => "OK",
    (error: unknown) => (error instanceof SysError ? error.code : String(error)),
  );
}

const random = (bytes: number) => {
  const made = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65_536) {
    crypto.getRandomValues(made.subarray(at, Math.min(bytes, at + 65_536)));
  }
  return made;
};

/** Every step is some way from the last; the first ones are closest. */
function* rooms(mostKb: number): Generator<number> {
  for (let kb = 4; kb < mostKb; kb = Math.ceil((kb * 1.35) / 4) * 4 + 4) yield kb;
}

interface Deed {
  readonly name: string;
  /** Room in which it succeeds for certain, KB. */
  readonly enoughKb: number;
  /** Made ready with all room there is; answers what is then done again and again. */
  ready(k: TestKernel): Promise<(step: number) => Promise<unknown>>;
}

const text = "x".repeat(200_000);

const deeds: Deed[] = [
  {
    name: "a pair of 200 KB",
    enoughKb: 2_000,
    ready: async (k) => (step) =>
      k.call("storage.kv.set", { app: "blog", key: `k/${step}`, value: text }),
  },
  {
    name: "a document",
    enoughKb: 2_000,
    ready: async (k) => (step) => {
      const scope = { appId: k.kernel.app.get("blog").id, userId: null };
      return k.kernel.storage.docs.put(scope, { collection: "c", id: `d${step}`, doc: { text } });
    },
  },
  {
    name: "a file of 3 MB",
    enoughKb: 12_000,
    ready: async (k) => () =>
      k.call("fs.write", { path: "/home/file" }, { body: new Blob([random(3_000_000)]).stream() }),
  },
  {
    name: "a deploy",
    enoughKb: 12_000,
    ready: async (k) => (step) => {
      const files = { "public/index.html": `v${step}`, "public/big": random(900_000).toBase64() };
      return deployed(k, "blog", { files });
    },
  },
  {
    name: "an import",
    enoughKb: 16_000,
    ready: async (k) => {
      const { stream } = await k.call<Bytes>("app.export", { app: "blog" });
      const cartridge = await new Response(stream).bytes();
      return (step) =>
        k.call("app.import", { name: `b${step}` }, { body: new Blob([cartridge]).stream() });
    },
  },
  {
    name: "an export",
    enoughKb: 8_000,
    ready: async (k) => async () => {
      const { stream } = await k.call<Bytes>("app.export", { app: "blog" });
      await new Response(stream).bytes();
    },
  },
  {
    name: "a statement on an app's volume",
    enoughKb: 6_000,
    ready: async (k) => {
      const sql = (statement: string) =>
        k.call("storage.sql", { app: "blog", sql: statement, write: true });
      await sql("CREATE TABLE t (x)");
      return () => sql("INSERT INTO t VALUES (randomblob(300000))");
    },
  },
];

/** What was there before anything failed, as it must stay. */
async function acknowledged(k: TestKernel): Promise<unknown[]> {
  const page = await k.call<Bytes>("fs.read", { path: "/home/kept" });
  return [
    await k.call("storage.kv.get", { app: "blog", key: "kept" }),
    Bun.hash(await new Response(page.stream).bytes()),
  ];
}

async function furnished(disk: SmallDisk): Promise<TestKernel> {
  const k = await testKernel({ dataDir: join(disk.path, "data"), storageLimits });
  await deployed(k, "blog", { files: { "public/index.html": "blog", "private/a": text } });
  await k.call("storage.kv.set", { app: "blog", key: "kept", value: text });
  const body = new Blob([random(500_000)]).stream();
  await k.call("fs.write", { path: "/home/kept" }, { body });
  return k;
}

test.skipIf(!mayMount).each(deeds)(
  "$name",
  async ({ enoughKb, ready }) => {
    using disk = smallDisk(64);
    await using k = await furnished(disk);
    const kept = await acknowledged(k);
    const deed = await ready(k);
    const seen = { ENOSPC: 0, OK: 0 };
    let step = 0;
    for (const roomKb of rooms(enoughKb)) {
      disk.fill(roomKb);
      const code = await codeOf(deed(step++));
      expect([roomKb, code]).toEqual([roomKb, expect.stringMatching(/^(ENOSPC|OK)$/)]);
      seen[code as keyof typeof seen]++;
      expect([roomKb, await acknowledged(k)]).toEqual([roomKb, kept]);
      disk.empty();
      // Room alone makes it work again, in the same kernel.
      if (code === "ENOSPC") expect([roomKb, await codeOf(deed(step++))]).toEqual([roomKb, "OK"]);
      if (seen.OK > 2) break;
    }
    expect(seen.ENOSPC).toBeGreaterThan(2);
    expect(await k.call<object>("storage.check")).toMatchObject({ ok: true, problems: [] });
    const again = await k.reboot();
    expect(await acknowledged(again)).toEqual(kept);
    await again.close();
  },
  120_000,
);

test.skipIf(!mayMount)(
  "a restore over what is there",
  async () => {
    using disk = smallDisk(64);
    await using from = await testKernel();
    for (let n = 0; n < 20; n++) {
      const body = new Blob([random(100_000)]).stream();
      await from.call("fs.write", { path: `/home/${n}` }, { body });
    }
    const { stream } = await from.call<Bytes>("storage.backup");
    const backup = await new Response(stream).bytes();
    async function* pieces() {
      for (let at = 0; at < backup.length; at += 50_000) yield backup.subarray(at, at + 50_000);
    }
    const k = await furnished(disk);
    const kept = await acknowledged(k);
    const { dataDir } = k;
    await k.close();
    const options = { dataDir, force: true, key: null, passphrase: null, identities: [] };
    let refused = 0;
    for (const roomKb of rooms(20_000)) {
      disk.fill(roomKb);
      const code = await codeOf(restoreBackup(pieces(), options));
      expect([roomKb, code]).toEqual([roomKb, expect.stringMatching(/^(ENOSPC|OK)$/)]);
      disk.empty();
      if (code === "OK") break;
      refused++;
      const there = await testKernel({ dataDir, storageLimits, claimed: false });
      expect([roomKb, await acknowledged(there)]).toEqual([roomKb, kept]);
      await there.close();
    }
    expect(refused).toBeGreaterThan(5);
    await using there = await testKernel({ dataDir, storageLimits, claimed: false });
    expect(await there.call<object>("fs.stat", { path: "/home/19" })).toMatchObject({
      sizeBytes: 100_000,
    });
  },
  120_000,
);
