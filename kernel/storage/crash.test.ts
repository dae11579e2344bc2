/** kill -9 between acknowledged writes loses none of them. The long run is in tests/faults. */
import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { realMachine } from "../machine.ts";
import { createStorage } from "./storage.ts";
import { heldBy, temporaryDirectory, writerScope } from "./testing.ts";

const kills = 10;

/** Starts the writer, kills it after some lines, answers every key it acknowledged. */
async function acknowledgedUntilKilled(dataDir: string, round: number): Promise<string[]> {
  const program = join(import.meta.dir, "testing.ts");
  const child = Bun.spawn([process.execPath, program, dataDir, String(round)], {
    stdout: "pipe",
    stderr: "inherit",
  });
  const linesBeforeKill = 1 + Math.floor(Math.random() * 400);
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of child.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.split("\n").length > linesBeforeKill) child.kill("SIGKILL");
  }
  await child.exited;
  expect(child.signalCode).toBe("SIGKILL");
  return text.split("\n").slice(0, -1);
}

test(`${kills} kills lose no acknowledged write`, async () => {
  using at = temporaryDirectory();
  const dataDir = join(at.path, "data");
  const acknowledged: string[] = [];
  for (let round = 0; round < kills; round++) {
    acknowledged.push(...(await acknowledgedUntilKilled(dataDir, round)));
    // Killed, so it cleaned nothing up; its lock must be free all the same.
    expect(existsSync(join(dataDir, "run", "fazt.pid"))).toBe(true);
    const storage = createStorage({ machine: realMachine(), dataDir, migrations: [] });
    const wrong = acknowledged.filter(
      (key) => storage.kv.get(writerScope, key)?.value !== heldBy(key),
    );
    expect(wrong).toEqual([]);
    if (round === kills - 1) expect(await storage.check()).toMatchObject({ ok: true });
    await storage.close();
  }
  expect(acknowledged.length).toBeGreaterThan(kills);
}, 60_000);
