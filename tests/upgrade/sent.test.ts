/**
 * An owner's upgrade by hand: a release of their computer is sent, stays, is gone back on, and all of
 * it is told; then one is found where the machine was told to look. At last nobody conducts any more.
 */
import { expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../process.ts";
import { startBox, versions, Works } from "./machine.ts";

const { first, next } = versions;

/** Whether the process has a program still: one that nobody waits for stays without. */
function runs(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8") !== "";
  } catch {
    return false;
  }
}

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

  // Whoever conducts is killed: its kernel gives up port, listeners and data to who comes next.
  const [kernel = 0, ...others] = box.successors();
  expect([kernel > 0, others]).toEqual([true, []]);
  await box.stop("SIGKILL");
  const started = () =>
    box.start().then(
      () => true,
      () => false,
    );
  await until("another one is started in its place", started, 60_000);
  await until("the kernel that was left is gone", () => !runs(kernel), 60_000);
  expect(await box.whole()).toBe(true);
  expect(await box.view()).toMatchObject({ running: first, place: "base" });
}, 240_000);
