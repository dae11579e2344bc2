/**
 * Broken releases: each ends on the version that ran before, which answers, with its reason told.
 * Those that fail before they take over cost nobody anything.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../process.ts";
import { type Box, startBox, strangeKey, versions, Works } from "./machine.ts";

const works = new Works();
let box: Box;

beforeAll(async () => {
  await works.buildAll();
  box = await startBox(works);
}, 120_000);
afterAll(async () => {
  await box[Symbol.asyncDispose]();
  works[Symbol.dispose]();
});

const { first, next, faulty } = versions;

/** The program in a release's directory. */
const fileIn = (out: string): string =>
  join(out, readdirSync(out).find((name) => name.startsWith("fazt-")) ?? "");

test("a release that is not for this machine, or not ours, is refused at once", async () => {
  const other = process.arch === "x64" ? "arm64" : "x64";
  const foreign = works.release(next, { arch: other });
  const manifest = join(foreign, `stable-${other}.json`);
  const cases: [string, string][] = [
    [works.release(next, { key: strangeKey }), "nobody here knows key"],
    [works.release(next, { notAfter: 1 }), "it has expired"],
    [works.release(next, { minFrom: "1.0.5" }), "it follows 1.0.5 at least"],
    [works.release(first), "it is what runs"],
    [manifest, `it is for ${other}`],
  ];
  const forged = works.release(next);
  const path = join(forged, `stable-${process.arch}.json`);
  writeFileSync(path, readFileSync(path, "utf8").replace('"0.0.0"', '"0.0.1"'));
  cases.push([forged, "its signature is wrong"]);
  for (const [from, said] of cases) {
    const { code, stderr } = await box.fazt("proc", "upgrade", "--from", from);
    expect([code > 0, stderr]).toEqual([true, expect.stringContaining(said)]);
    expect((await box.view()).last).toMatchObject({ outcome: "failed" });
  }
  expect(await box.whole()).toBe(true);
}, 60_000);

test("a file that is not what was signed never runs", async () => {
  const changed = works.release(next);
  const bytes = readFileSync(fileIn(changed));
  writeFileSync(fileIn(changed), bytes.fill(7, 5_000_000, 5_000_100));
  const { code, told } = await box.upgrade(changed);
  expect([code, told.outcome, told.phase]).toEqual([1, "failed", "downloading"]);
  expect(told.sentence).toContain("its hash is not the one that was signed; 1.0.0 runs.");
}, 60_000);

test("a file that is cut off never runs", async () => {
  const cut = works.release(next);
  truncateSync(fileIn(cut), 50_000_000);
  const { code, told } = await box.upgrade(cut);
  expect([code, told.outcome, told.phase]).toEqual([1, "failed", "downloading"]);
  expect(told.sentence).toMatch(/it ends after 50000000 of \d+ bytes; 1.0.0 runs\.$/);
}, 60_000);

/** What ails the program, how its attempt ends, and what is told. */
const faults: readonly (readonly [string, "failed" | "reverted", string])[] = [
  ["exits at once", "failed", "it ended with exit code 3 when it was tried"],
  ["no database", "failed", 'cannot open "data.db": the device said no'],
  ["hangs", "failed", "it did not begin within"],
  ["no listener", "reverted", "cannot listen on"],
  ["errors", "reverted", "answered before and does not now"],
  ["one app", "reverted", 'app "blog" answered before and does not now'],
  ["slow", "reverted", "it is slow: 1 of 100 requests took"],
  ["leaks", "reverted", "of memory, before"],
  ["hangs later", "reverted", "it said nothing for"],
];

for (const [fault, outcome, reason] of faults) {
  test(`a program with the fault "${fault}" is ${outcome}`, async () => {
    box.fault(fault);
    const { code, told } = await box.upgrade(works.release(faulty), "--retry");
    expect([code, told.outcome, told.reason]).toEqual([
      1,
      outcome,
      expect.stringContaining(reason),
    ]);
    expect(told.sentence).toContain(`${first} runs`);
    expect(await box.view()).toMatchObject({ running: first, place: "base" });
    expect(await box.whole()).toBe(true);
  }, 120_000);
}

test("a program that dies after it was committed is withdrawn", async () => {
  box.fault("dies later");
  await box.upgrade(works.release(faulty), "--retry");
  const view = await until(
    "it is withdrawn",
    async () => {
      const { code, stdout } = await box.fazt("proc", "slots", "--json");
      const now = code === 0 ? JSON.parse(stdout) : null;
      return now?.last?.outcome === "reverted" ? now : null;
    },
    60_000,
  );
  expect(view).toMatchObject({ running: first, place: "base" });
  expect(view.last.reason).toMatch(/^it ended with exit code 9/);
  expect(await box.whole()).toBe(true);
}, 120_000);

test("a version that failed is not tried again unless it is asked for", async () => {
  const { code, stderr } = await box.fazt("proc", "upgrade", "--from", works.release(faulty));
  expect([code > 0, stderr]).toEqual([true, expect.stringContaining("it failed here before")]);
});

test("after all that a good one is taken, and stays over a restart", async () => {
  const { code, told } = await box.upgrade(works.release(next));
  expect([code, told.sentence]).toEqual([0, `The upgrade to ${next} is done.`]);
  await box.stop();
  await box.start();
  expect(await box.view()).toMatchObject({ running: next, place: "a" });
  expect(await box.whole()).toBe(true);
}, 120_000);
