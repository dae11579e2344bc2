/** The lane of the host's operations: one at a time, bounded, and free again when it can be. */
import { expect, test } from "bun:test";
import { clock } from "../../../tests/clock.ts";
import { Lane } from "./lane.ts";
import { answerMsMax, waitingMax } from "./limits.ts";

test("one at a time, in order", async () => {
  const lane = new Lane(clock().machine);
  const seen: string[] = [];
  const work = (name: string) => async () => {
    seen.push(`${name} begins`);
    await new Promise((resolve) => setImmediate(resolve));
    seen.push(`${name} ends`);
    return name;
  };
  expect(await Promise.all([lane.run(work("a")), lane.run(work("b"))])).toEqual(["a", "b"]);
  expect(seen).toEqual(["a begins", "a ends", "b begins", "b ends"]);
});

test("what fails hinders nobody", async () => {
  const lane = new Lane(clock().machine);
  const failed = lane.run(() => Promise.reject(new Error("no")));
  const fine = lane.run(async () => 1);
  await expect(failed).rejects.toThrow("no");
  expect(await fine).toBe(1);
});

test("an operation that does not end refuses those who wait, until it has ended", async () => {
  const time = clock();
  const lane = new Lane(time.machine);
  const hung = Promise.withResolvers<string>();
  const undone: string[] = [];
  const first = lane.run(
    () => hung.promise,
    (late) => undone.push(late),
  );
  const second = lane.run(async () => "second");
  const ends = Promise.allSettled([first, second]);
  time.pass(answerMsMax);
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await expect(first).rejects.toMatchObject({ code: "EIO" });
  await expect(lane.run(async () => "third")).rejects.toMatchObject({ code: "EIO" });
  hung.resolve("a descriptor");
  await hung.promise;
  for (;;) {
    const again = await lane.run(async () => "free").catch(() => null);
    if (again === "free") break;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(undone).toEqual(["a descriptor"]);
});

test("as many wait as may", async () => {
  const lane = new Lane(clock().machine);
  const held = Promise.withResolvers<number>();
  const all = Array.from({ length: waitingMax + 1 }, () => lane.run(() => held.promise));
  await expect(lane.run(() => held.promise)).rejects.toMatchObject({ code: "EAGAIN" });
  held.resolve(1);
  expect((await Promise.all(all)).length).toBe(waitingMax + 1);
});
