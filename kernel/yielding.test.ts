/** Idle work is starved of nothing for long. */
import { expect, test } from "bun:test";
import { scheduleAfter } from "./yielding.ts";

test.each([
  ["idle", 3, 10_000, "idle"],
  ["idle", 251, 0, "other"],
  ["other", 3, 100, "other"],
  ["other", 900, 100, "other"],
  ["other", 3, 251, "idle"],
] as const)("%s, a piece of %d ms, %d ms since: %s", (now, pieceMs, sinceMs, next) => {
  expect(scheduleAfter(now, pieceMs, sinceMs)).toBe(next);
});

test("the process that asks for it is scheduled so, and ordinarily after it starved", async () => {
  const program = `
    const { yieldEntirely } = await import(${JSON.stringify(`${import.meta.dir}/yielding.ts`)});
    const { readFileSync } = await import("node:fs");
    // Field 41 of proc_pid_stat(5), and the niceness in field 19.
    const told = () => {
      const fields = readFileSync("/proc/thread-self/stat", "utf8").split(") ").at(-1).split(" ");
      return [fields[38], fields[16]].join(" ");
    };
    let now = 0;
    const work = yieldEntirely(() => now);
    const seen = [told()];
    work.workedFor(1000);
    seen.push(told());
    now = 1000;
    work.workedFor(1);
    seen.push(told());
    console.log(JSON.stringify(seen));
  `;
  const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
  const seen = JSON.parse(await child.stdout.text());
  // Who has no right to go back to ordinary scheduling stays idle.
  const back = process.getuid?.() === 0 ? "0 10" : seen[1];
  expect(seen).toEqual(["5 10", back, "5 10"]);
});
