/** Group commit: one transaction a turn, each work on its own, nobody lost. */
import { expect, test } from "bun:test";
import { SysError } from "../errno.ts";
import type { Tx } from "./storage.ts";
import { temporaryStorage } from "./testing.ts";

const note = {
  version: 50,
  domain: "note",
  sql: "CREATE TABLE note_line (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT",
};

const add = (text: string) => (tx: Tx) => tx.run("INSERT INTO note_line (text) VALUES (?)", text);
const texts = "SELECT text FROM note_line ORDER BY id";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => "resolved",
    (reason: unknown) => reason,
  );
  return error instanceof SysError ? error.code : String(error);
}

test("writes of one turn are one transaction, in order", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const before = at.storage.status();
  const changed = await Promise.all(["a", "b", "c"].map((text) => at.storage.write(add(text))));
  expect(changed).toEqual([1, 1, 1]);
  expect(at.storage.read.all<{ text: string }>(texts).map((row) => row.text)).toEqual([
    "a",
    "b",
    "c",
  ]);
  const after = at.storage.status();
  expect(after.writes - before.writes).toBe(3);
  expect(after.commits - before.commits).toBe(1);
});

test("a work that throws loses its own changes and nobody else's", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const outcomes = await Promise.allSettled([
    at.storage.write(add("a")),
    at.storage.write((tx) => {
      add("half")(tx);
      throw new Error("changed my mind");
    }),
    at.storage.write(add("a")),
    at.storage.write(add("b")),
  ]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual([
    "fulfilled",
    "rejected",
    "rejected",
    "fulfilled",
  ]);
  expect(at.storage.read.all<{ text: string }>(texts).map((row) => row.text)).toEqual(["a", "b"]);
  expect(String((outcomes[1] as PromiseRejectedResult).reason)).toContain("changed my mind");
});

test("a work alone that throws leaves nothing, and the next one goes through", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const failing = at.storage.write((tx) => {
    add("half")(tx);
    throw new SysError("ERANGE", "too far");
  });
  expect(await codeOf(failing)).toBe("ERANGE");
  expect(await at.storage.write(add("whole"))).toBe(1);
  expect(at.storage.read.all(texts)).toEqual([{ text: "whole" }]);
});

test("a queue beyond its limit refuses with EAGAIN and keeps what it has", async () => {
  await using at = temporaryStorage({ migrations: [note], limits: { queueWritesMax: 2 } });
  const accepted = [at.storage.write(add("a")), at.storage.write(add("b"))];
  expect(await codeOf(at.storage.write(add("c")))).toBe("EAGAIN");
  expect(await Promise.all(accepted)).toEqual([1, 1]);
  expect(await at.storage.write(add("d"))).toBe(1);
});

test("a long queue is carried by several transactions", async () => {
  await using at = temporaryStorage({ migrations: [note], limits: { groupWritesMax: 10 } });
  const before = at.storage.status().commits;
  await Promise.all(Array.from({ length: 25 }, (_, i) => at.storage.write(add(`t${i}`))));
  expect(at.storage.status().commits - before).toBe(3);
});

test("a work that answers a promise is a defect and changes nothing", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const wrong = at.storage.write(async (tx) => add("late")(tx));
  expect(wrong).rejects.toThrow("synchronous");
  await wrong.catch(() => {});
  expect(at.storage.read.all(texts)).toEqual([]);
});

test("a transaction is dead outside its work", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const kept = await at.storage.write((tx) => ({ tx }));
  expect(() => add("ghost")(kept.tx)).toThrow("only inside its work");
});

test("close answers the writes that wait and refuses new ones with EBUSY", async () => {
  await using at = temporaryStorage({ migrations: [note] });
  const waiting = at.storage.write(add("a"));
  const closing = at.storage.close();
  expect(await codeOf(at.storage.write(add("b")))).toBe("EBUSY");
  expect(await waiting).toBe(1);
  await closing;
  await at.storage.close();
  expect(() => at.storage.read.all(texts)).toThrow("closed");
});
