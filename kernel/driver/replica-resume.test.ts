/**
 * A replicator that was killed, and the one after it: it goes on where the log allows it, because a
 * new generation can be restored from only when its snapshot is whole; where anything may be missing
 * it begins anew. What is restored is what was written, whatever happened in between.
 */
import type { Database } from "bun:sqlite";
import { describe, expect, test } from "bun:test";
import { chances } from "../../tests/faults/ledger.ts";
import { type Bench, bench, contentOf, smallLimits, write } from "./fixture.ts";
import { limits } from "./limits.ts";
import { candidates } from "./replica-plan.ts";
import type { Replicator } from "./replicator.ts";
import { openStore, type ReplicaStore } from "./store/mod.ts";

/** Rounds are those that a test asks for, and no others. */
const byHand = { ...smallLimits, lookMs: 3_600_000 };

async function place(on: Bench): Promise<ReplicaStore> {
  const store = await openStore({ kind: "file", path: on.path("replica") }, limits);
  await store.probe();
  return store;
}

interface Place {
  readonly on: Bench;
  readonly store: ReplicaStore;
  readonly db: Database;
}

/** A log that is never sealed, but where a test asks for that. */
async function begin(sealBytes = 2 ** 30): Promise<Place & { readonly first: Replicator }> {
  const on = bench();
  const store = await place(on);
  const db = on.open();
  db.run("PRAGMA wal_autocheckpoint = 0");
  write(db, 10);
  const first = on.replicate(store, { limits: { ...byHand, sealBytes } });
  await first.flush();
  return { on, store, db, first };
}

/** The next replicator on this directory has shipped everything; answers how many generations. */
async function goOn({ on, store, db }: Place): Promise<number> {
  const next = on.replicate(store, { limits: byHand });
  await next.flush();
  expect(contentOf((await on.restore(store)).path)).toBe(contentOf(db));
  return (await candidates(store, "data.db")).length;
}

describe("a log that began anew while nobody read it", () => {
  test("and ended where it was shipped to is followed by the next one", async () => {
    const { first, ...at } = await begin(byHand.sealBytes);
    using _on = at.on;
    write(at.db, 300, 1_000);
    await first.flush();
    first.close();
    write(at.db, 20);
    expect(await goOn(at)).toBe(1);
  });

  test("and was copied by somebody else at that very point is followed too", async () => {
    const { first, ...at } = await begin();
    using _on = at.on;
    write(at.db, 30, 1_000);
    await first.flush();
    first.close();
    at.db.run("PRAGMA wal_checkpoint(PASSIVE)");
    write(at.db, 5);
    expect(await goOn(at)).toBe(1);
  });

  test.each([
    ["went on unread", 50, 5],
    ["is covered by the next one", 0, 400],
  ])("and %s is not", async (_what, unread, since) => {
    const { first, ...at } = await begin();
    using _on = at.on;
    write(at.db, 30, 1_000);
    await first.flush();
    first.close();
    write(at.db, unread, 1_000);
    at.db.run("PRAGMA wal_checkpoint(PASSIVE)");
    write(at.db, since, 1_000);
    expect(await goOn(at)).toBe(2);
  });

  test("twice, is not", async () => {
    const { first, ...at } = await begin();
    using _on = at.on;
    write(at.db, 30, 1_000);
    await first.flush();
    first.close();
    for (let time = 0; time < 2; time++) {
      at.db.run("PRAGMA wal_checkpoint(PASSIVE)");
      write(at.db, 5);
    }
    expect(await goOn(at)).toBe(2);
  });

  test("and was cut, is not", async () => {
    const { first, ...at } = await begin();
    using _on = at.on;
    write(at.db, 30, 1_000);
    await first.flush();
    first.close();
    write(at.db, 5, 1_000);
    at.db.run("PRAGMA wal_checkpoint(TRUNCATE)");
    write(at.db, 5);
    expect(await goOn(at)).toBe(2);
  });
});

/** What may happen to a log while a replicator follows it, or none does. */
const steps: readonly ((db: Database, reader: Database) => void)[] = [
  (db) => write(db, 3),
  (db) => write(db, 40, 1_000),
  (db) => write(db, 150, 1_000),
  (db) => db.run("PRAGMA wal_checkpoint(PASSIVE)"),
  (db) => db.run("PRAGMA wal_checkpoint(TRUNCATE)"),
  (db) => db.run("UPDATE t SET v = randomblob(300) WHERE id % 7 = 0"),
  (_db, reader) => {
    if (reader.inTransaction) reader.run("ROLLBACK");
    else reader.run("BEGIN");
    reader.query("SELECT count(*) FROM t").get();
  },
];

const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test(`replicators that die and come back lose nothing, FAZT_SEED=${seed}`, async () => {
  const chance = chances(seed);
  const { first, ...at } = await begin(byHand.sealBytes);
  using on = at.on;
  const reader = on.open();
  for (const each of [at.db, reader]) each.run("PRAGMA busy_timeout = 20");
  let replicator: Replicator | null = first;
  let restores = 0;
  for (let step = 0; step < 150; step++) {
    steps[chance(steps.length)]?.(at.db, reader);
    if (chance(4) === 0) await replicator?.flush();
    if (chance(5) > 0) continue;
    replicator?.close();
    replicator = chance(2) === 0 ? null : on.replicate(at.store, { limits: byHand });
    if (replicator === null || chance(2) === 0) continue;
    await replicator.flush();
    restores++;
    expect(contentOf((await on.restore(at.store)).path)).toBe(contentOf(at.db));
  }
  replicator?.close();
  const generations = await goOn(at);
  console.log(`${restores} restores, ${generations} generations`);
}, 60_000);
