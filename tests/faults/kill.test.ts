/**
 * kill -9 of the kernel at 200 random moments while it is written to from nine sides: after each
 * restart every write it acknowledged is there with its exact value. `FAZT_SEED=N` repeats a run's
 * choices (not its timing); the seed is printed.
 */
import { expect, test } from "bun:test";
import { gcLater, orphans } from "../integration/orphan.ts";
import { startProcess } from "../process.ts";
import { chances, Ledger } from "./ledger.ts";
import { appName, damagedFiles, holdings, writeOn, writers } from "./writer.ts";

const kills = 200;
/** The longest a kernel is let live once it is ready, milliseconds. */
const lifeMsMax = 90;

test("200 kills lose no acknowledged write", async () => {
  const seed = Number(process.env["FAZT_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`FAZT_SEED=${seed}`);
  const chance = chances(seed);
  const ledger = new Ledger();
  await using machine = await startProcess();
  const { hash, sizeBytes } = await machine.call<{ hash: string; sizeBytes: number }>(
    ...["fs.blob.put", {}, "release 0"],
  );
  const first = [{ path: "index.html", hash, sizeBytes }];
  await machine.call("app.deploy", { name: appName, manifest: {}, files: first });
  ledger.sent("page", "release 0");
  ledger.answered("page");

  for (let kill = 1; kill <= kills; kill++) {
    const writing = writers().map((next) => writeOn({ machine, ledger, chance }, next));
    await machine.killAfter(chance(lifeMsMax));
    await Promise.all(writing);
    // Now and then it dies again before it is ready.
    if (chance(10) === 0) await machine.startAndKill(chance(200));
    await machine.start();
    const lost = ledger.reconcile(await holdings(machine));
    expect({ kill, seed, lost }).toEqual({ kill, seed, lost: [] });
  }

  expect(ledger.acknowledgements).toBeGreaterThan(kills * 5);
  expect(await damagedFiles(machine)).toEqual([]);
  const check = await machine.call<{ ok: boolean; problems: string[] }>("storage.check");
  expect(check).toMatchObject({ ok: true, problems: [] });
  console.log(`${kills} kills, ${ledger.acknowledgements} acknowledged writes, none lost`);
  await machine.stop();
  // Twice: the first gc drops old releases, whose blobs the second finds.
  await gcLater(machine.dataDir, 2);
  await gcLater(machine.dataDir, 2);
  expect(orphans(machine.dataDir)).toEqual({});
}, 290_000);
