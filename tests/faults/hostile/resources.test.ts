/**
 * Hostile apps that use what there is until it is gone: each ends at its own limit, the owner is
 * told at which, and nobody else notices.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { openPlace, type Place } from "./place.ts";
import { wastes } from "./resources.ts";

let place: Place;
beforeAll(async () => {
  place = await openPlace();
}, 30_000);
afterAll(() => place[Symbol.asyncDispose]());

const deployed = new Set<string>();

/** An app that runs, whatever the deed before did to it; answers its process. */
async function running(app: string): Promise<number | null> {
  if (!deployed.has(app)) await place.deploy(app);
  deployed.add(app);
  await place.machine.call("proc.startApp", { app });
  expect(await place.ask(app, "/")).toMatchObject({ status: 200, text: "alive" });
  return (await place.status(app)).pid;
}

/** Bytes the kernel holds alone. */
function kernelBytes(): number {
  const fields = readFileSync(`/proc/${place.machine.pid}/statm`, "utf8").split(" ");
  return (Number(fields[1]) - Number(fields[2])) * 4096;
}

for (const [name, { app, path = "/deed", reply, told, lives }] of Object.entries(wastes)) {
  test(name, async () => {
    const before = await running(app);
    const watch = place.watch();
    const { status, text } = await place.ask(app, path);
    if (told !== null) await place.told(app, (line) => told.test(line));
    await watch.end();
    expect(`${status} ${text}`).toMatch(reply);
    const { pid } = await place.status(app);
    if (lives !== null) expect(pid === before).toBe(lives);
  }, 60_000);
}

/** What has passed through and is not collected yet, at most; what is held would be three times that. */
const garbageBytes = 160 * 2 ** 20;

describe("floods", () => {
  test("a log flood is paced, its lines are its own, and others' logs are whole", async () => {
    await running("logs");
    const watch = place.watch();
    const from = kernelBytes();
    expect(await place.ask("logs", "/deed")).toMatchObject({ status: 200 });
    await watch.end();
    // What was printed is not held anywhere: 3 s of it at the pace of output, and no more.
    expect(kernelBytes() - from).toBeLessThan(garbageBytes);
    const lines = await place.log("logs", 10_000);
    expect(lines.some(({ text }) => text.includes("noise"))).toBe(true);
    expect(lines.every(({ text }) => text.length <= 16 * 1024 + 100)).toBe(true);
    const forged = lines.filter(({ text }) => text.includes("stopped by the owner"));
    expect(forged.length).toBeGreaterThan(0);
    expect(forged.filter(({ text }) => text.startsWith("[kernel]"))).toEqual([]);
    const neighbours = await place.log("neighbour");
    expect(neighbours.some(({ text }) => text.includes("noise"))).toBe(false);
    const { stdout } = await place.machine.fazt("proc", "logs", "logs");
    expect(stdout).not.toContain("\u001b");
  }, 60_000);

  test("a reply without end costs only its reader, however slow that is", async () => {
    await running("giant");
    const watch = place.watch();
    const from = kernelBytes();
    const slow = await place.machine.fetch("giant", "/stream");
    const reader = slow.body?.getReader();
    await reader?.read();
    const fast = await place.machine.fetch("giant", "/stream");
    let bytes = 0;
    for await (const piece of fast.body ?? []) {
      bytes += piece.length;
      if (bytes > 500 * 2 ** 20) break;
    }
    expect(kernelBytes() - from).toBeLessThan(garbageBytes);
    await reader?.cancel();
    await watch.end();
    expect((await place.status("giant")).state).toBe("running");
  }, 60_000);
});
