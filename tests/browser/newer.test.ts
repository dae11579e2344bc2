// A newer version is told in the OS shell, and the owner installs it there, by two clicks.
import { afterAll, beforeAll, expect, test } from "bun:test";
import type { Browser } from "playwright-core";
import { testRootPass } from "../kernel.ts";
import { startBox, versions, Works } from "../upgrade/machine.ts";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage } from "./chromium.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

test("a newer version is told at the top and installed from the page, which stays as it is", async () => {
  using works = new Works();
  await works.build(versions.first);
  await works.build(versions.next);
  await using box = await startBox(works);
  const from = works.release(versions.next, { notes: "It is quicker." });
  await box.must("proc", "channel", "--from", from);

  await using shell = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  const { page } = shell;
  await page.goto(`http://os.localhost:${box.port}`);
  await page.locator("#password").fill(testRootPass);
  await page.locator("#login-button").click();
  const section = page.locator("#upgrades");
  await section.waitFor();
  const notice = page.locator("#newer");
  expect(await notice.isVisible()).toBe(false);
  await section.getByRole("button", { name: "Look for a newer one" }).click();
  await notice.waitFor();
  expect(await page.locator("#newer-text").innerText()).toBe(
    `fazt ${versions.next} is there. It is quicker.`,
  );
  expect(await accessibilityProblems(page)).toEqual([]);
  await shell.shoot("newer");

  await notice.getByRole("link", { name: "Install it below" }).click();
  const install = section.getByRole("button", { name: versions.next });
  expect(await install.innerText()).toBe(`Install ${versions.next}`);
  await install.click();
  expect(await install.innerText()).toBe(`Really install ${versions.next}?`);
  await install.click();
  const now = page.locator("#upgrade-now");
  await now.filter({ hasText: `The upgrade to ${versions.next} is under way` }).waitFor();
  // It takes over under the page, which asks it from then on as it asked the other one.
  const text = `This machine runs fazt ${versions.next}. The upgrade to ${versions.next} is under way: trial.`;
  await now.filter({ hasText: text }).waitFor({ timeout: 60_000 });
  expect(await notice.isVisible()).toBe(false);
  expect(await section.getByRole("button", { name: /Install/ }).count()).toBe(0);
  expect(shell.problems).toEqual([]);
  expect(await box.whole()).toBe(true);
}, 180_000);
