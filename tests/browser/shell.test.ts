// The OS shell in a real browser against a real kernel: signing in and out, the apps and what can
// be done with them, the live log, and that no request ever leaves the machine.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Locator, Page } from "playwright-core";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage, overflowPx, type Watched } from "./chromium.ts";
import { claimMachine, deployFiles, owner, startMachine, type TestMachine } from "./machine.ts";

const wide = { viewport: { width: 1440, height: 900 } };
const narrow = { viewport: { width: 360, height: 740 } };

const greeter = (release: number) => `
let visits = 0;
export default {
  fetch(request) {
    visits++;
    if (visits % 4 === 0) console.warn("slow query: 212 ms");
    console.log("visit " + visits + " of " + new URL(request.url).pathname);
    return new Response("hello from release ${release}");
  },
};`;

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

async function openShell(machine: TestMachine, options: object = wide): Promise<Watched> {
  const watched = await openPage(browser, options);
  await watched.page.goto(machine.url("os"));
  await watched.page.locator("#signin").waitFor();
  return watched;
}

async function signIn(page: Page, password: string = owner.rootPass): Promise<void> {
  await page.locator("#password").fill(password);
  await page.locator("#login-button").click();
}

const rowOf = (page: Page, app: string): Locator =>
  page.locator("#apps tbody").filter({ has: page.locator(`a:text-is("${app}")`) });

const press = (page: Page, app: string, label: string) =>
  rowOf(page, app)
    .getByRole("button", { name: `${label} ${app}` })
    .click();

/** Waits until the state's cell says so. */
const waitForState = (page: Page, app: string, word: string) =>
  rowOf(page, app).locator(".state", { hasText: word }).waitFor();

const visit = async (machine: TestMachine, app: string, path = "/") =>
  (
    await fetch(`${machine.ready.http}${path}`, {
      headers: { host: `${app}.localhost:${machine.port}` },
    })
  ).text();

async function deployAll(machine: TestMachine, token: string): Promise<void> {
  const page = { "public/index.html": "<!doctype html><title>Blog</title><h1>Blog</h1>" };
  await deployFiles(machine, token, { name: "blog", files: page });
  for (const release of [1, 2]) {
    const files = { "server.js": greeter(release) };
    await deployFiles(machine, token, { name: "hello", files });
  }
  await deployFiles(machine, token, { name: "notes", files: { "server.js": greeter(1) } });
}

describe("signing in", () => {
  test("a wrong password is told, a right one opens the shell, signing out closes it", async () => {
    await using machine = await startMachine();
    await claimMachine(machine);
    await using shell = await openShell(machine);
    const { page } = shell;
    expect(await page.evaluate<string>("document.activeElement.id")).toBe("password");
    expect(await accessibilityProblems(page)).toEqual([]);
    await shell.shoot("signin-light");
    await page.keyboard.press("Enter");
    expect(await page.locator("#login-error").innerText()).toContain("Type the password");
    expect(shell.problems).toEqual([]);

    await signIn(page, "not the password");
    await page.locator("#login-error", { hasText: "not the right" }).waitFor();
    expect(shell.problems.splice(0)).toEqual([expect.stringContaining("401")]);

    await signIn(page);
    await page.locator("#empty").waitFor();
    expect(await page.locator("#deploy-title").innerText()).toBe("Deploy your first app");
    const headings = await page.locator("main h2:visible").allInnerTexts();
    expect(headings.slice(0, 2)).toEqual(["Apps", "Deploy your first app"]);
    expect(await accessibilityProblems(page)).toEqual([]);
    await shell.shoot("shell-empty-light");
    await page.reload();
    await page.locator("#empty").waitFor();

    await page.locator("#logout").click();
    await page.locator("#signin").waitFor();
    expect(await page.context().cookies()).toEqual([]);
    await page.reload();
    await page.locator("#signin").waitFor();
    expect(shell.problems).toEqual([]);
    expect(new Set(shell.urls.map((url) => new URL(url).origin))).toEqual(
      new Set([machine.url("os")]),
    );
  }, 60_000);

  test("too many tries say how long to wait", async () => {
    await using machine = await startMachine();
    await claimMachine(machine);
    await using shell = await openShell(machine);
    const { page } = shell;
    for (const _ of [1, 2, 3, 4, 5]) {
      await signIn(page, "not the password");
      await page.locator("#login-error", { hasText: "not the right" }).waitFor();
    }
    await signIn(page);
    await page.locator("#login-error", { hasText: /wait \d+ seconds/ }).waitFor();
  }, 60_000);

  test("the wizard's token opens a session, leaves the address, and ends at sign-out", async () => {
    await using machine = await startMachine();
    const token = await claimMachine(machine);
    await using shell = await openPage(browser, wide);
    const { page } = shell;
    await page.goto(`${machine.url("os")}/#ticket=${token}`);
    await page.locator("#empty").waitFor();
    expect(page.url()).toBe(`${machine.url("os")}/`);
    expect(await page.evaluate<number>("history.length")).toBeLessThanOrEqual(2);
    await page.locator("#logout").click();
    await page.locator("#signin").waitFor();
    expect(machine.call(token, "app.ls")).rejects.toThrow("EKEYREJECTED");
    expect(shell.problems).toEqual([]);

    await page.goto(`${machine.url("os")}/#ticket=${token}x`);
    await page.reload();
    await page.goto("about:blank");
    await page.goto(`${machine.url("os")}/#ticket=${token}`);
    await page.locator("#login-error", { hasText: "used up" }).waitFor();
  }, 60_000);
});

