/**
 * The replicator's process, by its pipes: what it owes when its kernel is killed does not hang on
 * which of the two pipes it finds closed first.
 */
import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Job } from "./child.ts";
import { type Bench, bench, until, write } from "./fixture.ts";
import { limits } from "./limits.ts";
import { openStore } from "./store/mod.ts";

const main = fileURLToPath(new URL("../../init/main.ts", import.meta.url));

/** A replicator of this bench, started as the kernel starts one. */
async function start(on: Bench) {
  const target = { kind: "file", path: on.path("replica") } as const;
  const store = await openStore(target, limits);
  await store.probe();
  const child = Bun.spawn([process.execPath, "--no-env-file", main, "replicator"], {
    stdio: ["pipe", "pipe", "pipe"],
    env: {},
  });
  const job: Job = { job: "follow", target, dataDir: on.dataDir, owner: "own_1" };
  child.stdin.write(`${JSON.stringify(job)}\n`);
  child.stdin.flush();
  const rows = async () => (await on.restore(store).catch(() => ({ rows: 0 }))).rows;
  return { child, rows };
}

test("a replicator whom nobody hears any more ships what is left when its input ends", async () => {
  using on = bench();
  const db = on.open();
  write(db, 10);
  const { child, rows } = await start(on);
  const said = child.stderr.text();
  // What it says first has come; from here on its words find nobody.
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  await until(async () => (await rows()) === 10 || child.exitCode !== null);
  // That this waits and that it was shipped: it has words again.
  write(db, 10);
  await until(async () => (await rows()) === 20 || child.exitCode !== null);
  write(db, 10);
  child.stdin.end();
  await child.exited;
  expect([await said, child.signalCode]).toEqual(["", "SIGKILL"]);
  expect(await rows()).toBe(30);
}, 60_000);
