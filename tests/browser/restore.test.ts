// "Restore my machine from a bucket" in a real browser, against a real S3 server: the plan first, then
// the machine is the old one; by keyboard, on a small screen, and with what a person gets wrong.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { startProcess } from "../process.ts";
import { type S3, startS3 } from "../s3.ts";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage, overflowPx } from "./chromium.ts";
import { startMachine } from "./machine.ts";

let browser: Browser;
let s3: S3;
let key: Uint8Array;

beforeAll(async () => {
  [browser, s3] = await Promise.all([launch(), startS3()]);
  await using old = await startProcess();
  const dir = old.scratch("site");
  writeFileSync(join(dir, "index.html"), "as it was");
  await old.faztJson("app", "deploy", dir, "--name", "site");
  const { endpoint, keyId, secret, bucket } = s3;
  const place = { url: `s3://${bucket}/home`, endpoint, keyId, secret };
  await old.call("driver.replica.set", place);
  await old.call("driver.replica.flush");
  key = await Bun.file(join(old.dataDir, "machine.key")).bytes();
}, 60_000);
afterAll(async () => {
  await browser.close();
  await s3[Symbol.asyncDispose]();
});

const errorOf = (page: Page) => page.locator("#restore-error").innerText();

async function fill(page: Page, url: string): Promise<void> {
  await page.locator("#restore-url").fill(url);
  await page.locator("#restore-endpoint").fill(s3.endpoint);
  await page.locator("#restore-id").fill(s3.keyId);
  await page.locator("#restore-secret").fill(s3.secret);
}

test("the plan, then the old machine", async () => {
  await using machine = await startMachine();
  await using watched = await openPage(browser, { viewport: { width: 1440, height: 900 } });
  const { page } = watched;
  await page.goto(`${machine.ready.http}/`);
  await page.locator("#code").fill(machine.ready.setupCode ?? "");
  await page.locator("#restore-open").click();
  expect(await page.locator("#restore-code").inputValue()).toBe(machine.ready.setupCode ?? "");
  await fill(page, `s3://${s3.bucket}/home`);
  const file = { name: "machine.key", mimeType: "application/octet-stream" };
  await page.locator("#restore-key").setInputFiles({ ...file, buffer: Buffer.from(key) });
  await page.locator("#restore-go").click();
  await page.locator("#restore-plan").waitFor();
  expect(await page.locator("#restore-what").innerText()).toContain("1 database");
  expect(await accessibilityProblems(page)).toEqual([]);
  await watched.shoot("restore-plan");
  await page.locator("#restore-go", { hasText: "Restore this machine" }).click();
  await page.locator("#restored").waitFor({ timeout: 40_000 });
  expect(await page.locator("#restored-domain").innerText()).toBe("localhost");
  expect(await accessibilityProblems(page)).toEqual([]);
  await watched.shoot("restore-done");
  const site = await fetch(`http://127.0.0.1:${machine.port}/`, {
    headers: { host: `site.localhost:${machine.port}` },
  });
  expect(await site.text()).toBe("as it was");
  await page.locator("#restored-open").click();
  await page.locator("#login").waitFor();
  // Between the two kernels nobody answers, which the browser notes.
  const own = watched.problems.filter((text) => !/ERR_CONNECTION|Failed to load/.test(text));
  expect(own).toEqual([]);
}, 90_000);

test("by keyboard, at 360 px; what is wrong is said, and nothing has happened", async () => {
  await using machine = await startMachine();
  const small = { viewport: { width: 360, height: 740 }, colorScheme: "dark" } as const;
  await using watched = await openPage(browser, small);
  const { page } = watched;
  await page.goto(`${machine.ready.http}/`);
  await page.locator("#restore-open").focus();
  await page.keyboard.press("Enter");
  expect(await page.evaluate<string>("document.activeElement.id")).toBe("restore-title");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  expect(await errorOf(page)).not.toBe("");
  await page.keyboard.type((machine.ready.setupCode ?? "").replaceAll("-", "").toLowerCase());
  expect(await page.locator("#restore-code").inputValue()).toBe(machine.ready.setupCode ?? "");
  await page.keyboard.press("Enter");
  expect(await errorOf(page)).toContain("Name the bucket");
  await fill(page, `s3://${s3.bucket}/elsewhere`);
  await page.keyboard.press("Enter");
  await page.locator("#restore-error", { hasText: "no " }).waitFor();
  expect(await overflowPx(page)).toBe(0);
  expect(await accessibilityProblems(page)).toEqual([]);
  await watched.shoot("restore-360-dark");
  const short = { name: "machine.key", mimeType: "text/plain", buffer: Buffer.from("short") };
  await page.locator("#restore-key").setInputFiles(short);
  await page.locator("#restore-go").click();
  await page.locator("#restore-error", { hasText: "32 bytes" }).waitFor();
  await page.locator("#restore-cancel").click();
  expect(await page.evaluate<string>("document.activeElement.id")).toBe("code");
  const health = (await (await fetch(`${machine.ready.http}/sys/health`)).json()) as object;
  expect(health).toMatchObject({ mode: "setup" });
}, 60_000);
