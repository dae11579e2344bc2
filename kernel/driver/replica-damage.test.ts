/** What is damaged, cut or missing in a replica is named, and nothing is left half restored. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { damages, generator, seedOf } from "../../tests/damage.ts";
import { type Bench, bench, contentOf, smallLimits, until, write } from "./fixture.ts";
import { limits } from "./limits.ts";
import { candidates } from "./replica-plan.ts";
import { openStore } from "./store/mod.ts";

/** A replica with two snapshots and several logs; what every restore of it may hold. */
async function replica(on: Bench): Promise<{ root: string; contents: Set<string> }> {
  const root = on.path("replica");
  const store = await openStore({ kind: "file", path: root }, limits);
  await store.probe();
  const db = on.open();
  const contents = new Set<string>();
  const replicator = on.replicate(store);
  await replicator.snapshot();
  for (let round = 0; round < 8; round++) {
    write(db, 40, 1_000);
    await replicator.flush();
    contents.add(contentOf(db));
  }
  replicator.close();
  return { root, contents };
}

const files = (root: string): string[] =>
  (readdirSync(root, { recursive: true }) as string[])
    .filter((name) => /\.(lz4|json)$/.test(name) && !name.includes("lease"))
    .sort();

/** How a restore ends: what it holds, or the message it is refused with. */
async function outcome(
  on: Bench,
  root: string,
): Promise<{ content: string } | { message: string }> {
  try {
    const { path } = await on.restore(await openStore({ kind: "file", path: root }, limits));
    return { content: contentOf(path) };
  } catch (error) {
    return { message: (error as Error).message };
  }
}

/** Whether a restore has the first rows of what was written, and no others. */
async function isPrefix(on: Bench, root: string): Promise<boolean> {
  const { path, rows } = await on.restore(await openStore({ kind: "file", path: root }, limits));
  return rows > 0 && contentOf(path) === contentOf(join(on.dataDir, "data.db"), rows);
}

const kinds: [string, (bytes: Buffer, at: number) => Buffer][] = [
  [
    "a bit flipped",
    (bytes, at) => {
      const bad = Buffer.from(bytes);
      bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
      return bad;
    },
  ],
  ["cut", (bytes, at) => bytes.subarray(0, at)],
];

