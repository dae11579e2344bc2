/** Endings: in order, each phase in its time, and nothing keeps the next one from its turn. */
import { expect, test } from "bun:test";
import { clock } from "../tests/clock.ts";
import { createClosing, type Phase } from "./closing.ts";

const forEver = () => new Promise<void>(() => undefined);

test("phases end in order, once", async () => {
  const done: string[] = [];
  const phase = (name: string): Phase => {
    return { name, mostMs: 1_000, run: async () => done.push(name) };
  };
  const closing = createClosing(clock().machine, [phase("a"), phase("b"), phase("c")]);
  expect(closing.waitsFor()).toBeNull();
  const whole = closing.close();
  expect(closing.close()).toBe(whole);
  await whole;
  expect(done).toEqual(["a", "b", "c"]);
  expect(closing.waitsFor()).toBeNull();
});

test("what does not end is left behind and named; what comes after has its turn", async () => {
  const { machine, pass } = clock();
  const last = Promise.withResolvers<void>();
  const left = () => ["1", "2", "3", "4", "5", "6"];
  const closing = createClosing(machine, [
    { name: "apps", mostMs: 1_000, run: forEver, left },
    { name: "the database", mostMs: 1_000, run: () => last.promise },
  ]);
  const whole = closing.close().then(
    () => null,
    (error: Error) => error,
  );
  expect(closing.waitsFor()).toBe("apps: 1, 2, 3, 4, 5 and 1 more");
  pass(1_001);
  while (closing.waitsFor() !== "the database") await new Promise((next) => setImmediate(next));
  last.resolve();
  expect(await whole).toMatchObject({
    code: "ETIMEDOUT",
    message: "cannot stop in order: gave up waiting for apps: 1, 2, 3, 4, 5 and 1 more",
  });
});

test("a phase that fails keeps none from its turn, and is told at the end", async () => {
  const done: string[] = [];
  const closing = createClosing(clock().machine, [
    {
      name: "apps",
      mostMs: 1_000,
      run: () => {
        throw new Error("no such process");
      },
    },
    { name: "the database", mostMs: 1_000, run: () => void done.push("closed") },
  ]);
  await expect(closing.close()).rejects.toThrow("no such process");
  expect(done).toEqual(["closed"]);
});

test("one that fails at once leaves no timer, and of several failures each is told", async () => {
  const { machine } = clock();
  let timers = 0;
  const counted = {
    ...machine,
    after: (ms: number, run: () => void) => {
      timers++;
      const timer = machine.after(ms, run);
      return {
        cancel: () => {
          timers--;
          timer.cancel();
        },
      };
    },
  };
  const failing = (name: string): Phase => {
    const run = () => {
      throw new Error(`${name} is broken`);
    };
    return { name, mostMs: 1_000, run };
  };
  const { machine: late, pass } = clock();
  const both = createClosing(counted, [failing("the network"), failing("the database")]);
  await expect(both.close()).rejects.toMatchObject({
    code: "EIO",
    message:
      "cannot stop in order: the network failed: the network is broken; " +
      "the database failed: the database is broken",
  });
  expect(timers).toBe(0);

  const apps: Phase = { name: "apps", mostMs: 1_000, run: forEver };
  const mixed = createClosing(late, [apps, failing("the database")]);
  const whole = mixed.close();
  pass(1_001);
  await expect(whole).rejects.toMatchObject({
    message:
      "cannot stop in order: gave up waiting for apps; the database failed: the database is broken",
  });
});
