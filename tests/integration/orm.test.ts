/** Drizzle and Kysely as they come from npm, in an app the command builds, deploys and migrates. */
import { expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import { startProcess } from "../process.ts";

const ledger = fileURLToPath(new URL("../fixtures/apps/ledger", import.meta.url));

test("both work on kernel.storage.sql(), over a table its migration made", async () => {
  await using machine = await startProcess();
  await machine.faztJson("app", "deploy", ledger);
  const reply = await machine.fetch("ledger", "/");
  expect(await reply.json()).toEqual({
    kysely: { failed: "undone", updated: 1, total: 7, tables: ["_fazt_migration", "entry"] },
    drizzle: { failed: "undone", amounts: [2, 1], total: 3 },
  });
  const select = "SELECT account, sum(amount) AS amount FROM entry GROUP BY account ORDER BY 1";
  expect(await machine.faztJson("storage", "sql", "ledger", select)).toEqual([
    { account: "drizzle", amount: 3 },
    { account: "kysely", amount: 7 },
  ]);
}, 60_000);
