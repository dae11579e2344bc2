/**
 * The setup wizard as a person with a mouse goes through it.
 */
import type { Page } from "playwright-core";
import { owner } from "./machine.ts";

/** Answers the four questions, up to the review; `each` sees every step before it goes on. */
export async function answer(
  page: Page,
  code: string | null,
  each?: (step: string) => Promise<void>,
): Promise<void> {
  const answers = { code: code ?? "", password: owner.rootPass, domain: owner.domain };
  for (const [step, value] of Object.entries({ ...answers, email: owner.email })) {
    await page.locator(`#${step}`).fill(value);
    await each?.(step);
    await page.locator("#next").click();
  }
  await page.locator("#answer-code").waitFor();
  await each?.("review");
}
