/** The replica against the real Litestream v0.3.13, both ways; times, restarts, readers, leases. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type S3, startS3 } from "../../tests/s3.ts";
import {
  type Bench,
  bench,
  contentOf,
  litestream,
  runLitestream,
  smallLimits,
  until,
  write,
} from "./fixture.ts";
import { limits } from "./limits.ts";
import { candidates } from "./replica-plan.ts";
import { openStore, type ReplicaStore } from "./store/mod.ts";

let s3: S3;
beforeAll(async () => {
  s3 = await startS3();
});
afterAll(async () => {
  await s3[Symbol.asyncDispose]();
});

/** A store of a kind, and how Litestream names a database in it. */
interface Place {
  readonly store: ReplicaStore;
  url(database: string): string;
  configure(path: string, db: string): void;
}

let places = 0;

async function place(kind: string, on: Bench): Promise<Place> {
  const prefix = `p${places++}`;
  if (kind === "file") {
    const root = on.path(prefix);
    const store = await openStore({ kind: "file", path: root }, limits);
    await store.probe();
    const url = (database: string) => `file://${root}/${database}`;
    const configure = (path: string, db: string) =>
      writeFileSync(
        path,
        `dbs:\n  - path: ${db}\n    replicas:\n      - path: ${root}/data.db\n        sync-interval: 50ms\n`,
      );
    return { store, url, configure };
  }
  const { bucket, endpoint, keyId, secret } = s3;
  const target = { kind: "s3", bucket, endpoint, keyId, secret, region: "us-east-1" } as const;
  const store = await openStore({ ...target, prefix }, { ...limits, requestMs: 5_000 });
  const url = (database: string) =>
    `s3://${bucket}.${new URL(endpoint).host}/${prefix}/${database}`;
  const configure = (path: string, db: string, database = "data.db") =>
    writeFileSync(
      path,
      `dbs:\n  - path: ${db}\n    replicas:\n      - type: s3\n        bucket: ${bucket}\n        path: ${prefix}/${database}\n        endpoint: ${endpoint}\n        region: us-east-1\n        force-path-style: true\n        sync-interval: 50ms\n`,
    );
  return { store, url, configure };
}

/** Restores by the real Litestream and answers the file. */
async function byLitestream(on: Bench, at: Place): Promise<string> {
  const config = on.path("litestream.yml");
  const original = join(on.dataDir, "data.db");
  at.configure(config, original);
  const out = on.path(`litestream-${places++}.db`);
  await runLitestream(["restore", "-config", config, "-o", out, original], s3.litestreamEnv());
  return out;
}

const kinds = ["file", "s3"];
const pageSizes = [512, 8192, 65_536];

describe.skipIf(litestream === null)("the real Litestream v0.3.13", () => {
  test.each(kinds.flatMap((kind) => pageSizes.map((bytes) => [kind, bytes] as const)))(
    "restores ours from %s, pages of %p bytes, as we do",
    async (kind, pageBytes) => {
      using on = bench();
      const at = await place(kind, on);
      const db = on.open("data.db", (fresh) => fresh.run(`PRAGMA page_size = ${pageBytes}`));
      const replicator = on.replicate(at.store);
      for (let round = 0; round < 8; round++) {
        write(db, 30, 700);
        await replicator.flush();
      }
      db.run("DELETE FROM t WHERE id % 3 = 0");
      db.run("VACUUM");
      write(db, 20);
      await replicator.snapshot();
      write(db, 20);
      await replicator.flush();
      expect(replicator.status().databases[0]?.index).toBeGreaterThan(1);
      const ours = await on.restore(at.store);
      const theirs = await byLitestream(on, at);
      expect(contentOf(theirs)).toBe(contentOf(db));
      expect(readFileSync(ours.path).equals(readFileSync(theirs))).toBe(true);
    },
    30_000,
  );

  test.each(kinds)(
    "writes to %s what we restore, its own tables included",
    async (kind) => {
      using on = bench();
      const at = await place(kind, on);
      const db = on.open();
      const config = on.path("replicate.yml");
      at.configure(config, join(on.dataDir, "data.db"));
      const child = Bun.spawn([litestream ?? "", "replicate", "-config", config], {
        env: s3.litestreamEnv(),
        stdout: "ignore",
        stderr: "ignore",
      });
      try {
        for (let round = 1; round <= 4; round++) {
          write(db, 1_200, 1_000);
          await until(async () => (await rowsIn(on, at.store)) === round * 1_200, 20_000);
        }
      } finally {
        child.kill("SIGINT");
        await child.exited;
      }
      const back = await on.restore(at.store);
      expect(contentOf(back.path)).toBe(contentOf(db));
    },
    60_000,
  );
});

