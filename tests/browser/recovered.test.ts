// The OS shell tells that the root password was replaced at the console, until its owner says so.
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { createClient } from "../../cli/client.ts";
import { table } from "../../cli/table.ts";
import { controlSocketPath } from "../../kernel/data-dir.ts";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage } from "./chromium.ts";
import { claimMachine, startMachine } from "./machine.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

test("a replaced root password is told until it is acknowledged", async () => {
  await using machine = await startMachine();
  await claimMachine(machine);
  const password = "seven lamps violin moss";
  const target = {
    kind: "local",
    dataDir: machine.dataDir,
    socket: controlSocketPath(machine.dataDir),
  } as const;
  await createClient(target, table).json("security.recover", { password });
  const { page, problems } = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  await page.goto(machine.url("os"));
  await page.locator("#password").fill(password);
  await page.locator("#login-button").click();
  const notice = page.locator("#recovered");
  await notice.waitFor();
  expect(await notice.textContent()).toContain("replaced at the machine's console");
  expect(await accessibilityProblems(page)).toEqual([]);
  await page.locator("#recovered-seen").click();
  await notice.waitFor({ state: "hidden" });
  await page.reload();
  await page.locator("#shell").waitFor();
  await page.locator("body[data-ready=true]").waitFor();
  expect(await notice.isVisible()).toBe(false);
  expect(problems).toEqual([]);
});