describe.each(kinds)("%s", (_name, damage) => {
  test("in any object of it", async () => {
    using on = bench();
    const { root, contents } = await replica(on);
    let restored = 0;
    for (const name of files(root)) {
      const path = join(root, name);
      const whole = readFileSync(path);
      for (const share of [0, 0.01, 0.3, 0.77, 0.999]) {
        writeFileSync(path, damage(whole, Math.floor(whole.length * share)));
        const end = await outcome(on, root);
        if ("content" in end) restored++;
        // A record may lose digits that nothing depends on, such as a time.
        const harmless = "content" in end && name.endsWith(".json") && contents.has(end.content);
        if (!harmless) expect([name, end]).toEqual([name, { message: expect.any(String) }]);
        if ("message" in end)
          expect(end.message).toMatch(/^cannot (restore|read).*"(data\.db|fazt)\b/);
      }
      writeFileSync(path, whole);
    }
    const left = readdirSync(on.path(".")).filter((name) => /^restored-\d+\.db$/.test(name));
    expect(left.length).toBe(restored);
  }, 60_000);
});

test("damage drawn from a seed, anywhere in it: named, or what is restored was there once", async () => {
  using on = bench();
  const { root, contents } = await replica(on);
  const last = [...contents].at(-1);
  const random = generator(seedOf());
  const names = files(root);
  let refused = 0;
  for (let round = 0; round < 300; round++) {
    const name = names[Math.floor(random() * names.length)] ?? "";
    const path = join(root, name);
    const whole = new Uint8Array(readFileSync(path));
    for (const { what, bytes } of damages(whole, 1 + (round % 2), random)) {
      writeFileSync(path, bytes);
      const end = await outcome(on, root);
      if ("message" in end) {
        refused++;
        expect([name, what, end.message]).toEqual([
          name,
          what,
          expect.stringMatching(/^cannot (restore|read).*"(data\.db|fazt)\b/),
        ]);
      } else {
        // LZ4 says the same in several ways; of a record, digits may go that nothing depends on.
        const right = end.content === last || (name.endsWith(".json") && contents.has(end.content));
        expect([name, what, right]).toEqual([name, what, true]);
      }
    }
    writeFileSync(path, whole);
  }
  expect(refused).toBeGreaterThan(100);
}, 120_000);

test("an object that is missing is named, but for the end of the newest log: a prefix is left", async () => {
  using on = bench();
  const { root } = await replica(on);
  const segments = files(root).filter((name) => name.includes("/wal/"));
  for (const name of files(root)) {
    const path = join(root, name);
    const whole = readFileSync(path);
    rmSync(path);
    const end = await outcome(on, root);
    const last = name === segments.at(-1);
    if (last) expect("content" in end && (await isPrefix(on, root))).toBe(true);
    else expect([name, "message" in end]).toEqual([name, !name.endsWith("generation.json")]);
    writeFileSync(path, whole);
  }
}, 60_000);

test("what is older than the retention goes, and everything within it can be restored", async () => {
  using on = bench();
  const root = on.path("replica");
  const store = await openStore({ kind: "file", path: root }, limits);
  await store.probe();
  const db = on.open();
  const retentionMs = 600;
  const replicator = on.replicate(store, { limits: { ...smallLimits, retentionMs } });
  const marks: { at: number; content: string }[] = [];
  for (let hour = 0; hour < 6; hour++) {
    write(db, 200, 1_000);
    await replicator.flush();
    await replicator.snapshot();
    marks.push({ at: on.machine.now(), content: contentOf(db) });
    const at = on.machine.now();
    await until(() => on.machine.now() > at + 320);
  }
  const [generation] = await candidates(store, "data.db");
  expect(generation?.snapshots.length).toBeLessThan(5);
  for (const { at, content } of marks.slice(-1)) {
    expect(contentOf((await on.restore(store, { at })).path)).toBe(content);
  }
  const first = marks[0]?.at ?? 0;
  await expect(on.restore(store, { at: first })).rejects.toMatchObject({ code: "ENOENT" });
  expect(existsSync(root)).toBe(true);
});

test("of a database that is gone nothing is left after the retention, and all of it until then", async () => {
  using on = bench();
  const root = on.path("replica");
  const store = await openStore({ kind: "file", path: root }, limits);
  await store.probe();
  const db = on.open();
  const [gone, stays] = ["volumes/app_gone.db", "volumes/app_stays.db"];
  write(on.open(gone), 10);
  write(on.open(stays), 10);
  const day = { ...smallLimits, retentionMs: 24 * 3_600_000, sweepEveryMs: 0 };
  const replicator = on.replicate(store, { limits: day });
  await replicator.flush();
  rmSync(join(on.dataDir, "volumes/app_gone"), { recursive: true });
  const sweep = async () => {
    await until(() => replicator.status().databases.length === 2);
    // A sweep goes with a shipment; the second one began after the first had ended.
    for (const _ of [1, 2]) {
      const { shippedAt } = replicator.status().databases[0] ?? {};
      write(db, 1);
      await until(() => replicator.status().databases[0]?.shippedAt !== shippedAt);
    }
  };
  await sweep();
  expect((await on.restore(store, { name: gone })).rows).toBe(10);
  on.machine.advance(25 * 3_600_000);
  await sweep();
  await until(() => !files(root).some((name) => name.includes("app_gone")));
  expect((await on.restore(store, { name: stays })).rows).toBe(10);
  expect((await on.restore(store)).rows).toBeGreaterThan(0);
});

test.each([
  ["while it is held", true],
  ["while nobody runs", false],
] as const)("a lease that is damaged %s is written anew", async (_name, running) => {
  using on = bench();
  const root = on.path("replica");
  const store = await openStore({ kind: "file", path: root }, limits);
  await store.probe();
  const db = on.open();
  const short = { ...smallLimits, leaseTrustMs: 0 };
  let replicator = on.replicate(store, { limits: short });
  write(db, 10);
  await replicator.flush();
  const [before] = replicator.status().databases;
  if (!running) replicator.close();
  writeFileSync(join(root, "fazt/lease.json"), '{"version":1,"ow');
  if (!running) replicator = on.replicate(store, { limits: short });
  write(db, 10);
  await replicator.flush();
  expect(replicator.status()).toMatchObject({ state: "ok", error: null });
  expect((await on.restore(store)).rows).toBe(20);
  // Whose it was in between nobody knows: only who held it all the time goes on.
  expect(replicator.status().databases[0]?.generation === before?.generation).toBe(running);
});

test("a database that cannot be followed is no flush that went well, and hinders no other", async () => {
  using on = bench();
  const store = await openStore({ kind: "file", path: on.path("replica") }, limits);
  await store.probe();
  write(on.open(), 10);
  const volume = "volumes/app_b.db";
  on.open(volume, (fresh) => fresh.run("CREATE TABLE u (id INTEGER)")).run(
    "PRAGMA journal_mode = DELETE",
  );
  const replicator = on.replicate(store);
  await expect(replicator.flush()).rejects.toMatchObject({
    code: "EIO",
    message: expect.stringContaining("not in WAL mode"),
  });
  expect((await on.restore(store)).rows).toBe(10);
});