/** How many rows a restore of now has; -1 while nothing can be restored. */
async function rowsIn(on: Bench, store: ReplicaStore): Promise<number> {
  return (await on.restore(store).catch(() => ({ rows: -1 }))).rows;
}

describe.each(kinds)("a replica in %s", (kind) => {
  test("gives back any time in it", async () => {
    using on = bench();
    const { store } = await place(kind, on);
    const db = on.open();
    const replicator = on.replicate(store, { limits: { ...smallLimits, shipEveryMs: 1e9 } });
    const marks: { at: number; content: string }[] = [];
    for (let round = 0; round < 15; round++) {
      write(db, 30, 1_500);
      await replicator.flush();
      const at = on.machine.now();
      marks.push({ at, content: contentOf(db) });
      // S3 tells whole seconds: within the newest log times are that coarse.
      const grainMs = kind === "s3" ? 1_000 : 2;
      await until(() => Math.floor(on.machine.now() / grainMs) > Math.floor(at / grainMs));
      if (kind === "s3" && round > 3) break;
    }
    for (const { at, content } of marks.slice(1)) {
      expect(contentOf((await on.restore(store, { at })).path)).toBe(content);
    }
    const before = on.restore(store, { at: (marks[0]?.at ?? 0) - 3_600_000 });
    await expect(before).rejects.toMatchObject({ code: "ENOENT" });
  }, 30_000);

  test("a restart goes on in the same generation; a log that was cut meanwhile does not", async () => {
    using on = bench();
    const { store } = await place(kind, on);
    const db = on.open();
    const first = on.replicate(store);
    write(db, 100);
    await first.flush();
    // A large log is emptied when a generation begins: what comes after has a header to go by.
    write(db, 1);
    await first.flush();
    first.close();
    write(db, 100);
    const second = on.replicate(store);
    write(db, 300);
    await second.flush();
    expect((await candidates(store, "data.db")).length).toBe(1);
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
    second.close();
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    write(db, 10);
    const third = on.replicate(store);
    await third.flush();
    expect((await candidates(store, "data.db")).length).toBe(2);
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("a clock that jumps to and fro: the latest is the latest, and times are in order", async () => {
    using on = bench();
    const { store } = await place(kind, on);
    const db = on.open();
    let replicator = on.replicate(store);
    const hour = 3_600_000;
    for (const jumpMs of [0, 2 * hour, -3 * hour, 5 * hour, -24 * hour]) {
      on.machine.advance(jumpMs);
      for (let round = 0; round < 3; round++) {
        write(db, 100);
        await replicator.flush();
      }
      expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
      // What was written since begins a new generation, at the time it is now.
      replicator.close();
      db.run("PRAGMA wal_checkpoint(TRUNCATE)");
      write(db, 10);
      replicator = on.replicate(store);
      await replicator.flush();
      expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
    }
    const all = await candidates(store, "data.db");
    expect(all.length).toBe(6);
    const ends = all.map(({ snapshots }) => Math.max(...snapshots.map(({ at }) => at)));
    expect(ends).toEqual(ends.toSorted((a, b) => a - b));
    // Every time that is listed can be asked for.
    for (const at of ends) expect((await on.restore(store, { at })).rows).toBeGreaterThan(0);
  }, 60_000);

  test("asks nothing while nothing is written", async () => {
    using on = bench();
    const { store } = await place(kind, on);
    const db = on.open();
    const replicator = on.replicate(store);
    write(db, 100);
    await replicator.flush();
    await until(() => replicator.status().databases[0]?.waitingSince === null);
    await until(() => replicator.status().databases[0]?.snapshotAt !== null);
    const before = s3.asked.length;
    const startedMs = performance.now();
    await until(() => performance.now() - startedMs > 400);
    expect(s3.asked.length).toBe(before);
  });
});

describe("a log", () => {
  test("that a reader keeps from starting anew goes on in place", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const db = on.open();
    const replicator = on.replicate(store);
    write(db, 10);
    const reader = on.open();
    reader.run("BEGIN");
    reader.query("SELECT count(*) FROM t").get();
    for (let round = 0; round < 10; round++) {
      write(db, 100);
      await replicator.flush();
    }
    expect(replicator.status().databases[0]?.index).toBe(0);
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
    reader.run("ROLLBACK");
    for (let round = 0; round < 10; round++) {
      write(db, 100);
      await until(() => replicator.status().databases[0]?.waitingSince === null);
    }
    await until(async () => {
      write(db, 1);
      await replicator.flush();
      return (replicator.status().databases[0]?.index ?? 0) > 0;
    });
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("that its owner copies and cuts himself all the time loses nothing", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const db = on.open();
    const replicator = on.replicate(store);
    const modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
    db.run("PRAGMA busy_timeout = 20");
    db.run("PRAGMA wal_autocheckpoint = 3");
    for (let round = 0; round < 80; round++) {
      write(db, 15);
      db.run(`PRAGMA wal_checkpoint(${modes[round % 4]})`);
      if (round % 5 === 0) await replicator.flush();
    }
    await replicator.flush();
    expect((await candidates(store, "data.db")).length).toBe(1);
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("of one large transaction is shipped in pieces", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const db = on.open();
    const replicator = on.replicate(store);
    write(db, 10);
    await replicator.flush();
    db.transaction(() => write(db, 3_000, 2_000))();
    write(db, 1);
    await replicator.flush();
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("that went on in place after a seal, was copied and restarted unshipped, loses nothing", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const away = unreliable(store);
    const db = on.open();
    db.run("PRAGMA wal_autocheckpoint = 0");
    // Rounds are those of `flush`, and no others.
    const byHand = { ...smallLimits, lookMs: 3_600_000 };
    const replicator = on.replicate(away.store, { limits: byHand });
    await replicator.flush();
    const reader = on.open();
    write(db, 200, 1_000);
    reader.run("BEGIN");
    reader.query("SELECT count(*) FROM t").get();
    await replicator.flush();
    // All of it is in the file, but a reader keeps the log from starting anew.
    write(db, 50, 1_000);
    reader.run("ROLLBACK");
    away.down = true;
    await expect(replicator.flush()).rejects.toThrow("no route");
    db.run("PRAGMA wal_checkpoint(PASSIVE)");
    await expect(replicator.flush()).rejects.toThrow("no route");
    write(db, 5, 1_000);
    away.down = false;
    await replicator.flush();
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("that was empty when its generation began, and lived and died while nobody read, loses nothing", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const db = on.open();
    write(db, 50, 1_000);
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    const first = on.replicate(store);
    await first.flush();
    await until(() => first.status().databases.every(({ snapshotAt }) => snapshotAt !== null));
    first.close();
    write(db, 100, 1_000);
    db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    write(db, 5);
    const second = on.replicate(store);
    await second.flush();
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("that restarts twice while the record of the one before is refused loses nothing", async () => {
    using on = bench();
    const { store } = await place("file", on);
    let refusing = false;
    const picky = new Proxy(store, {
      get(target, name) {
        if (name !== "put")
          return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name);
        return (key: string, bytes: Uint8Array) =>
          refusing && key.includes("/wal-")
            ? Promise.reject(new Error("no"))
            : target.put(key, bytes);
      },
    });
    const db = on.open();
    db.run("PRAGMA wal_autocheckpoint = 0");
    const replicator = on.replicate(picky, { limits: { ...smallLimits, lookMs: 3_600_000 } });
    await replicator.flush();
    write(db, 200, 1_000);
    await replicator.flush();
    refusing = true;
    for (let round = 0; round < 2; round++) {
      write(db, 20, 1_000);
      await expect(replicator.flush()).rejects.toThrow("no");
      db.run("PRAGMA wal_checkpoint(PASSIVE)");
      await expect(replicator.flush()).rejects.toThrow("no");
    }
    write(db, 5, 1_000);
    refusing = false;
    await replicator.flush();
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });

  test("grows no further than its bound while the store is away, then begins anew", async () => {
    using on = bench();
    const { store } = await place("file", on);
    const away = unreliable(store);
    const db = on.open();
    db.run("PRAGMA wal_autocheckpoint = 0");
    const spoolBytes = 300_000;
    const replicator = on.replicate(away.store, { limits: { ...smallLimits, spoolBytes } });
    write(db, 10);
    await replicator.flush();
    away.down = true;
    for (let round = 0; round < 20; round++) {
      write(db, 100);
      await until(() => logBytes(on) <= spoolBytes + 200_000);
    }
    expect(replicator.status().state).toBe("away");
    away.down = false;
    await until(() => replicator.status().state === "ok");
    write(db, 5);
    await replicator.flush();
    expect((await candidates(store, "data.db")).length).toBe(2);
    expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  });
});

function logBytes(on: Bench): number {
  return Bun.file(join(on.dataDir, "data.db-wal")).size;
}

/** The same store, but for the times when it is down. */
function unreliable(store: ReplicaStore): { store: ReplicaStore; down: boolean } {
  const state = { store, down: false };
  state.store = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      if (state.down) return () => Promise.reject(new Error("no route"));
      return value.bind(target);
    },
  });
  return state;
}

describe("two writers", () => {
  test("never write at once: the second waits, takes over, and the first stops", async () => {
    using on = bench();
    using other = bench();
    const { store } = await place("file", on);
    const short = { ...smallLimits, leaseMs: 30_000, leaseTrustMs: 0 };
    const db = on.open();
    write(db, 50);
    const first = on.replicate(store, { limits: short, owner: "own_1" });
    await first.flush();
    const second = other.open();
    write(second, 70);
    const taking = other.replicate(store, { limits: short, owner: "own_2" });
    await expect(taking.flush()).rejects.toThrow('"own_1" writes there');
    other.machine.advance(31_000);
    await until(() => taking.status().state === "ok");
    await taking.flush();
    write(db, 1);
    await until(() => first.status().state === "fenced");
    expect((await on.restore(store)).rows).toBe(70);
    const generations = await candidates(store, "data.db");
    expect(generations.length).toBe(2);
  });
});

test("who ends in order gives the lease back: the next writer need not wait", async () => {
  using on = bench();
  using other = bench();
  const { store } = await place("file", on);
  write(on.open(), 10);
  const first = on.replicate(store, { owner: "own_1" });
  await first.flush();
  write(other.open(), 20);
  const second = other.replicate(store, { owner: "own_2" });
  await expect(second.flush()).rejects.toThrow('"own_1" writes there');
  await first.release();
  await second.flush();
  expect((await on.restore(store)).rows).toBe(20);
  // It is the second one's now: who gave it back once has none to give.
  await first.release();
  write(other.open(), 1);
  await second.flush();
  expect(second.status()).toMatchObject({ state: "ok", error: null });
});

test("a lease of a clock that was ahead keeps nobody out for longer than a lease lasts", async () => {
  using on = bench();
  const { store } = await place("file", on);
  const short = { ...smallLimits, leaseMs: 300, leaseTrustMs: 0 };
  write(on.open(), 10);
  on.machine.advance(365 * 24 * 3_600_000);
  const first = on.replicate(store, { limits: short, owner: "own_1" });
  await first.flush();
  first.close();
  on.machine.advance(-365 * 24 * 3_600_000);
  const second = on.replicate(store, { limits: short, owner: "own_2" });
  await expect(second.flush()).rejects.toThrow('"own_1" writes there');
  await until(() => second.status().databases[0]?.snapshotAt !== null);
  expect((await on.restore(store)).rows).toBe(10);
});

test("a hundred databases are followed by one scheduler", async () => {
  using on = bench();
  const { store } = await place("file", on);
  const names = Array.from({ length: 100 }, (_, i) => `volumes/app_${i}.db`);
  const all = names.map((name) => on.open(name));
  on.open();
  for (const [i, db] of all.entries()) write(db, i + 1, 50);
  const replicator = on.replicate(store);
  await replicator.flush();
  for (const db of all) write(db, 1, 50);
  await replicator.flush();
  for (const [i, name] of [...names.entries()].filter(([i]) => i % 9 === 0)) {
    expect((await on.restore(store, { name })).rows).toBe(i + 2);
  }
  expect(readdirSync("/proc/self/fd").length).toBeLessThan(2_000);
}, 30_000);
