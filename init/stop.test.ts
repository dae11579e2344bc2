/** The end as a person sees it: its words, and that it comes. */
import { expect, test } from "bun:test";
import { SysError } from "../kernel/errno.ts";
import { stopInTime, waitingLine } from "./stop.ts";

test("says what it waits for while stopping, and how long it may", () => {
  expect(waitingLine(null, 0)).toBeNull();
  expect(waitingLine("apps: blog", 30_000)).toBe(
    "[ stop ] waiting for apps: blog; at most 60 s more",
  );
  expect(waitingLine("apps: blog", 91_000)).toContain("at most 0 s more");
});

test("an end in order says nothing; one that is not says why", async () => {
  const said: string[] = [];
  const say = (line: string) => void said.push(line);
  const waitsFor = () => null;
  expect(await stopInTime({ stop: async () => undefined, waitsFor }, say)).toBe(true);
  expect(said).toEqual([]);
  const error = new SysError("ETIMEDOUT", "cannot stop in order: gave up waiting for apps: blog");
  expect(await stopInTime({ stop: () => Promise.reject(error), waitsFor }, say)).toBe(false);
  expect(said).toEqual(["[failed] cannot stop in order: gave up waiting for apps: blog"]);
});