describe("the apps", () => {
  test("are listed with state, memory, requests and release, and can be stopped and started", async () => {
    await using machine = await startMachine();
    const token = await claimMachine(machine);
    await deployAll(machine, token);
    for (const path of ["/", "/notes", "/about"]) await visit(machine, "hello", path);
    await using shell = await openShell(machine, { ...wide, colorScheme: "light" });
    const { page } = shell;
    await signIn(page);
    await waitForState(page, "blog", "Static site");
    await waitForState(page, "hello", "Running");
    const hello = rowOf(page, "hello");
    expect(await hello.locator("a").getAttribute("href")).toBe(`${machine.url("hello")}/`);
    expect(await hello.locator('[data-label="Memory"]').innerText()).toMatch(/^\d+(\.\d)? MB$/);
    await hello.locator('[data-label="Requests"]', { hasText: /^3$/ }).waitFor();
    expect(await hello.locator('[data-label="Release"]').innerText()).toContain("#2");

    await press(page, "notes", "Stop");
    await waitForState(page, "notes", "Stopped");
    // The list looks by itself, and may know before the button has heard of it.
    await page.locator("#announce", { hasText: "notes was stopped" }).waitFor();
    expect(await visit(machine, "notes")).not.toContain("hello from");
    await press(page, "notes", "Start");
    await waitForState(page, "notes", "Running");
    expect(await visit(machine, "notes")).toContain("hello from");
    await press(page, "notes", "Restart");
    await page.locator("#announce", { hasText: "notes was restarted" }).waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    expect(shell.problems).toEqual([]);
  }, 60_000);

  test("have a live log and releases one can go back to", async () => {
    await using machine = await startMachine();
    const token = await claimMachine(machine);
    await deployAll(machine, token);
    await using shell = await openShell(machine, { ...wide, colorScheme: "light" });
    const { page } = shell;
    await signIn(page);
    await waitForState(page, "hello", "Running");
    await press(page, "hello", "Details");
    const log = rowOf(page, "hello").locator(".log");
    await log.waitFor();
    for (const path of ["/", "/notes", "/notes/7", "/about"]) await visit(machine, "hello", path);
    await log.locator("p", { hasText: "visit 4 of /about" }).waitFor();
    await log.locator('p[data-kind="warn"]', { hasText: "warn: slow query: 212 ms" }).waitFor();
    expect(await accessibilityProblems(page)).toEqual([]);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await accessibilityProblems(page)).toEqual([]);
      await shell.shoot(`shell-apps-${colorScheme}`);
    }
    expect(await visit(machine, "hello")).toBe("hello from release 2");
    const back = rowOf(page, "hello").locator(".releases button");
    await back.click();
    expect(await back.innerText()).toBe("Back to #1?");
    expect(await visit(machine, "hello")).toBe("hello from release 2");
    await back.click();
    await page.locator("#announce", { hasText: "at release 1" }).waitFor();
    expect(await visit(machine, "hello")).toBe("hello from release 1");
    await press(page, "hello", "Details");
    await log.waitFor({ state: "hidden" });
    expect(shell.problems).toEqual([]);
  }, 60_000);

  test("appear and go without a reload", async () => {
    await using machine = await startMachine();
    const token = await claimMachine(machine);
    await using shell = await openShell(machine);
    const { page } = shell;
    await signIn(page);
    await page.locator("#empty").waitFor();
    await deployFiles(machine, token, { name: "late", files: { "public/index.html": "late" } });
    await waitForState(page, "late", "Static site");
    expect(await page.locator("#deploy-title").innerText()).toBe("Deploy another app");
    expect((await page.locator("main h2:visible").allInnerTexts()).at(-1)).toBe(
      "Deploy another app",
    );
    await machine.call(token, "app.rm", { app: "late" });
    await page.locator("#empty").waitFor();
    expect(shell.problems).toEqual([]);
  }, 60_000);

  test("are readable at 360 px, and usable by keyboard", async () => {
    await using machine = await startMachine();
    const token = await claimMachine(machine);
    await deployAll(machine, token);
    await using shell = await openShell(machine, { ...narrow, colorScheme: "light" });
    const { page } = shell;
    expect(await overflowPx(page)).toBe(0);
    await shell.shoot("signin-360-light");
    await page.keyboard.type(owner.rootPass);
    await page.keyboard.press("Enter");
    await waitForState(page, "hello", "Running");
    expect(await overflowPx(page)).toBe(0);
    await shell.shoot("shell-360-light");
    const details = rowOf(page, "hello").getByRole("button", { name: "Details hello" });
    const ours = await details.getAttribute("aria-controls");
    const focused = () =>
      page.evaluate<string | null>("document.activeElement.getAttribute('aria-controls')");
    for (let tabs = 0; tabs < 40 && (await focused()) !== ours; tabs++) {
      await page.keyboard.press("Tab");
    }
    await page.keyboard.press("Enter");
    await rowOf(page, "hello").locator(".log").waitFor();
    expect(await details.getAttribute("aria-expanded")).toBe("true");
    expect(await overflowPx(page)).toBe(0);
    expect(await accessibilityProblems(page)).toEqual([]);
    await shell.shoot("shell-360-details-light");
    expect(shell.problems).toEqual([]);
  }, 60_000);
});

