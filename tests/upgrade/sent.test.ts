/**
 * An owner's upgrade by hand: a release of their computer is sent, stays, is gone back on, and all of
 * it is told; then one is found where the machine was told to look.
 */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { startBox, versions, Works } from "./machine.ts";

const { first, next } = versions;

test("a release is sent and installed, gone back on, and found where it was said to be", async () => {
  using works = new Works();
  await works.build(first);
  await works.build(next);
  await using box = await startBox(works);
  const out = works.release(next);
  const upgrade = ["proc", "upgrade", "--file", out, "--trial", "5s"];
  expect(await box.must(...upgrade)).toBe(`The upgrade to ${next} is done.\n`);
  expect(await box.view()).toMatchObject({ running: next, place: "a" });
  expect(existsSync(join(box.dataDir, "slots", "upload"))).toBe(false);
  const again = await box.fazt(...upgrade);
  expect([again.code > 0, again.stderr]).toEqual([true, expect.stringContaining("what runs")]);

  const back = `Going back from ${next} to ${first} is done.`;
  expect(await box.must("proc", "rollback", "--trial", "5s")).toBe(`${back}\n`);
  expect(await box.view()).toMatchObject({ running: first, place: "base" });
  const told = (await box.must("proc", "upgrade", "--history")).trim().split("\n");
  expect(told.map((line) => line.slice(18))).toEqual([back, `The upgrade to ${next} is done.`]);

  await box.must("proc", "channel", "--from", out);
  expect(JSON.parse(await box.must("proc", "upgrade", "--check", "--json"))).toMatchObject({
    ...{ version: next, part: "program", running: first, suits: true, reason: null },
  });
  expect(await box.whole()).toBe(true);
}, 120_000);
