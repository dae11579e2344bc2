/**
 * Requests that arrive late: their sender was killed, or had given up waiting, and another shipment
 * has come since. Whatever arrives when, the replica can be restored, by us and by Litestream.
 */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
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
import { openStore, type ReplicaStore } from "./store/mod.ts";

/** Rounds are those that a test asks for, and no others. */
const byHand = { ...smallLimits, lookMs: 3_600_000 };

/** A store on the other side of a slow line. */
interface Line {
  readonly store: ReplicaStore;
  /** Which writes are kept on the way from now on. */
  keeps: (key: string) => boolean;
  /** Whether who waits for one of them is told that it took too long, or never anything. */
  tells: boolean;
  /** Those that are on the way; each call delivers one. */
  readonly late: (() => Promise<void>)[];
}

function slowLine(store: ReplicaStore): Line {
  const line: Line = { store, keeps: () => false, tells: false, late: [] };
  const send = async (key: string, bytes: Uint8Array): Promise<void> => {
    if (!line.keeps(key)) return store.put(key, bytes);
    line.keeps = () => false;
    line.late.push(() => store.put(key, bytes));
    if (line.tells) throw new Error("no answer in time");
    return new Promise(() => {});
  };
  const stream = async (key: string, pieces: AsyncIterable<Uint8Array>) =>
    send(key, Buffer.concat(await Array.fromAsync(pieces)));
  const through = new Proxy(store, {
    get(target, name) {
      if (name === "put") return send;
      if (name === "putStream") return stream;
      const value = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  return Object.assign(line, { store: through });
}

async function place(on: Bench): Promise<ReplicaStore> {
  const store = await openStore({ kind: "file", path: on.path("replica") }, limits);
  await store.probe();
  return store;
}

/** What the real Litestream makes of it; null where there is none. */
async function byLitestream(on: Bench): Promise<string | null> {
  if (litestream === null) return null;
  const [config, original] = [on.path("litestream.yml"), join(on.dataDir, "data.db")];
  const replica = `      - path: ${on.path("replica")}/data.db\n`;
  writeFileSync(config, `dbs:\n  - path: ${original}\n    replicas:\n${replica}`);
  const out = on.path(`litestream-${performance.now()}.db`);
  await runLitestream(["restore", "-config", config, "-o", out, original]);
  return out;
}

async function expectWhole(on: Bench, store: ReplicaStore, content: string): Promise<void> {
  expect(contentOf((await on.restore(store)).path)).toBe(content);
  const theirs = await byLitestream(on);
  if (theirs !== null) expect(contentOf(theirs)).toBe(content);
}

test.each([
  ["was killed", false],
  ["gave up waiting", true],
] as const)(
  "a shipment arrives when its sender %s and the next was longer",
  async (_how, tells) => {
    using on = bench();
    const store = await place(on);
    const line = Object.assign(slowLine(store), { tells });
    const db = on.open();
    let replicator = on.replicate(line.store, { limits: byHand });
    write(db, 10);
    await replicator.flush();
    line.keeps = (key) => key.includes("/wal/");
    write(db, 10);
    const flushed = replicator.flush().catch(() => "refused");
    await until(() => line.late.length === 1);
    if (tells) expect(await flushed).toBe("refused");
    write(db, 10);
    if (!tells) {
      replicator.close();
      replicator = on.replicate(store, { limits: byHand });
    }
    await replicator.flush();
    write(db, 10);
    await replicator.flush();
    await line.late[0]?.();
    await expectWhole(on, store, contentOf(db));
    // No snapshot had to be sent again for that.
    expect((await store.names("data.db/generations/")).length).toBe(1);
  },
);

test.each([
  ["was killed", false],
  ["gave up waiting", true],
] as const)("a snapshot arrives when its sender %s and took another", async (_how, tells) => {
  using on = bench();
  const store = await place(on);
  const line = Object.assign(slowLine(store), { tells });
  const db = on.open();
  let replicator = on.replicate(line.store, { limits: byHand });
  // Beyond the log that the first snapshot belongs to.
  await until(async () => {
    write(db, 200, 1_000);
    await replicator.flush();
    return replicator.status().databases[0]?.index !== 0;
  });
  line.keeps = (key) => key.includes("/snapshots/");
  const taken = replicator.snapshot().catch(() => "refused");
  await until(() => line.late.length === 1);
  if (tells) await taken;
  write(db, 10);
  if (!tells) {
    replicator.close();
    replicator = on.replicate(store, { limits: byHand });
  }
  await replicator.snapshot();
  await line.late[0]?.();
  expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  // Litestream takes the generation that was written to last.
  write(db, 1);
  await replicator.flush();
  await expectWhole(on, store, contentOf(db));
});

test("the first snapshot arrives when its sender gave up waiting and took another", async () => {
  using on = bench();
  const store = await place(on);
  const line = Object.assign(slowLine(store), { tells: true });
  const db = on.open();
  const replicator = on.replicate(line.store, { limits: byHand });
  line.keeps = (key) => key.includes("/snapshots/");
  write(db, 10);
  await expect(replicator.flush()).rejects.toMatchObject({ code: "EIO" });
  write(db, 10);
  await replicator.flush();
  await line.late[0]?.();
  await expectWhole(on, store, contentOf(db));
});