test("certificates that are refused are told with their reason, wide and narrow", async () => {
  await using machine = await startMachine("--https", "127.0.0.1:0");
  const token = await claimMachine(machine);
  await deployAll(machine, token);
  await using shell = await openShell(machine, { ...wide, colorScheme: "light" });
  const { page } = shell;
  await signIn(page);
  await waitForState(page, "blog", "Static site");
  // The machine's own is nobody's trouble.
  expect(await page.locator("#certs").isVisible()).toBe(false);
  // Nobody listens at that port: an authority that is away.
  await machine.call(token, "net.acme.set", { directory: "https://127.0.0.1:9/directory" });
  const host = "a-name-that-is-rather-long.blog.fazt-zone.net";
  await machine.call(token, "net.route.add", { host, app: "blog" });
  const one = page.locator("#certs-trouble li").filter({ hasText: host });
  await one.locator(".state", { hasText: "Failing" }).waitFor();
  expect(await one.innerText()).toMatch(
    /cannot ask the authority for its directory: .*(refused|connect)/i,
  );
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    expect(await accessibilityProblems(page)).toEqual([]);
  }
  await page.locator("#certs").scrollIntoViewIfNeeded();
  await shell.shoot("shell-certs-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(narrow.viewport);
  await page.evaluate("document.getElementById('certs').scrollIntoView()");
  expect(await overflowPx(page)).toBe(0);
  await shell.shoot("shell-certs-360-light");
  // It goes when nobody wants the host any more.
  await machine.call(token, "net.route.rm", { host });
  await one.waitFor({ state: "detached" });
  expect(shell.problems).toEqual([]);
}, 60_000);

test("the commands of the deploy hint are copied", async () => {
  await using machine = await startMachine();
  await claimMachine(machine);
  await using shell = await openShell(machine);
  const { page } = shell;
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await signIn(page);
  await page.getByRole("button", { name: "Copy the deploy command" }).click();
  expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe(
    "fazt app deploy hello",
  );
  await page.getByRole("button", { name: "Copy the create command" }).click();
  expect(await page.evaluate<string>("navigator.clipboard.readText()")).toBe(
    "fazt app create hello --template fullstack",
  );
}, 60_000);
