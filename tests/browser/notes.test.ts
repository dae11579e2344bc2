/** The full-stack app in two tabs of a real browser: notes, chat, clock, and what outlives a kernel. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { type KernelProcess, startProcess } from "../process.ts";
import { launch, openPage, type Watched } from "./chromium.ts";

const notesApp = fileURLToPath(new URL("../fixtures/apps/notes", import.meta.url));

let machine: KernelProcess;
let browser: Browser;

beforeAll(async () => {
  machine = await startProcess();
  await machine.faztJson("app", "deploy", notesApp);
  browser = await launch();
});
afterAll(async () => {
  await browser?.close();
  await machine[Symbol.asyncDispose]();
});

/** Opens the app and waits until its chat is connected. */
async function tab(): Promise<Watched> {
  const watched = await openPage(browser);
  await watched.page.goto(machine.url("notes"));
  await watched.page.locator("#people").filter({ hasText: /[1-9]/ }).waitFor();
  return watched;
}

/** The notes, once there are as many: they come by a request of their own, after the page. */
async function noteTexts({ page }: Watched, count: number): Promise<string[]> {
  await page
    .locator("#notes li span")
    .nth(count - 1)
    .waitFor();
  return page.locator("#notes li span").allTextContents();
}

async function addNote({ page }: Watched, text: string): Promise<void> {
  await page.getByLabel("New note").fill(text);
  await page.getByRole("button", { name: "Add" }).click();
  await page.locator("#notes li span", { hasText: text }).waitFor();
}

test("two tabs chat, each hears the other; the clock ticks", async () => {
  await using ada = await tab();
  await using ben = await tab();
  await ada.page.locator("#people", { hasText: "2" }).waitFor();
  await ada.page.getByLabel("Message", { exact: true }).fill("Hello from Ada");
  await ada.page.getByRole("button", { name: "Send" }).click();
  await ben.page.locator("#messages li", { hasText: "Hello from Ada" }).waitFor();
  await ben.page.getByLabel("Message", { exact: true }).fill("Hello from Ben");
  await ben.page.getByRole("button", { name: "Send" }).click();
  await ada.page.locator("#messages li", { hasText: "Hello from Ben" }).waitFor();
  const clock = ada.page.locator("#clock");
  await clock.filter({ hasText: /\d\d:\d\d:\d\d/ }).waitFor();
  const before = (await clock.textContent()) ?? "";
  await clock.filter({ hasNotText: before }).waitFor();
  await ben.shoot("notes");
  expect([...ada.problems, ...ben.problems]).toEqual([]);
});

test("notes are added and removed", async () => {
  await using ada = await tab();
  await addNote(ada, "Buy milk");
  await addNote(ada, "Water the <b>ferns</b>");
  expect(await noteTexts(ada, 2)).toEqual(["Water the <b>ferns</b>", "Buy milk"]);
  await ada.page.getByRole("button", { name: "Remove “Buy milk”" }).click();
  await ada.page.locator("#notes li", { hasText: "Buy milk" }).waitFor({ state: "detached" });
  await using ben = await tab();
  expect(await noteTexts(ben, 1)).toEqual(["Water the <b>ferns</b>"]);
  expect([...ada.problems, ...ben.problems]).toEqual([]);
});

test("notes outlive a fresh process and a kernel that was killed; an open tab comes back", async () => {
  await using open = await tab();
  await addNote(open, "Outlives all");
  const kept = await noteTexts(open, 2);
  await machine.faztJson("proc", "restart", "notes");
  // The tab's chat connects again by itself, now to the fresh process.
  await expect(sendUntilHeard(open, "Still here")).resolves.toBeUndefined();
  await using after = await tab();
  expect(await noteTexts(after, kept.length)).toEqual(kept);

  await machine.restart("SIGKILL");
  await using later = await tab();
  expect(await noteTexts(later, kept.length)).toEqual(kept);
  expect(later.problems).toEqual([]);
});

/** Sends a message again and again until the page shows it: its socket may be opening still. */
async function sendUntilHeard({ page }: Watched, text: string): Promise<void> {
  const heard = page.locator("#messages li", { hasText: text }).first();
  for (let tries = 0; tries < 20; tries++) {
    await page.getByLabel("Message", { exact: true }).fill(text);
    await page.getByRole("button", { name: "Send" }).click();
    const shown = heard.waitFor({ timeout: 500 }).then(
      () => true,
      () => false,
    );
    if (await shown) return;
  }
  throw new Error(`"${text}" was never heard`);
}
