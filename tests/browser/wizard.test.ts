// The setup wizard in a real browser against a real kernel: by mouse, by keyboard alone, on a small
// screen, and with everything a person can get wrong.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Browser, Page } from "playwright-core";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage, overflowPx } from "./chromium.ts";
import { owner, startMachine, type TestMachine } from "./machine.ts";
import { answer } from "./wizard.ts";

const wide = { viewport: { width: 1440, height: 900 } };
const narrow = { viewport: { width: 360, height: 740 } };

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const visible = (page: Page, id: string) => page.locator(`#${id}`).isVisible();
const text = (page: Page, id: string) => page.locator(`#${id}`).innerText();
const focused = (page: Page) => page.evaluate<string>("document.activeElement.id");

/** The position of the button that leads on: it must not move from step to step. */
const nextTop = async (page: Page) => (await page.locator("#next").boundingBox())?.y;

async function openWizard(machine: TestMachine, options: object, path = "/") {
  const watched = await openPage(browser, options);
  await watched.page.goto(`${machine.ready.http}${path}`);
  await watched.page.locator("#wizard").waitFor();
  return watched;
}

describe("the wizard", () => {
  test("by mouse: claims the machine and leads into the shell", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, { ...wide, colorScheme: "light" });
    const { page } = wizard;
    const tops = new Set<number | undefined>();
    await answer(page, machine.ready.setupCode, async (step) => {
      tops.add(await nextTop(page));
      expect(await accessibilityProblems(page)).toEqual([]);
      await wizard.shoot(`wizard-${step}-light`);
    });
    expect(tops.size).toBe(1);
    expect(await text(page, "answer-domain")).toBe("localhost");
    expect(await text(page, "answer-password")).not.toContain(owner.rootPass);
    await page.locator("#next").click();
    await page.locator("#done").waitFor();
    expect(await focused(page)).toBe("done-title");
    expect(await accessibilityProblems(page)).toEqual([]);
    await wizard.shoot("wizard-done-light");

    await page.locator("#open").click();
    await page.locator("#shell").waitFor();
    expect(page.url()).toBe(`${machine.url("os")}/`);
    expect(await page.evaluate<number>("document.cookie.length")).toBe(0);
    await page.locator("#empty").waitFor();

    const origins = new Set(wizard.urls.map((url) => new URL(url).origin));
    expect([...origins].sort()).toEqual([machine.ready.http, machine.url("os")].sort());
    expect(wizard.problems).toEqual([]);
  }, 60_000);

  test("by keyboard alone", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    const { page } = wizard;
    const { keyboard } = page;
    expect(await focused(page)).toBe("code");
    await keyboard.type((machine.ready.setupCode ?? "").replaceAll("-", "").toLowerCase());
    expect(await page.locator("#code").inputValue()).toBe(machine.ready.setupCode ?? "");
    await keyboard.press("Enter");
    expect(await focused(page)).toBe("password");
    await keyboard.type(owner.rootPass);
    await keyboard.press("Tab");
    expect(await focused(page)).toBe("show");
    await keyboard.press("Space");
    expect(await page.locator("#password").getAttribute("type")).toBe("text");
    await keyboard.press("Tab");
    expect(await focused(page)).toBe("next");
    await keyboard.press("Enter");
    expect(await page.locator("#domain").inputValue()).toBe("localhost");
    await keyboard.press("Enter");
    await keyboard.type(owner.email);
    await keyboard.press("Enter");
    await page.locator("#answer-code").waitFor();
    while ((await focused(page)) !== "next") await keyboard.press("Tab");
    await keyboard.press("Enter");
    await page.locator("#done").waitFor();
    await keyboard.press("Tab");
    expect(await focused(page)).toBe("open");
    await keyboard.press("Enter");
    await page.locator("#shell").waitFor();
    expect(wizard.problems).toEqual([]);
  }, 60_000);

  test("at 360 px nothing is cut off and nothing scrolls sideways", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, { ...narrow, colorScheme: "dark" });
    const { page } = wizard;
    await answer(page, machine.ready.setupCode, async (step) => {
      expect([step, await overflowPx(page)]).toEqual([step, 0]);
      expect(await accessibilityProblems(page)).toEqual([]);
      await wizard.shoot(`wizard-${step}-360-dark`);
    });
    await page.locator('[data-change="domain"]').click();
    await page.locator("#domain").fill(`${"long-".repeat(12)}name.example.com`);
    expect(await overflowPx(page)).toBe(0);
    expect(wizard.problems).toEqual([]);
  }, 60_000);

  test("a domain of one's own: says which DNS records lead here", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, narrow);
    const { page } = wizard;
    await answer(page, machine.ready.setupCode);
    await page.locator('[data-change="domain"]').click();
    await page.locator("#domain").fill("Home.Example");
    for (const _ of ["review", "claim"]) await page.locator("#next").click();
    await page.locator("#done-dns").waitFor();
    expect(await text(page, "dns-name")).toBe("home.example");
    expect(await text(page, "dns-wildcard")).toBe("*.home.example");
    expect(await page.locator("#open").getAttribute("href")).toMatch(
      new RegExp(`^http://os\\.home\\.example:${machine.port}/#ticket=fazt_\\w+$`),
    );
    expect(await overflowPx(page)).toBe(0);
    expect(await accessibilityProblems(page)).toEqual([]);
    await wizard.shoot("wizard-done-dns-360");
    expect(wizard.problems).toEqual([]);
  }, 60_000);

  test("going back and forth keeps what was typed", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    const { page } = wizard;
    await answer(page, machine.ready.setupCode);
    await page.locator("#back").click();
    expect(await page.locator("#email").inputValue()).toBe(owner.email);
    await page.goBack();
    await page.goBack();
    await page.goBack();
    expect(await visible(page, "domain")).toBe(true);
    expect(await page.locator("#domain").inputValue()).toBe("localhost");
    await page.goForward();
    expect(await visible(page, "email")).toBe(true);
    await page.locator("#back").click();
    await page.locator("#back").click();
    expect(await page.locator("#password").inputValue()).toBe(owner.rootPass);
  }, 60_000);

  test("the code in the address is taken, and out of the address", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide, `/#code=${machine.ready.setupCode}`);
    const { page } = wizard;
    expect(await page.locator("#code").inputValue()).toBe(machine.ready.setupCode ?? "");
    expect(page.url()).toBe(`${machine.ready.http}/`);
  }, 60_000);

  test("a code is pasted in whatever form", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    await wizard.page.keyboard.insertText(" k7qw m3xp 9tra ");
    expect(await wizard.page.locator("#code").inputValue()).toBe("K7QW-M3XP-9TRA");
  }, 60_000);
});

