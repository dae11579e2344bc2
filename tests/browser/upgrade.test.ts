// The OS shell's page of versions: a newer one is told and can be installed, what was tried says why.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { accessibilityProblems } from "./axe.ts";
import { launch, openPage, overflowPx } from "./chromium.ts";
import { claimMachine, owner, startMachine } from "./machine.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

const at = Date.now() - 3_600_000;
const attempt = (id: string, to: string, rest: object) => ({
  ...{ id, kind: "binary", from: "0.9.0", to, at, endedAt: at + 72_000, lastLines: [] },
  ...{
    phases: ["downloading", "verifying", "handing over", "trial"].map((phase) => ({ phase, at })),
  },
  ...{ phase: "trial", reason: null, ...rest },
});

/** What a machine has that went from 0.8.0 to 0.9.0, and that 0.9.1 failed on. */
const slots = {
  ...{ format: 1, base: { version: "0.8.0", sizeBytes: 1 }, active: "base", previous: "a" },
  a: { version: "0.9.0", sha256: "", sizeBytes: 1, installedAt: at },
  ...{ b: null, attempt: null, starts: { bootId: "", count: 0 }, blocked: {} },
  history: [
    attempt("up_2", "0.9.1", {
      outcome: "reverted",
      reason: 'app "blog" answered before and does not now',
      lastLines: ["blog: cannot find module", "error: it exited 1"],
    }),
    attempt("up_1", "0.9.0", { outcome: "committed" }),
  ],
};

test("versions, slots and reasons are shown, on a desk and in a hand", async () => {
  await using machine = await startMachine();
  await claimMachine(machine);
  mkdirSync(join(machine.dataDir, "slots"), { recursive: true });
  writeFileSync(join(machine.dataDir, "slots", "slots.json"), JSON.stringify(slots));
  const sizes = { desk: { width: 1440, height: 900 }, hand: { width: 360, height: 740 } };
  for (const [name, viewport] of Object.entries(sizes)) {
    await using shell = await openPage(browser, { viewport, colorScheme: "light" });
    const { page } = shell;
    await page.goto(machine.url("os"));
    await page.locator("#password").fill(owner.rootPass);
    await page.locator("#login-button").click();
    const section = page.locator("#upgrades");
    await section.waitFor();
    const now = page.locator("#upgrade-now", { hasText: "was taken back" });
    expect(await now.innerText()).toContain('app "blog" answered before and does not now');
    expect(await page.locator("#upgrade-channel").innerText()).toContain("no source is set");
    await section.locator("summary").click();
    await section.locator("li", { hasText: "Program in slot a: 0.9.0" }).waitFor();
    await section.locator("pre", { hasText: "blog: cannot find module" }).waitFor();
    const way = section.locator(".way");
    expect(await way.first().innerText()).toBe(
      "Came as far as: downloading › verifying › handing over › trial",
    );
    expect(await overflowPx(page)).toBe(0);
    expect(await accessibilityProblems(page)).toEqual([]);
    await section.scrollIntoViewIfNeeded();
    await shell.shoot(`upgrades-${name}`);
    expect(shell.problems).toEqual([]);

    // Nobody said where releases are: the look says so, and what to do.
    await section.getByRole("button", { name: "Look for a newer one" }).click();
    await page.locator("#upgrade-said", { hasText: "no source is set" }).waitFor();
    shell.problems.splice(0);
    // It asks once more, and then the kernel says why it cannot.
    const back = section.getByRole("button", { name: /0\.9\.0/ });
    await back.click();
    expect(await back.innerText()).toBe("Really back to 0.9.0?");
    await back.click();
    await page.locator("#upgrade-said", { hasText: "no single executable" }).waitFor();
  }
}, 120_000);