describe("what people get wrong", () => {
  test("a step is not left with an answer that will not do", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    const { page } = wizard;
    const refuse = async (step: string, value: string, words: string) => {
      await page.locator(`#${step}`).fill(value);
      const top = await nextTop(page);
      await page.locator("#next").click();
      expect(await text(page, `${step}-error`)).toContain(words);
      expect(await page.locator(`#${step}`).getAttribute("aria-invalid")).toBe("true");
      expect(await focused(page)).toBe(step);
      expect(await nextTop(page)).toBe(top);
      expect(await accessibilityProblems(page)).toEqual([]);
    };
    await refuse("code", "K7QW", "8 are missing");
    await page.locator("#code").fill("K7QW-M3XP-9TRA");
    expect(await text(page, "code-error")).toBe("");
    await page.locator("#next").click();
    await refuse("password", "password1234", "too easy to guess");
    expect(await text(page, "strength-label")).toBe("Weak");
    await wizard.shoot("wizard-weak-password");
    await page.locator("#password").fill(owner.rootPass);
    expect(await text(page, "strength-label")).toBe("Strong");
    await page.locator("#next").click();
    await refuse("domain", "example", "has a dot");
    await page.locator("#domain").fill("https://Home.Example/");
    expect(await text(page, "preview-app")).toContain("http://blog.home.example:");
    await page.locator("#next").click();
    await refuse("email", "me@", "does not look like");
    expect(wizard.problems).toEqual([]);
  }, 60_000);

  test("a wrong code leads back to its step; the fifth says there is a new one", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    const { page } = wizard;
    await answer(page, "AAAA-AAAA-AAAA");
    const claim = async () => {
      await page.locator("#next").click();
      await page.locator("#code-error:not(:empty)").waitFor();
      return text(page, "code-error");
    };
    expect(await claim()).toContain("4 tries left");
    expect(await focused(page)).toBe("code");
    await wizard.shoot("wizard-wrong-code");
    for (const words of ["3 tries left", "2 tries left", "1 try left", "a new code"]) {
      await page.locator("#code").fill("AAAA-AAAA-AAAA");
      // The other answers stand: the review comes next.
      await page.locator("#next").click();
      await page.locator("#answer-code").waitFor();
      expect(await claim()).toContain(words);
    }
    expect(await page.locator("#password").inputValue()).toBe(owner.rootPass);
    const unexpected = wizard.problems.filter((one) => !/status of (403|429)/.test(one));
    expect(unexpected).toEqual([]);
  }, 60_000);

  test("a machine claimed by somebody else meanwhile says so", async () => {
    await using machine = await startMachine();
    await using wizard = await openWizard(machine, wide);
    const { page } = wizard;
    await answer(page, machine.ready.setupCode);
    const { setupCode: code, http } = machine.ready;
    const body = JSON.stringify({ code, ...owner });
    await fetch(`${http}/sys/setup/claim`, { method: "POST", body });
    await page.locator("#next").click();
    await page.locator("#review-error:not(:empty)").waitFor();
    expect(await text(page, "review-error")).toContain("has an owner already");
    expect(await text(page, "next")).toBe("Claim this machine");
  }, 60_000);
});

test("without JavaScript the page says what to do instead", async () => {
  await using machine = await startMachine();
  await using wizard = await openPage(browser, { javaScriptEnabled: false });
  await wizard.page.goto(machine.ready.http);
  expect(await wizard.page.locator("noscript").innerText()).toContain("fazt proc init");
  expect(await visible(wizard.page, "wizard")).toBe(false);
}, 60_000);
